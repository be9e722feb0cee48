"""Files as providers send them, made by ffmpeg, and how they go through the router."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from router.audio.pipeline import Pipeline
from router.contract.audio import ENCODINGS, AudioFormat, Encoding
from tests.audio.codings import coding
from tests.audio.ffmpeg import MAKES, made
from tests.audio.glide import glide, pcm

KINDS = tuple(MAKES)
"""What providers send: the formats that can be asked for, and Vorbis."""
RATES = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
OPUS_RATES = (8_000, 16_000, 24_000, 48_000)

_ENCODINGS: Mapping[str, Encoding] = {"vorbis": "ogg", **{name: name for name in ENCODINGS}}


class Native(NamedTuple):
    """A file as a provider sends it."""

    kind: str
    body: bytes
    rate: int
    channels: int
    frames: int

    @property
    def format(self) -> AudioFormat:
        if self.kind == "pcm":
            return AudioFormat("pcm", self.rate, self.channels)
        return AudioFormat(_ENCODINGS[self.kind])

    @property
    def sounds_at(self) -> int:
        """The rate in hertz that it is decoded to."""
        return sounds_at(self.kind, self.rate)

    @property
    def decoded(self) -> int:
        """The frames that a decoder gives."""
        return coding(self.kind).length(self.frames, self.rate) * self.sounds_at // self.rate


def natives(kind: str, folder: Path, seconds: float, *, start_s: float = 0.0) -> list[Native]:
    """The sound in a format, at every rate that it has, in mono and in stereo."""
    rates = OPUS_RATES if kind in ("opus", "ogg") else RATES
    shapes = [(rate, channels) for rate in rates for channels in (1, 2)]
    lengths = [round(rate * seconds) | 1 for rate, _ in shapes]
    sounds = [
        (pcm(glide(frames, *shape, start_s=start_s)), *shape)
        for frames, shape in zip(lengths, shapes, strict=True)
    ]
    return [
        Native(kind, body, *shape, frames)
        for body, shape, frames in zip(made(kind, sounds, folder), shapes, lengths, strict=True)
    ]


def spoken(pipeline: Pipeline, native: Native, dice: random.Random) -> bytes:
    """A whole piece through the router, in chunks of any size."""
    pipeline.begin(native.format)
    return b"".join(map(pipeline.feed, cut(native.body, dice))) + pipeline.end()


def cut(body: bytes, dice: random.Random) -> Iterator[bytes]:
    """Chunks of any size, from one byte to all."""
    at = 0
    while at < len(body):
        size = dice.randint(1, dice.choice((3, 40, 400, 4_000, 40_000)))
        yield body[at : at + size]
        at += size


def sounds_at(kind: str, rate: int) -> int:
    """The rate that a decoder gives: Opus always 48 kHz, whatever went in (RFC 7845, 5.1)."""
    return 48_000 if kind in ("opus", "ogg") else rate
