"""A tone in 16-bit PCM, the same bytes every time.

It needs no numpy, so that a plugin that imports it stays light.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Iterator

from router.contract.audio import AudioFormat

HERTZ = 440
PEAK = 8000
RATE = 24_000
"""Where a format leaves the rate open. It leaves one channel then, too."""
UNSIZED = 0xFFFF_FFFF
"""What a RIFF size says where there is no end."""


def tone(
    seconds: float, format: AudioFormat, chunk_s: float, *, ragged: bool = False
) -> Iterator[tuple[float, bytes]]:
    """Chunks of s16le, each with the audio seconds before it; endless for `math.inf` seconds.

    `ragged` cuts them inside a sample.
    """
    rate, frame_bytes = _rate_and_frame(format)
    period = _whole_period(format)
    size = max(1, round(chunk_s * rate)) * frame_bytes - ragged
    total = tone_bytes(seconds, format)
    start = 0
    while start < total:
        count = int(min(size, total - start))
        offset = start % len(period)
        cycles = (offset + count) // len(period) + 1
        yield start / (rate * frame_bytes), (period * cycles)[offset : offset + count]
        start += count


def tone_bytes(seconds: float, format: AudioFormat) -> float:
    """How long the tone is; infinite for an endless one."""
    rate, frame_bytes = _rate_and_frame(format)
    return seconds if math.isinf(seconds) else round(seconds * rate) * frame_bytes


def slices(body: bytes, seconds: float, chunk_s: float) -> Iterator[tuple[float, bytes]]:
    """A finished body in as many chunks as its audio would have, each with the seconds before."""
    share = min(1.0, chunk_s / seconds) if seconds else 1.0
    size = max(1, math.ceil(len(body) * share))
    for start in range(0, len(body), size):
        yield seconds * start / len(body), body[start : start + size]


def wav_header(data_bytes: float, format: AudioFormat) -> bytes:
    """A RIFF header of 44 bytes; without an end, or above 4 GiB, it says the largest size."""
    rate, frame_bytes = _rate_and_frame(format)
    size = int(min(data_bytes, UNSIZED - 36))
    linear_pcm = (16, 1, frame_bytes // 2, rate, rate * frame_bytes, frame_bytes, 16)
    sized = UNSIZED if size == UNSIZED - 36 else size
    return (
        struct.pack("<4sI4s", b"RIFF", size + 36, b"WAVE")
        + struct.pack("<4sIHHIIHH", b"fmt ", *linear_pcm)
        + struct.pack("<4sI", b"data", sized)
    )


def _rate_and_frame(format: AudioFormat) -> tuple[int, int]:
    return format.sample_rate or RATE, 2 * (format.channels or 1)


def _whole_period(format: AudioFormat) -> bytes:
    """The shortest run of whole cycles that is also a whole number of frames."""
    rate, frame_bytes = _rate_and_frame(format)
    turn = 2 * math.pi * HERTZ / rate
    samples = array("h")
    for frame in range(rate // math.gcd(rate, HERTZ)):
        samples.extend([round(PEAK * math.sin(turn * frame))] * (frame_bytes // 2))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
