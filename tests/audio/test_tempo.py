"""Speed and pitch made here: the length is right, the pitch is right, and one leaves the other."""

from __future__ import annotations

import random

import numpy as np
import pytest

from router.audio.tempo import Tempo

RATE = 24_000
SECONDS = 4.0
TONE_HZ = 330.0


def tone(rate: int, channels: int) -> bytes:
    """A steady tone that swells and fades four times a second, as syllables do."""
    at = np.arange(int(SECONDS * rate)) / rate
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * at)
    mono = (12_000 * swell * np.sin(2 * np.pi * TONE_HZ * at)).astype("<i2")
    return np.repeat(mono, channels).tobytes()


def stretched(
    rate: int, channels: int, speed: float, semitones: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """One channel of what comes out, fed in pieces of any size."""
    dice = random.Random(f"{rate} {channels} {speed} {semitones}")
    tempo, sound, out, at = Tempo(rate, channels, speed, semitones), tone(rate, channels), b"", 0
    while at < len(sound):
        size = dice.choice((1, 333, 4_096, 65_537))
        out += tempo.feed(sound[at : at + size])
        at += size
    out += tempo.finish()
    return np.frombuffer(out, dtype="<i2").reshape(-1, channels)[:, 0].astype(np.float64)


def loudest_hz(samples: np.ndarray[tuple[int], np.dtype[np.float64]], rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


@pytest.mark.parametrize("semitones", [-12, -5, 0, 3.5, 12])
@pytest.mark.parametrize("speed", [0.1, 0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 3.3, 5.0])
def test_the_length_is_right_within_two_percent(speed: float, semitones: float) -> None:
    samples = stretched(RATE, 1, speed, semitones)
    assert len(samples) / RATE == pytest.approx(SECONDS / speed, rel=0.02)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 2), (44_100, 1), (48_000, 2)])
def test_so_it_is_at_other_rates_and_with_two_channels(rate: int, channels: int) -> None:
    for speed, semitones in ((0.1, 0), (0.7, 4), (1.5, -4), (5.0, 12)):
        samples = stretched(rate, channels, speed, semitones)
        assert len(samples) / rate == pytest.approx(SECONDS / speed, rel=0.02)


@pytest.mark.parametrize("semitones", [-12, -5, 0, 3.5, 12])
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_the_pitch_moves_by_semitones_and_not_with_the_speed(
    speed: float, semitones: float
) -> None:
    wanted = TONE_HZ * 2 ** (semitones / 12)
    assert loudest_hz(stretched(RATE, 1, speed, semitones), RATE) == pytest.approx(wanted, rel=0.02)
