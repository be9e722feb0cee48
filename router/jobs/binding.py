"""The pieces of a job made into one file: decoded, set behind each other, coded once.

It holds one piece's block at a time, however long the whole is. It blocks: it is for a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import msgspec

from router.audio.codecs import flac_exact
from router.audio.pcm import SAMPLE_BYTES
from router.audio.pipeline import Pipeline, preload
from router.audio.wav import header
from router.contract.audio import AudioFormat
from router.jobs.sizing import WAV_MOST_BYTES

_BLOCK_BYTES = 65_536
_FLAC_HEAD_BYTES = 42
_KEPT = AudioFormat("flac")


class Part(msgspec.Struct, frozen=True):
    """A piece, and the silence behind it."""

    path: Path
    pause_s: float


class Bound(msgspec.Struct, frozen=True):
    """What came of it."""

    format: AudioFormat
    """With its rate and channels."""
    audio_ms: int
    bytes: int


class TooLarge(Exception):
    """It does not fit into a WAV."""


class Stopped(Exception):
    """Somebody asked for it."""


def bind(
    parts: Iterable[Part], wanted: AudioFormat, file: IO[bytes], is_stopped: Callable[[], bool]
) -> Bound:
    """Write all parts into a file as one speech in the wanted format.

    Raises:
        TooLarge, Stopped: the file is of no use.
        ProviderError: a piece cannot be read.
    """
    preload()
    pipeline = Pipeline(wanted)
    written = 0

    def write(out: bytes) -> None:
        nonlocal written
        written += file.write(out)
        if wanted.encoding == "wav" and written > WAV_MOST_BYTES:
            raise TooLarge

    for part in parts:
        pipeline.begin(_KEPT)
        with part.path.open("rb") as piece:
            while block := piece.read(_BLOCK_BYTES):
                if is_stopped():
                    raise Stopped
                write(pipeline.feed(block))
        write(pipeline.end())
        if part.pause_s:
            write(_silence(pipeline, part.pause_s))
    write(pipeline.finish())
    _exact(file, pipeline, written)
    return Bound(pipeline.format, round(1000 * (pipeline.seconds or 0.0)), written)


def _silence(pipeline: Pipeline, seconds: float) -> bytes:
    """A pause, in the format of the whole."""
    rate, channels = pipeline.format.sample_rate, pipeline.format.channels
    assert rate is not None
    assert channels is not None
    pipeline.begin(AudioFormat("pcm", rate, channels))
    return pipeline.feed(bytes(round(seconds * rate) * channels * SAMPLE_BYTES)) + pipeline.end()


def _exact(file: IO[bytes], pipeline: Pipeline, written: int) -> None:
    """Put the true sizes into a header that could not know them."""
    format = pipeline.format
    if format.encoding == "wav":
        assert format.sample_rate is not None
        assert format.channels is not None
        size = len(header(format.sample_rate, format.channels, 0))
        file.seek(0)
        file.write(header(format.sample_rate, format.channels, written - size))
    elif format.encoding == "flac":
        file.seek(0)
        head = bytearray(file.read(_FLAC_HEAD_BYTES))
        flac_exact(head, pipeline.frames)
        file.seek(0)
        file.write(head)
