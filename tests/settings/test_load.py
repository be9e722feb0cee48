"""A config is read whole: every mistake is named at once, with its place and its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.contract.provider import Kind, Secret
from router.registry import find
from router.settings import load as loading
from router.settings.load import BadConfig, parse
from router.settings.structs import Settings
from router.testing import scripted

KEY = "TTS_ROUTER_TEST_KEY"
MARKER = "kept-to-ourselves-4711"


@pytest.fixture(scope="module")
def kinds() -> dict[str, Kind]:
    return dict(find(extra=[scripted]).providers)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KEY, "LEAPER_API_KEY", "NANOGPT_API_KEY", "OPENAI_API_KEY", loading.VARIABLE):
        monkeypatch.delenv(name, raising=False)


def mistakes(text: str, kinds: dict[str, Kind]) -> dict[str, str]:
    """What is wrong and what to do, by key path."""
    with pytest.raises(BadConfig) as caught:
        parse(text, kinds, "it.yaml")
    return {
        problem.path: f"{problem.wrong} | {problem.remedy}" for problem in caught.value.problems
    }


def test_every_mistake_of_a_file_is_named_at_once(kinds: dict[str, Kind]) -> None:
    found = mistakes(
        """
        servr: {}
        server: {port: 99999, hots: [], strict: [leper]}
        timeouts: {stall_s: soon}
        providers:
          here: {kind: espeak, slots: 0, voise: x}
          there: {kind: leaper, enabled: maybe}
          nameless: {}
        models:
          it: {max_input: 0, routes: [{provider: here}, {provider: heer}, {}]}
        voices:
          me: {gender: robot}
        """,
        kinds,
    )
    assert found["servr"] == "is not a key here | did you mean server?"
    assert found["server.hots"] == "is not a key here | did you mean hosts or host?"
    assert set(found) >= {
        "server.port",
        "server.strict[0]",
        "timeouts.stall_s",
        "providers.here.slots",
        "providers.there.enabled",
        "providers.nameless.kind",
        "models.it.max_input",
        "models.it.routes[2].provider",
        "voices.me.gender",
    }
    assert "true, false, auto" in found["providers.there.enabled"]
    assert "leaper" in found["server.strict[0]"]


def test_a_wrong_key_of_a_kind_is_named_with_its_instance(kinds: dict[str, Kind]) -> None:
    found = mistakes("providers: {mine: {kind: scripted, secconds: 1}}", kinds)
    assert found == {"providers.mine.secconds": found["providers.mine.secconds"]}
    assert "did you mean seconds" in found["providers.mine.secconds"]


def test_names_that_point_nowhere_get_the_near_ones(kinds: dict[str, Kind]) -> None:
    found = mistakes(
        """
        providers: {espeak: {kind: espeak}}
        models:
          a: {routes: [{provider: espaek}]}
          b: {routes: [{provider: espeak}], default_voice: aloy}
          c: {routes: []}
          A: {routes: [{provider: espeak}]}
        """,
        kinds,
    )
    assert "did you mean espeak?" in found["models.a.routes[0].provider"]
    assert "did you mean alloy" in found["models.b.default_voice"]
    assert "is empty" in found["models.c.routes"]
    assert "case does not count" in found["models.A"]


TOKENS = "credits_per_1k_tokens: 0.015"


@pytest.mark.parametrize(
    ("price", "is_wrong"),
    [
        (TOKENS, True),
        (f"{TOKENS}, credits_per_1k_chars: 0, credits_per_audio_s: 0", True),
        (f"{TOKENS}, credits_per_1k_chars: 0.005, credits_per_audio_s: 0", True),
        (f"{TOKENS}, minimum: 0.01", True),
        (f"{TOKENS}, credits_per_1k_chars: 0.005", False),
        (f"{TOKENS}, credits_per_audio_s: 0.0002", False),
        ("credits_per_1k_tokens: 0", False),
        ("credits_per_1k_chars: 0.005", False),
    ],
)
def test_a_price_says_what_speech_costs_whose_tokens_nobody_tells(
    price: str, is_wrong: bool, kinds: dict[str, Kind]
) -> None:
    text = f"""
        providers: {{e: {{kind: espeak}}}}
        models:
          a: {{price: {{{price}}}, routes: [{{provider: e}}]}}
          b: {{routes: [{{provider: e}}, {{provider: e, price: {{{price}}}}}]}}
        """
    if not is_wrong:
        parse(text, kinds)
        return
    found = mistakes(text, kinds)
    assert list(found) == ["models.a.price", "models.b.routes[1].price"]
    for problem in found.values():
        assert "who hangs up" in problem
        assert "credits_per_1k_chars or credits_per_audio_s" in problem


@pytest.mark.parametrize(
    "text",
    [
        "server: {port: 1, port: 2}",
        "server:\n\tport: 1",
        "server: !!python/object:os.system {}",
        "a: [",
    ],
)
def test_broken_yaml_is_told_with_its_line(text: str, kinds: dict[str, Kind]) -> None:
    (place,) = mistakes(text, kinds)
    assert place.startswith("line ")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("voices: {x: {same_as: [a]}}", "voices.x.same_as"),
        ("? [a, b]\n: c", None),
        ("a: &a [*a]", None),
        ('providers: {e: {kind: "${TTS_NONE}"}}', "providers.e.kind"),
        ("providers: {t: {kind: scripted, formats: [{encoding: mp3}]}}", "providers.t"),
        ("server: {trusted_proxies: [nonsense]}", "server.trusted_proxies[0]"),
    ],
)
def test_what_yaml_makes_of_odd_words_is_a_mistake_with_a_place(
    text: str, place: str | None, kinds: dict[str, Kind]
) -> None:
    found = mistakes(text, kinds)
    assert place is None or place in found


def test_a_key_is_the_word_that_is_written(kinds: dict[str, Kind]) -> None:
    settings = parse(
        """
        providers: {1: {kind: espeak}, on: {kind: espeak}}
        models: {2026-11-21: {routes: [{provider: "1"}, {provider: "on"}]}}
        voices: {no: {languages: ["no"]}}
        """,
        kinds,
    )
    assert list(settings.providers) == ["1", "on"]
    assert "no" in settings.voices


def test_a_list_is_no_config_and_nothing_is_one(kinds: dict[str, Kind]) -> None:
    assert list(mistakes("- a", kinds)) == ["(the file)"]
    assert "alloy" in parse("", kinds).voices


# ---- the environment


def test_the_environment_is_put_in_after_parsing(
    kinds: dict[str, Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "a: {b: c} # $X ${HOME}")
    text = f'server: {{public_url: "http://${{{KEY}}}/", cache_dir: "${{TTS_NONE:-/c}}"}}'
    server = parse(text, kinds).server
    assert server.public_url == "http://a: {b: c} # $X ${HOME}/"
    assert server.cache_dir == "/c"


def test_a_number_may_come_from_the_environment(
    kinds: dict[str, Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "1234")
    assert parse(f'server: {{port: "${{{KEY}}}"}}', kinds).server.port == 1234
    assert parse('server: {open: "${TTS_NONE:-true}"}', kinds).server.open is True


def test_an_unset_variable_is_a_mistake_outside_providers(kinds: dict[str, Kind]) -> None:
    found = mistakes(f'server: {{host: "${{{KEY}}}", data_dir: "${{TTS_NONE}}"}}', kinds)
    assert set(found) == {"server.host", "server.data_dir"}
    assert f"${KEY} is not set" in found["server.host"]
    assert f"${{{KEY}:-default}}" in found["server.host"]


def test_an_unset_variable_switches_a_provider_off_and_says_so(kinds: dict[str, Kind]) -> None:
    text = f'providers: {{far: {{kind: leaper, key: "${{{KEY}}}"}}}}'
    far = parse(text, kinds).providers["far"]
    assert far.off == f"${KEY} is not set"
    assert far.settings is None


def test_a_shared_key_may_name_an_unset_variable_too(kinds: dict[str, Kind]) -> None:
    text = f'providers: {{near: {{kind: espeak, slots: "${{{KEY}}}"}}}}'
    near = parse(text, kinds).providers["near"]
    assert near.off == f"${KEY} is not set"


def test_a_provider_that_must_be_on_makes_an_unset_variable_a_mistake(
    kinds: dict[str, Kind],
) -> None:
    text = f'providers: {{far: {{kind: leaper, key: "${{{KEY}}}", enabled: true}}}}'
    found = mistakes(text, kinds)
    assert list(found) == ["providers.far.key"]
    assert f"${KEY} is not set" in found["providers.far.key"]
    assert "enabled: auto" in found["providers.far.key"]


def test_an_empty_variable_counts_as_unset(
    kinds: dict[str, Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "")
    text = f'providers: {{far: {{kind: leaper, key: "${{{KEY}}}"}}}}'
    assert parse(text, kinds).providers["far"].off


def test_off_means_off_whatever_is_set(
    kinds: dict[str, Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "k")
    text = f'providers: {{far: {{kind: leaper, key: "${{{KEY}}}", enabled: false}}}}'
    assert parse(text, kinds).providers["far"].off == "it is switched off in the config"
    text = text.replace("false", "auto")
    assert parse(text, kinds).providers["far"].off is None


def test_a_kind_that_nobody_brings_is_off_or_a_mistake(kinds: dict[str, Kind]) -> None:
    off = parse("providers: {x: {kind: espaek}}", kinds).providers["x"].off
    assert off == "no plugin brings the kind 'espaek' (did you mean espeak?)"
    found = mistakes("providers: {x: {kind: espaek, enabled: true}}", kinds)
    assert "did you mean espeak" in found["providers.x.kind"]


def test_a_module_that_is_missing_is_told_with_the_words_that_install_it(
    kinds: dict[str, Kind],
) -> None:
    needy = Kind(
        name="needy",
        settings=kinds["scripted"].settings,
        open=kinds["scripted"].open,
        requires={"no_such_module_here": "pip install something"},
    )
    off = parse("providers: {x: {kind: needy}}", {"needy": needy}).providers["x"].off
    assert off == "no_such_module_here is not installed (pip install something)"


def test_a_secret_is_in_no_repr_and_in_no_message(
    kinds: dict[str, Kind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, MARKER)
    text = f'providers: {{far: {{kind: leaper, key: "${{{KEY}}}"}}}}\nserver: {{secret: {MARKER}}}'
    settings = parse(text, kinds)
    assert MARKER not in repr(settings)
    assert settings.server.secret == Secret(MARKER)
    assert MARKER not in str(mistakes(text + "\nmodels: 5", kinds))
    wrong = f"providers: {{far: {{kind: leaper, key: [{MARKER}]}}}}"
    assert MARKER not in str(mistakes(wrong, kinds))


# ---- names that stand for others


def test_same_as_takes_the_keys_that_are_not_given(kinds: dict[str, Kind]) -> None:
    models = parse(
        """
        providers: {e: {kind: espeak}}
        models:
          first: {family: leaper, max_input: 7, routes: [{provider: e}]}
          second: {same_as: first, family: nanogpt}
        """,
        kinds,
    ).models
    assert models["second"].family == "nanogpt"
    assert models["second"].max_input == 7
    assert models["second"].routes == models["first"].routes


@pytest.mark.parametrize("target", ["nowhere", "loop", "chain"])
def test_same_as_must_name_one_that_stands_for_itself(target: str, kinds: dict[str, Kind]) -> None:
    text = f"voices: {{loop: {{same_as: {target}}}, chain: {{same_as: en-news}}}}"
    assert "voices.loop.same_as" in mistakes(text, kinds)


def test_a_voice_that_everybody_knows_keeps_the_keys_that_are_not_laid_over(
    kinds: dict[str, Kind],
) -> None:
    before = parse("", kinds).voices["alloy"]
    after = parse("voices: {alloy: {style: Ours, providers: {mine: al}}}", kinds).voices["alloy"]
    assert after.style == "Ours"
    assert after.gender == before.gender
    assert after.providers == {**before.providers, "mine": "al"}


# ---- which file


def test_a_named_file_beats_the_variable_and_that_beats_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: dict[str, Kind]
) -> None:
    def written(name: str, port: int) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"server: {{port: {port}}}")
        return path

    monkeypatch.chdir(tmp_path)
    assert port_of(None, kinds) == 8080, "the packaged default"
    written("config/router.yaml", 1)
    assert port_of(None, kinds) == 1
    monkeypatch.setenv(loading.VARIABLE, str(written("two.yaml", 2)))
    assert port_of(None, kinds) == 2
    assert port_of(str(written("three.yaml", 3)), kinds) == 3


def test_a_file_that_cannot_be_read_is_one_clean_mistake(
    tmp_path: Path, kinds: dict[str, Kind]
) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    for name in ("absent.yaml", "latin.yaml", "."):
        with pytest.raises(BadConfig, match="cannot be read"):
            loading.load(str(tmp_path / name), kinds)


def test_the_packaged_default_is_the_one_of_the_tree(kinds: dict[str, Kind]) -> None:
    default = parse(loading.packaged_default(), kinds)
    assert set(default.models) == {
        *("moss-tts-nano", "nano-tts-1", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"),
    }
    for model in default.models.values():
        assert model.routes[-1].provider == "espeak"
    assert default.models["moss-tts-nano"].price.credits_per_1k_chars == 0.005


def port_of(given: str | None, kinds: dict[str, Kind]) -> int:
    settings: Settings = loading.load(given, kinds)
    return settings.server.port
