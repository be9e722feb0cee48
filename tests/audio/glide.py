"""A sound that is known at every instant: two gliding voices, the same at any sample rate.

It is made from a formula, so that what comes out of a resampler is held against the sound itself
and not against another resampler. It has nothing above 2.9 kHz, so that 8 kHz can hold it; it never
repeats, so that there is one right place for it; and it is loud to its last sample.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float64]]
"""float64 [frames, channels], -1..1."""

_HIGHEST_HZ = 2_900.0
_PITCHES = ((110.0, 90.0), (165.0, -60.0))
"""Of each channel: its pitch at the start in hertz, and how much it rises in a second."""


@cache
@cache
def glide(frames: int, rate: int, channels: int, *, start_s: float = 0.0) -> Samples:
    """The sound from `start_s` on; mono is the mean of both channels."""
    t = start_s + np.arange(frames) / rate
    both = np.stack([_voice(t, *pitch) for pitch in _PITCHES], axis=1)
    return both if channels == 2 else both.mean(axis=1, keepdims=True)


def _voice(t: Any, pitch: float, rise: float) -> Any:
    """Harmonics of a gliding pitch, loud as in a vowel, in syllables of a quarter second."""
    turn = np.exp(2j * np.pi * (pitch * t + rise * t * t / 2))
    count = int(_HIGHEST_HZ / (pitch + max(0.0, rise) * float(t[-1])))
    harmonic, sound = turn, np.zeros(len(t))
    for h in range(1, count + 1):
        sound += (harmonic * np.exp(1j * h * h)).imag / h**0.8
        harmonic = harmonic * turn
    syllables = 0.65 + 0.35 * np.cos(2 * np.pi * 4 * t)
    return 0.1 * syllables * sound


def pcm(samples: Samples) -> bytes:
    """The samples as interleaved 16-bit little-endian."""
    return np.rint(samples * 32_767).astype("<i2").tobytes()


def likeness(heard: Samples, wanted: Samples) -> float:
    """The correlation of two sounds of one shape, over all their channels: 1 is the same."""
    energy = np.sqrt(_product(heard, heard) * _product(wanted, wanted))
    return _product(heard, wanted) / float(energy) if energy else 0.0


def place(heard: Samples, wanted: Samples, near: int) -> int:
    """At which frame of `heard` the sound begins: the likeliest within six of `near`."""
    around = range(max(0, near - 6), near + 7)
    one, other = heard.sum(axis=1), wanted.sum(axis=1)
    return max(
        around, key=lambda at: _product(one[at : at + len(other)], other[: max(0, len(one) - at)])
    )


def _product(one: Samples, other: Samples) -> float:
    """Without BLAS, whose threads cost more here than they bring."""
    return float(np.multiply(one, other).sum())
