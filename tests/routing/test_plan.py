"""A plan has everybody in it: who is asked, in order, and why each other is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.contract.audio import AudioFormat
from router.contract.errors import (
    InputTooLong,
    InvalidRequest,
    NobodyCan,
    SpeechError,
    UnknownModel,
    UnknownVoice,
    UnsupportedFormat,
)
from router.contract.speech import SpeechRequest
from router.routing.catalogue import Catalogue, Offered
from router.routing.negotiate import Codecs
from router.routing.plan import WHOLE_UP_TO, Plan, order_for, plan, refusal
from tests.routing.given import CLIP, CODECS, MP3, PCM, able, asking, catalogue, routed

OFF = able(off="$KEY is not set")
TWO = routed("one", "two", pieces="never")
PRESET = routed("one", "two", pieces="never", clone_fallback="preset")


def planned(request: SpeechRequest, catalogue: Catalogue = TWO, **offers: Offered | None) -> Plan:
    known = {name: offered for name, offered in offers.items() if offered is not None}
    return plan(request, catalogue, known, CODECS)


def asked(made: Plan) -> list[str]:
    return [candidate.provider for candidate in made.candidates]


def passed(made: Plan) -> dict[str, str]:
    return {one.provider: one.reason for one in made.passed}


def refused(request: SpeechRequest, catalogue: Catalogue = TWO, **offers: Offered) -> SpeechError:
    made = plan(request, catalogue, offers, CODECS)
    assert not made.candidates
    return refusal(made, request, offers, CODECS)


def test_the_order_of_the_route_is_kept() -> None:
    order = ("d", "a", "c", "b")
    made = planned(asking(), routed(*order), **{name: able() for name in sorted(order)})
    assert asked(made) == list(order)
    assert [candidate.rank for candidate in made.candidates] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("request_", "offered", "reason"),
    [
        (asking(), OFF, "off"),
        (asking(), Offered(kind="scripted"), "no_model"),
        (asking(clip=CLIP), able(), "no_cloning"),
        (asking(), able(chooses_voice=False), "no_voice"),
        (asking(), able(languages=frozenset({"zh"})), "no_language"),
        (asking("漢字", language="ja"), able(unreadable={"ja": frozenset({"Han"})}), "unreadable"),
        (asking("x" * 11), able(max_chars=10), "too_long"),
        (asking(format=MP3), able(), "no_format"),
    ],
)
def test_everybody_who_is_passed_over_is_told_with_the_reason(
    request_: SpeechRequest, offered: Offered, reason: str
) -> None:
    can_all = able(cloning=True, formats=(PCM, MP3))
    made = planned(request_, one=offered, two=can_all)
    assert passed(made) == {"one": reason}
    assert asked(made) == ["two"]
    assert made.passed[0].detail
    assert made.candidates[0].rank == 1


def test_kana_can_be_read_by_whoever_cannot_read_kanji() -> None:
    no_kanji = able(unreadable={"ja": frozenset({"Han"})})
    assert asked(planned(asking("こんにちは"), one=no_kanji)) == ["one"]
    assert passed(planned(asking("こんにちは、日本"), one=no_kanji)) == {"one": "unreadable"}
    assert asked(planned(asking("你好"), one=no_kanji)) == ["one"], (
        "kanji in Chinese is another matter"
    )


def test_speed_and_pitch_that_a_provider_cannot_do_are_made_here_and_change_no_order() -> None:
    deaf, able_too = able(), able(speed=(0.5, 2.0), pitch=(-12, 12))
    made = planned(asking(speed=1.5, pitch=2.0), one=deaf, two=able_too)
    assert asked(made) == ["one", "two"]
    here, there = made.candidates
    assert (here.speed, here.pitch, here.stretch) == (1.0, None, (1.5, 2.0))
    assert (there.speed, there.pitch, there.stretch) == (1.5, 2.0, (1.0, 0.0))
    assert here.ignored == there.ignored == ()
    (beyond,) = planned(asking(speed=3.0, pitch=40.0), one=able_too).candidates
    assert (beyond.speed, beyond.pitch, beyond.stretch) == (1.0, None, (3.0, 0.0))
    assert beyond.ignored == ("pitch",)


def test_sound_that_is_stretched_here_is_not_passed_through() -> None:
    both = able(formats=(MP3, PCM))
    codecs = Codecs(decodes=("pcm",), encodes=frozenset({"pcm", "mp3"}))
    for speed, through in ((1.0, True), (1.5, False)):
        made = plan(asking(speed=speed, format=MP3), TWO, {"one": both}, codecs)
        assert [candidate.through for candidate in made.candidates] == [through]


def test_options_that_nobody_honours_are_ignored_and_named() -> None:
    request = asking(options={"instructions": "softly", "seed": 4})
    made = planned(request, one=able(options=frozenset({"seed"})))
    (candidate,) = made.candidates
    assert candidate.options == {"seed": 4}
    assert candidate.ignored == ("instructions",)


def test_a_voice_is_what_the_instance_calls_it_else_the_kind_else_the_provider() -> None:
    names = catalogue(
        """
        providers: {one: {kind: scripted}, two: {kind: scripted}, three: {kind: scripted}}
        models: {it: {routes: [{provider: one}, {provider: two}, {provider: three}]}}
        voices:
          mine: {languages: [de], gender: male, providers: {one: eins, scripted: kind-name}}
          own: {languages: [de]}
        """
    )
    offers = {"one": able(), "two": able(), "three": able(voices=("OWN",))}
    found = plan(asking(voice="mine"), names, offers, CODECS).candidates
    assert [candidate.voice.id for candidate in found] == ["eins", "kind-name", "kind-name"]
    assert {(choice.voice.language, choice.voice.gender) for choice in found} == {("de", "male")}
    found = plan(asking(voice="own"), names, offers, CODECS).candidates
    assert [candidate.voice.id for candidate in found] == [None, None, "OWN"]


def test_the_language_rides_on_the_order() -> None:
    request = asking("Guten Tag", voice="nova", language="de-at")
    made = planned(request, one=able())
    assert made.language == "de-AT"
    assert order_for(made.candidates[0], request, made.language).language == "de-AT"
    assert planned(asking(voice="nova"), one=able()).language == "en"
    assert planned(asking("你好", voice="alloy"), one=able()).language == "zh"


def test_a_region_is_no_reason_to_pass() -> None:
    made = planned(asking(language="en-GB"), one=able(languages=frozenset({"en"})))
    assert asked(made) == ["one"]


# ---- clones


def test_a_sample_goes_to_those_who_can_clone_and_to_nobody_else() -> None:
    request = asking(clip=CLIP, voice="demo-3")
    made = planned(request, one=able(), two=able(cloning=True, chooses_voice=False))
    assert asked(made) == ["two"]
    assert passed(made) == {"one": "no_cloning"}
    assert order_for(made.candidates[0], request, "en").clip is CLIP
    assert "prompt_audio" not in made.candidates[0].ignored


def test_a_sample_that_nobody_can_clone_is_refused() -> None:
    error = refused(asking(clip=CLIP), one=able(), two=OFF)
    assert isinstance(error, InvalidRequest)
    assert error.param == "prompt_audio"
    assert error.code == "cloning_unavailable"


def test_only_where_the_model_says_so_is_a_sample_answered_in_the_preset_voice() -> None:
    request = asking(clip=CLIP)
    made = planned(request, PRESET, one=able(), two=OFF)
    assert asked(made) == ["one"]
    assert made.candidates[0].ignored == ("prompt_audio",)
    assert order_for(made.candidates[0], request, "en").clip is None


def test_as_soon_as_anybody_who_is_on_can_clone_nobody_speaks_the_preset() -> None:
    busy_elsewhere = able(cloning=True, languages=frozenset({"zh"}))
    made = planned(asking(clip=CLIP), PRESET, one=able(), two=busy_elsewhere)
    assert asked(made) == []
    assert passed(made) == {"one": "no_cloning", "two": "no_language"}
    error = refused(asking(clip=CLIP), PRESET, one=able(), two=busy_elsewhere)
    assert isinstance(error, InvalidRequest)


# ---- the whole request is refused


def test_names_and_lengths_are_refused_whoever_speaks() -> None:
    with pytest.raises(UnknownModel):
        plan(
            SpeechRequest(shape="x", model="no", text="", voice="alloy", format=PCM),
            TWO,
            {},
            CODECS,
        )
    with pytest.raises(UnknownVoice):
        planned(asking(voice="nobody"), one=able())
    with pytest.raises(InvalidRequest):
        planned(asking(language="not a tag"), one=able())


def test_the_public_limit_counts_code_points_and_says_both_numbers() -> None:
    planned(asking("🗣" * 4096), one=able())
    with pytest.raises(InputTooLong, match=r"4097 .* 4096") as caught:
        planned(asking("🗣" * 4097), one=able())
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("request_", "offers", "kind", "words"),
    [
        (asking(), {"one": OFF, "two": OFF}, NobodyCan, "one: .KEY is not set"),
        (asking(), {}, NobodyCan, "route is empty"),
        (asking(format=MP3), {"one": able(), "two": OFF}, UnsupportedFormat, "pcm, wav"),
        (asking(), {"one": able(chooses_voice=False)}, UnknownVoice, "no voice for alloy"),
        (asking(), {"one": able(languages=frozenset({"zh"}))}, InvalidRequest, "speak en"),
        (asking("x" * 9), {"one": able(max_chars=8)}, InputTooLong, "at most 8"),
        (asking(clip=CLIP), {"one": able()}, InvalidRequest, "clone"),
        (asking(), {"one": Offered(kind="scripted")}, NobodyCan, "no model now"),
    ],
)
def test_a_plan_without_candidates_is_refused_with_every_reason(
    request_: SpeechRequest, offers: dict[str, Offered], kind: type[SpeechError], words: str
) -> None:
    error = refused(request_, TWO, **offers)
    assert type(error) is kind
    assert any(part in error.message for part in (words, words.replace(".KEY", "$KEY")))


def test_a_mixture_of_the_requests_own_faults_is_still_the_requests_fault() -> None:
    offers = {"one": able(max_chars=3), "two": able(formats=(MP3,))}
    error = refused(asking(), TWO, **offers)
    assert isinstance(error, InvalidRequest), "another request could be served"


# ---- whole or streamed


@pytest.mark.parametrize(
    ("changed", "whole"),
    [
        ({}, True),
        ({"stream": False}, True),
        ({"stream": True}, False),
        ({"format": PCM}, False),
        ({"format": MP3}, False),
        ({"text": "x" * WHOLE_UP_TO}, True),
        ({"text": "x" * (WHOLE_UP_TO + 1)}, False),
    ],
)
def test_a_short_wav_is_held_until_it_is_whole(changed: dict[str, Any], whole: bool) -> None:
    assert planned(asking(**changed), one=able()).whole is whole


def test_a_model_that_does_not_stream_is_always_held() -> None:
    held = routed("one", streaming="false")
    assert planned(asking(format=PCM, stream=True), held, one=able()).whole


# ---- purity

OFFERED = st.builds(
    able,
    off=st.sampled_from([None, None, None, "why"]),
    chooses_voice=st.booleans(),
    cloning=st.booleans(),
    max_chars=st.sampled_from([None, 5, 50]),
    languages=st.sampled_from([None, frozenset({"en"}), frozenset({"zh", "ja"})]),
    speed=st.sampled_from([None, (0.5, 2.0)]),
    formats=st.sampled_from([(PCM,), (MP3,), (AudioFormat("pcm"), AudioFormat("opus"))]),
)


@given(
    offers=st.fixed_dictionaries({"one": OFFERED, "two": OFFERED}),
    text=st.sampled_from(["Hello.", "你好", "漢字かな", "A longer sentence with more words."]),
    speed=st.sampled_from([1.0, 1.5, 3.0]),
    format=st.sampled_from([AudioFormat("wav"), AudioFormat("pcm", 16_000, 1), MP3]),
    clip=st.sampled_from([None, CLIP]),
)
def test_the_same_arguments_give_the_same_plan_and_everybody_is_in_it(
    offers: dict[str, Offered], **fields: Any
) -> None:
    request = asking(**fields)
    made = plan(request, PRESET, offers, CODECS)
    assert made == plan(request, PRESET, offers, CODECS)
    assert sorted([*asked(made), *passed(made)]) == ["one", "two"]
    for candidate in made.candidates:
        assert request.format.admits(candidate.output)
        if request.clip is not None:
            cloned = order_for(candidate, request, "en").clip is not None
            assert cloned != ("prompt_audio" in candidate.ignored)
    if not made.candidates:
        assert refusal(made, request, offers, CODECS).message


# ---- in pieces


def test_a_text_that_one_of_the_route_cannot_take_at_once_is_cut_for_all() -> None:
    auto = routed("one", "two")
    made = planned(asking("x" * 11), auto, one=able(), two=able(max_chars=10))
    assert made.in_pieces
    assert [candidate.longest for candidate in made.candidates] == [None, 10]
    assert not planned(asking("x" * 10), auto, one=able(), two=able(max_chars=10)).in_pieces


def test_pieces_are_never_passed_through() -> None:
    always = routed("one", pieces="always")
    made = planned(asking("x" * 100, format=MP3), always, one=able(formats=(PCM, MP3)))
    assert made.in_pieces
    assert not any(candidate.through for candidate in made.candidates)


def test_a_text_as_short_as_a_first_piece_is_spoken_whole() -> None:
    always = routed("one", pieces="always")
    assert not planned(asking("Good morning."), always, one=able()).in_pieces
