"""Whatever is not the speech of its text is found, with real speech as the start of it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from router.audio.integrity import Finding, expected
from tests.audio_integrity.sounds import (
    RATE,
    Mouth,
    Samples,
    findings,
    kinds,
    noise,
    silence,
    tone,
)
from tests.audio_integrity.texts import ODD, SENTENCES, WORDS, of_length

TEXT = of_length("en", 200)


def only(samples: Samples, text: str = TEXT, language: str = "en") -> Finding:
    (finding,) = findings(samples, expected(text, language))
    return finding


def test_nothing_at_all_is_certainly_no_speech() -> None:
    finding = only(silence(0))
    assert finding.kind == "empty"
    assert finding.hard


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.3, 1.0, 5.0, 15.0, 300.0])
@pytest.mark.parametrize("text", [WORDS["en"], TEXT, of_length("en", 4096)])
def test_silence_of_any_length_is_certainly_no_speech(seconds: float, text: str) -> None:
    found = findings(silence(seconds), expected(text, "en"))
    assert ("silent", True) in [(finding.kind, finding.hard) for finding in found]


@pytest.mark.parametrize("offset", [-20_000, 500, 20_000])
def test_a_constant_offset_with_dither_is_silence(offset: int) -> None:
    hum = (noise(3, strength=2) + np.int16(offset)).astype(np.int16)
    assert only(hum).kind == "silent"


def test_a_click_in_silence_is_no_speech() -> None:
    clicked = silence(3)
    clicked[RATE + 100 : RATE + 130] = 30_000
    assert only(clicked).kind == "silent"


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_a_tenth_of_a_speech_is_too_short(mouth: Mouth, language: str, speed: float) -> None:
    for text in (SENTENCES[language], of_length(language, 1000)):
        whole = mouth.say(text, language, speed)
        assert kinds(whole[: len(whole) // 10], text, language, speed) == ["too_short"]


def test_a_thousand_characters_in_a_second_are_certainly_too_few(mouth: Mouth) -> None:
    for language in SENTENCES:
        text = of_length(language, 1000)
        second = mouth.say(text, language)[:RATE]
        finding = only(second, text, language)
        assert finding.kind == "too_short"
        assert finding.hard


def test_a_tenth_of_a_speech_is_too_short_though_silence_fills_it_up(mouth: Mouth) -> None:
    whole = mouth.say(TEXT, "en")
    tenth = whole[: len(whole) // 10]
    assert kinds(np.concatenate([silence(3), tenth, silence(5)]), TEXT, "en") == ["too_short"]


@pytest.mark.parametrize("language", SENTENCES)
def test_a_minute_of_silence_is_found_behind_a_speech_and_within_it(
    mouth: Mouth, language: str
) -> None:
    text = of_length(language, 300)
    for speed in (0.5, 1.0, 2.0):
        whole = mouth.say(text, language, speed)
        tail = np.concatenate([whole, silence(60)])
        assert "silent" in kinds(tail, text, language, speed)
        middle = np.concatenate([whole[:RATE], silence(60), whole[RATE:]])
        assert "silent" in kinds(middle, text, language, speed)


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("period_s", [0.08, 0.5, 1.0, 1.5, 3.0])
def test_a_loop_is_found_when_the_text_cannot_take_so_long(
    mouth: Mouth, language: str, period_s: float
) -> None:
    text = WORDS[language]
    sentence = mouth.say(SENTENCES[language], language)
    snippet = sentence[RATE : RATE + int(period_s * RATE)]
    looping = np.tile(snippet, int(30 / period_s))
    assert kinds(looping, text, language)[0] in ("loop", "too_long")
    assert "loop" in kinds(looping, text, language)


def test_a_loop_behind_real_speech_is_found_before_it_is_too_long(mouth: Mouth) -> None:
    whole = mouth.say(TEXT, "en")
    stuck = np.tile(whole[-int(1.7 * RATE) :], 60)
    first, *_ = findings(np.concatenate([whole, stuck]), expected(TEXT, "en"))
    assert first.kind == "loop"
    assert not first.hard


@pytest.mark.parametrize(
    "stuck",
    [tone(60), tone(60, 90), noise(60), noise(60, 33), noise(60, 120), tone(60, 4000, 300)],
    ids=["tone", "hum", "noise", "noise at the threshold", "faint noise", "whistle"],
)
@pytest.mark.parametrize("text", [WORDS["en"], of_length("en", 900)])
def test_a_sound_that_stands_still_is_found_whatever_the_text(stuck: Samples, text: str) -> None:
    assert kinds(stuck, text, "en")[0] == "loop"


def test_a_text_that_is_said_four_times_is_too_long(mouth: Mouth) -> None:
    again = mouth.say(" ".join([of_length("en", 1000)] * 4), "en")
    assert kinds(again, of_length("en", 1000), "en") == ["too_long"]


def test_a_finding_names_no_word_of_the_text() -> None:
    told = [
        msgspec.json.encode(finding).decode()
        for text in ODD
        for samples in (silence(1), tone(20), noise(0.03))
        for finding in findings(samples, expected(text, "en"))
    ]
    assert told
    for text in ODD:
        if len(text) > 10:
            assert not any(text in message for message in told)
