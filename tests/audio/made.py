"""Files to take apart: WAVs by hand, and every codec by ffmpeg."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache

import pytest

from router.contract.audio import Encoding

ENDLESS = 0xFFFF_FFFF
SAMPLES = bytes(range(256)) * 4

# The encoder and the muxer of each, as ffmpeg calls them.
_ARGUMENTS: dict[Encoding, tuple[str, ...]] = {
    "mp3": ("-c:a", "libmp3lame", "-f", "mp3"),
    "aac": ("-c:a", "aac", "-f", "adts"),
    "flac": ("-c:a", "flac", "-f", "flac"),
    "opus": ("-c:a", "libopus", "-f", "ogg"),
    "ogg": ("-c:a", "libopus", "-f", "ogg"),
    "wav": ("-c:a", "pcm_s16le", "-f", "wav"),
    "pcm": ("-c:a", "pcm_s16le", "-f", "s16le"),
}


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    """A RIFF chunk, padded to an even length; `size` is what it says of itself."""
    stated = len(body) if size is None else size
    return struct.pack("<4sI", name, stated) + body + b"\0" * (len(body) % 2)


def fmt(rate: int = 24_000, channels: int = 1, tag: int = 1, bits: int = 16) -> bytes:
    """The fields of a `fmt ` chunk."""
    block = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)


def wav(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def plain(size: int | None = None, samples: bytes = SAMPLES) -> bytes:
    """A WAV of 24 kHz mono; `size` is what its `data` chunk says of itself."""
    return wav(chunk(b"fmt ", fmt()), chunk(b"data", samples, size))


def cut(body: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The body in pieces of these sizes, the last one as long as it must be."""
    at = 0
    for size in sizes:
        if at >= len(body):
            return
        yield body[at : at + size]
        at += size
    if at < len(body):
        yield body[at:]


@cache
def encoded(encoding: Encoding, rate: int, channels: int, *more: str) -> bytes:
    """Half a second of a tone as ffmpeg encodes it. Without ffmpeg the test is skipped."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed: it makes the files that are taken apart here")
    tone = f"sine=frequency=440:duration=0.5:sample_rate={rate}"
    return subprocess.run(
        [
            *(ffmpeg, "-v", "error", "-f", "lavfi", "-i", tone, "-ac", str(channels)),
            *(*_ARGUMENTS[encoding], *more, "pipe:1"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    ).stdout
