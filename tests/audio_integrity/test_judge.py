"""How a judge behaves while it hears: when sound may leave, and that only the sound counts."""

from __future__ import annotations

import time
import tracemalloc

import msgspec
import numpy as np
import pytest

from router.audio.integrity import Finding, Judge, expected
from router.settings.integrity import Integrity
from tests.audio_integrity.sounds import (
    DEFAULTS,
    RATE,
    Mouth,
    Samples,
    findings,
    noise,
    silence,
    tone,
)
from tests.audio_integrity.texts import SENTENCES

WANTED = expected(SENTENCES["en"], "en")


def judge() -> Judge:
    return Judge(WANTED, DEFAULTS)


def test_sound_may_leave_with_its_first_frame() -> None:
    ears = judge()
    assert not ears.may_leave
    assert ears.feed(silence(0.1).tobytes(), RATE, 1) is None
    assert not ears.may_leave
    ears.feed(tone(0.04).tobytes(), RATE, 1)
    assert ears.may_leave


@pytest.mark.parametrize("chunk_s", [0.001, 0.02, 0.1])
def test_what_begins_in_silence_is_held_for_three_tenths_of_a_second(chunk_s: float) -> None:
    ears = judge()
    while not ears.may_leave:
        ears.feed(silence(chunk_s).tobytes(), RATE, 1)
    assert 0.299 < ears.seconds < 0.3 + 2 * chunk_s


def test_nothing_is_held_longer_than_three_tenths() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"hold_s": 0.4}, Integrity)


def test_seconds_are_what_was_fed() -> None:
    ears = judge()
    ears.feed(tone(1.5).tobytes(), RATE, 1)
    ears.feed(np.zeros(2 * 4_800, np.int16).tobytes(), 48_000, 2)
    assert ears.seconds == pytest.approx(1.6, abs=1e-3)


def test_a_finding_is_told_once_and_the_certain_one_after_the_doubt() -> None:
    ears = judge()
    told = [ears.feed(silence(1).tobytes(), RATE, 1) for _ in range(10)] + [ears.finish()]
    found = [finding for finding in told if finding]
    assert [(finding.kind, finding.hard) for finding in found] == [
        ("silent", False),
        ("silent", True),
    ]


def test_a_text_without_letters_may_be_silent_but_not_nothing() -> None:
    wanted = expected("…!", "en")
    assert findings(silence(0.3), wanted) == []
    assert [finding.kind for finding in findings(silence(0), wanted)] == ["empty"]


def test_the_cut_of_the_chunks_does_not_matter(mouth: Mouth) -> None:
    speech = mouth.say(SENTENCES["en"], "en")
    stuck = np.concatenate([speech, np.tile(speech[:30_000], 40), silence(9), tone(9)])

    def found(chunk_s: float) -> set[str]:
        return {finding.kind for finding in findings(stuck, WANTED, chunk_s=chunk_s)}

    assert found(0.37) == {"loop", "silent", "too_long"}
    for chunk_s in (0.0007, 0.02, 10):
        assert found(chunk_s) == found(0.37)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_is_heard_at_every_rate_in_either_channel(rate: int, channels: int) -> None:
    t = np.arange(rate * 8) / rate
    swelling = (9_000 * np.sin(2 * np.pi * 300 * t) * np.abs(np.sin(2 * np.pi * t))).astype("<i2")
    opposite = np.zeros((len(swelling), channels), np.int16)
    opposite[:, -1] = -swelling
    opposite[:, 0] = swelling
    one_sided = opposite.copy()
    one_sided[:, -1] = 0
    heard = [opposite] if channels == 1 else [opposite, one_sided]
    for samples in heard:
        assert findings(samples.reshape(-1), WANTED, rate=rate, channels=channels) == []


def test_a_provider_may_ignore_the_speed() -> None:
    def found(seconds: float, speed: float) -> list[Finding]:
        swelling = noise(seconds) * np.abs(np.sin(np.arange(int(seconds * RATE)) / 2_000))
        return findings(swelling.astype(np.int16), expected(SENTENCES["en"], "en", speed))

    assert found(6.5, 0.25) == found(6.5, 4.0) == []


def test_memory_does_not_grow_with_the_speech() -> None:
    minute: Samples = (noise(60) * np.abs(np.sin(np.arange(60 * RATE) / 3_000))).astype(np.int16)
    body = minute.tobytes()
    ears = judge()
    ears.feed(body, RATE, 1)
    tracemalloc.start()
    try:
        for _ in range(5):
            ears.feed(body, RATE, 1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(("rate", "channels"), [(24_000, 1), (48_000, 2)])
def test_judging_takes_far_less_than_the_audio_lasts(rate: int, channels: int) -> None:
    chunk = noise(60)[: rate * channels // 10].tobytes()
    ears = judge()
    began = time.thread_time()
    for _ in range(600):
        ears.feed(chunk, rate, channels)
    ears.finish()
    assert time.thread_time() - began < 60 * 0.005  # 0.3 to 0.8 ms a second were measured


@pytest.mark.parametrize("key", ["silense_db", "loud_db"])
def test_a_threshold_that_does_not_exist_is_refused(key: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({key: 1}, Integrity)


def test_thresholds_can_be_set() -> None:
    strict = msgspec.convert({"quiet_s": 1, "silence_db": -40}, Integrity)
    faint = tone(2, peak=100)
    assert [finding.kind for finding in findings(faint, WANTED, settings=strict)] == [
        "silent",
        "silent",
    ]
