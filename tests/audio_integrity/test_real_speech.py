"""No real speech is taken for a failure: espeak-ng in seventeen languages, and recorded voices."""

from __future__ import annotations

import json

import pytest

from router.audio.integrity import Expected, expected
from tests.audio_integrity.sounds import (
    Mouth,
    findings,
    kinds,
    recorded,
    test_data,
)
from tests.audio_integrity.texts import LONGEST, NUMBERS, ODD, SENTENCES, WORDS, of_length

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0)

TOO_SOON = Expected(characters=100, language="en", least_s=0.1, most_s=0.1)
"""Whatever is said, it is beyond its time: a loop is looked for from 4 s on."""

_COUNTRIES = {
    "CN": "zh",
    "CZ": "cs",
    "DK": "da",
    "GR": "el",
    "IR": "fa",
    "JP": "ja",
    "KR": "ko",
    "SA": "ar",
    "SE": "sv",
    "US": "en",
}
"""The language of a flag, where it is not called like the country."""


@pytest.mark.parametrize("language", SENTENCES)
def test_no_alarm_from_one_word_to_the_longest_text(mouth: Mouth, language: str) -> None:
    said = [
        (text, speed)
        for text in (WORDS[language], SENTENCES[language], *NUMBERS)
        for speed in SPEEDS
    ]
    said += [(of_length(language, 300), 0.5), (of_length(language, 1000), 1.0)]
    said += [(of_length(language, LONGEST), 2.0)]
    for text, speed in said:
        if (text, speed) == ("Да", 4.0):
            continue  # shorter than what espeak-ng's child takes for a sound
        samples = mouth.say(text, language, speed)
        assert kinds(samples, text, language, speed) == [], (text[:40], speed)


def test_no_alarm_at_what_is_hard_to_read(mouth: Mouth) -> None:
    for text in ODD:
        for speed in SPEEDS:
            samples = mouth.say(text, "en", speed)
            assert kinds(samples, text, "en", speed) == [], (text, speed)


def test_no_alarm_at_prose_in_nineteen_languages(mouth: Mouth) -> None:
    demos = (test_data() / "moss" / "demo.jsonl").read_text("utf-8").splitlines()
    for demo in map(json.loads, demos):
        country = "".join(chr(ord(sign) - 0x1F1E6 + ord("A")) for sign in demo["name"][:2])
        language = _COUNTRIES.get(country, country.lower())
        for speed in (0.5, 1.0, 2.0) if len(demo["text"]) < 500 else (1.0,):
            samples = mouth.say(demo["text"], language, speed)
            assert kinds(samples, demo["text"], language, speed) == [], demo["name"]


def test_a_sentence_is_no_loop_though_it_is_far_too_long(mouth: Mouth) -> None:
    for language, sentence in SENTENCES.items():
        samples = mouth.say(f"{sentence} {WORDS[language]}", language, 0.5)
        found = [finding.kind for finding in findings(samples, TOO_SOON)]
        assert found == ["too_long"], language


def test_a_recorded_voice_is_neither_silent_nor_stuck_nor_a_loop() -> None:
    files = sorted((test_data() / "clips").glob("*.wav"))
    assert files
    for file in files:
        samples, rate, channels = recorded(file)
        found = findings(samples, TOO_SOON, rate=rate, channels=channels)
        assert {finding.kind for finding in found} <= {"too_long"}, file.name


def test_a_recorded_voice_takes_a_plausible_time_for_a_text_of_its_length() -> None:
    demos = (test_data() / "moss" / "demo.jsonl").read_text("utf-8").splitlines()
    welcome = next(demo for demo in map(json.loads, demos) if demo["role"].endswith("zh_1.wav"))
    samples, rate, channels = recorded(test_data() / "clips" / "zh_1.wav")
    assert findings(samples, expected(welcome["text"], "zh"), rate=rate, channels=channels) == []
