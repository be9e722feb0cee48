"""Names are found trimmed and without case, and an unknown one is told the near ones."""

from __future__ import annotations

import pytest

from router.contract.errors import UnknownModel, UnknownVoice
from router.routing.catalogue import Catalogue
from tests.routing.given import able, catalogue, routed

LEAPER = (
    *("alloy", "echo", "fable", "onyx", "nova", "shimmer"),
    *(f"zh-{name}" for name in ("welcome", "gentle", "taiwan", "beijing", "culture", "yangmi")),
    *(f"en-{name}" for name in ("welcome", "lesson", "news", "gentle", "taylor", "quiet")),
    *(f"{language}-news" for language in ("ja", "ko", "es", "fr", "de", "it", "ru")),
    *(f"demo-{number}" for number in range(1, 30)),
)
OPENAI = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer"),
    *("verse", "marin", "cedar"),
)
NANOGPT = ("luna", "verse", "sonic")


@pytest.fixture(scope="module")
def names() -> Catalogue:
    return catalogue(
        """
        server: {provider_prefix: true}
        providers: {a: {kind: scripted}, b: {kind: scripted}}
        models:
          moss-tts-nano: {routes: [{provider: a}, {provider: b}]}
          Org/Model: {routes: [{provider: a}]}
        """
    )


def test_every_documented_voice_is_known_with_a_language_and_a_style(names: Catalogue) -> None:
    for name in {*LEAPER, *OPENAI, *NANOGPT}:
        voice = names.voice(name, {}, ()).voice
        assert voice.languages, name
        assert voice.style, name
        assert voice.gender, name
    assert len(LEAPER) == 54
    assert len(OPENAI) == 13


def test_a_voice_has_an_entry_for_each_provider_that_documents_it(names: Catalogue) -> None:
    for name in LEAPER:
        assert names.voices[name].providers["leaper"] == name
    for name in OPENAI:
        assert names.voices[name].providers["openai"] == name
        assert "leaper" in names.voices[name].providers
    for name in NANOGPT:
        assert names.voices[name].providers["nanogpt"] == name


def test_the_default_voice_of_leaperone_is_chinese(names: Catalogue) -> None:
    assert names.voices["nova"].languages == ("zh",)
    assert {names.voices[f"{tag}-news"].languages for tag in ("ja", "ru")} == {("ja",), ("ru",)}


@pytest.mark.parametrize("asked", ["moss-tts-nano", " MOSS-TTS-Nano\n", "Moss-Tts-nano"])
def test_a_model_is_found_trimmed_and_without_case(names: Catalogue, asked: str) -> None:
    assert names.model(asked, {}).name == "moss-tts-nano"
    assert names.find_model(asked) is not None


@pytest.mark.parametrize("asked", ["alloy", " Alloy ", "ALLOY\t"])
def test_a_voice_is_found_trimmed_and_without_case(names: Catalogue, asked: str) -> None:
    assert names.voice(asked, {}, ()).name == "alloy"


def test_an_unknown_model_is_told_the_near_ones(names: Catalogue) -> None:
    with pytest.raises(UnknownModel, match="Did you mean moss-tts-nano") as caught:
        names.model("moss-tts-nono", {})
    assert caught.value.param == "model"
    with pytest.raises(UnknownModel, match=r"Known: moss-tts-nano, Org/Model\."):
        names.model("qqq", {})


def test_an_unknown_voice_is_told_the_near_ones_of_providers_too(names: Catalogue) -> None:
    offers = {"a": able(voices=("Heart",)), "b": able(voices=("Sky",))}
    with pytest.raises(UnknownVoice, match="Did you mean Heart"):
        names.voice("Hearts", offers, ["a"])
    with pytest.raises(UnknownVoice, match="alloy"):
        names.voice("aloy", {}, ())
    with pytest.raises(UnknownVoice) as caught:
        names.voice("Sky", offers, ["a"])
    assert caught.value.param == "voice"


def test_an_unknown_name_is_told_back_short_and_printable(names: Catalogue) -> None:
    with pytest.raises(UnknownVoice) as caught:
        names.voice("a\r\nSet-Cookie: x" + "y" * 5_000, {}, ())
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 2_000


def test_a_voice_of_a_provider_is_found_under_its_own_id(names: Catalogue) -> None:
    offers = {"a": able(voices=("af_Heart",)), "b": able(voices=("AF_heart",))}
    found = names.voice(" af_heart ", offers, ["a", "b"])
    assert found.name == "af_Heart"
    assert found.voice.providers == {"a": "af_Heart", "b": "AF_heart"}


def test_a_prefix_reaches_a_provider_directly_where_that_is_allowed(names: Catalogue) -> None:
    found = names.model(" a/m ", {"a": able(max_chars=9)})
    assert found.name == "a/m"
    assert [(route.provider, route.model) for route in found.model.routes] == [("a", "m")]
    assert found.model.max_input == 9
    for asked in ("a/x", "z/m", "a/"):
        with pytest.raises(UnknownModel):
            names.model(asked, {"a": able()})
    with pytest.raises(UnknownModel):
        routed("a").model("a/m", {"a": able()})


def test_an_id_with_a_slash_is_a_name_like_any_other(names: Catalogue) -> None:
    assert names.model("org/model", {}).name == "Org/Model"
