"""Guards: what is told from frames alone, and real speech that must not be accused."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest

from providers.moss_tts_nano.guards import (
    Finding,
    Guards,
    Hush,
    Watch,
    fewest_frames,
    frame_cap,
    loudness_db,
)
from providers.moss_tts_nano.parts import Floats, Ints

GUARDS = Guards()
SENTENCE = "This is an ordinary sentence of an ordinary length, more or less."
TOKENS = 16


def frame(first: int) -> Ints:
    return np.full(16, first, np.int32)


def speech(frames: int, seed: int = 0) -> list[int]:
    """First codes as speech has them: hardly one like the one before."""
    codes = np.random.default_rng(seed).integers(100, 200, frames)
    return [int(code) for code in codes]


def heard(codes: list[int], watch: Watch | None = None) -> Finding | None:
    """The first fault in these frames; `None`: there was none, and the model stopped after them."""
    watch = watch or Watch(SENTENCE, TOKENS, GUARDS)
    found = (watch.hear(frame(code)) for code in codes)
    return next((finding for finding in found if finding), None) or watch.end()


def test_speech_that_stops_in_time_is_right() -> None:
    assert heard(speech(60)) is None


def test_a_pause_is_no_fault_and_a_long_silence_is() -> None:
    silent = [522, 233, 825, 1002] * 10
    assert heard(speech(20) + silent[:14] + speech(20, 1)) is None
    assert heard(speech(20) + silent + speech(20, 1)) == Finding("silence", 20)


def test_one_click_does_not_hide_a_silence() -> None:
    silent = [522] * 9 + [150] + [61] * 9
    found = heard(speech(20) + silent)
    assert found == Finding("silence", 20)


def test_silence_before_the_first_word_is_told_too() -> None:
    assert heard([825] * 30 + speech(20)) == Finding("silence", 0)


@pytest.mark.parametrize("period", [1, 2, 7, 25])
def test_a_loop_is_found_where_it_began(period: int) -> None:
    loop = list(range(300, 300 + period))
    found = heard(speech(30) + loop * (80 // period + 3))
    assert found == Finding("loop", 30)


def test_a_word_that_is_said_twice_is_no_loop() -> None:
    word = speech(9, 3)
    assert heard(speech(20) + word + word + speech(20, 1)) is None


def test_speech_without_an_end_is_a_runaway_at_its_cap() -> None:
    found = heard(speech(1000))
    assert found == Finding("runaway", frame_cap(TOKENS, GUARDS))


@pytest.mark.parametrize(
    ("tokens", "needed", "reported"),
    [
        pytest.param(3, 12, 125, id="issue 60: two characters, ten seconds and more"),
        pytest.param(2, 8, 212, id="issue 81: one word, seventeen seconds"),
        pytest.param(3, 8, 362, id="issue 44: three characters, 362 frames"),
        pytest.param(20, 48, None, id="a greeting of the authors, 48 frames"),
        pytest.param(60, 450, None, id="issue 58: the night voice, six seconds for ten tokens"),
    ],
)
def test_the_cap_lets_slow_speech_be_and_catches_what_was_reported(
    tokens: int, needed: int, reported: int | None
) -> None:
    cap = frame_cap(tokens, GUARDS)
    assert cap > needed
    assert reported is None or cap < reported


def test_the_most_frames_end_a_chunk_of_any_length() -> None:
    guards = Guards(most_frames=40)
    assert frame_cap(75, guards) == 40
    assert heard(speech(60), Watch(SENTENCE, 75, guards)) == Finding("cut", 40)


def test_an_end_long_before_the_text_can_have_been_said_is_a_cut() -> None:
    assert heard(speech(8)) == Finding("cut", 8)
    watch = Watch("夜深了，城市的灯一盏一盏慢慢安静下来。", 14, GUARDS)
    assert heard(speech(6), watch) == Finding("cut", 6)


def test_no_frame_at_all_is_a_cut_when_there_is_something_to_say() -> None:
    assert heard([], Watch("Hi", 1, GUARDS)) == Finding("cut", 0)
    assert heard([], Watch("…", 1, GUARDS)) is None


def test_each_guard_can_be_turned_off() -> None:
    off = Guards(
        most_frames=2000, frames_per_token=0, silent_frames=0, loops=False, fewest_frames_share=0
    )
    watch = Watch(SENTENCE, TOKENS, off)
    assert all(watch.hear(frame(522)) is None for _ in range(1999))
    assert Watch(SENTENCE, TOKENS, off).end() is None


def tone(frames: int, level: float) -> Floats:
    """Noise with an RMS of `level`."""
    noise = np.random.default_rng(0).uniform(-1, 1, (2, frames * 3840)) * np.sqrt(3)
    samples: Floats = (noise * level).astype(np.float32)
    return samples


def test_loudness_is_measured_frame_by_frame() -> None:
    samples = np.concatenate([tone(1, 0.1), tone(1, 0.001), np.zeros((2, 3840), np.float32)], 1)
    assert loudness_db(samples, 3840) == pytest.approx([-20, -60, -120], abs=0.2)


def test_silence_is_found_by_ear_across_the_pieces_it_comes_in() -> None:
    hush = Hush(3840, GUARDS)
    assert hush.hear(tone(10, 0.1)) is None
    assert hush.hear(tone(8, 0.001)) is None
    found = [hush.hear(tone(1, 0.001)) for _ in range(12)]
    told = next(finding for finding in found if finding)
    assert told.fault == "silence"
    assert 8 <= told.sound_frames <= 10


def test_no_real_voice_is_accused() -> None:
    data = os.environ.get("TTS_TEST_DATA")
    if data is None:
        pytest.skip("TTS_TEST_DATA is not set: the folder with the real voices' codes")
    voices = json.loads((Path(data) / "moss/builtin_voices.json").read_text("utf-8"))
    assert len(voices) == 18
    patient = Guards(frames_per_token=0)
    for voice in voices:
        watch = Watch("", 0, patient)
        codes = np.array(voice["prompt_audio_codes"], np.int32)
        assert not any(watch.hear(one) for one in codes), voice["voice"]


def test_the_fewest_frames_grow_with_letters_and_syllables() -> None:
    assert fewest_frames("a" * 25) == pytest.approx(12.5)
    assert fewest_frames("夜" * 9) == pytest.approx(12.5)
    assert fewest_frames("… , !") == 0
    pairs = itertools.pairwise(fewest_frames("word " * count) for count in range(1, 20))
    assert all(shorter < longer for shorter, longer in pairs)
