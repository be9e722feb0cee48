"""What a body sounds like, as far as that can be measured."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import wave
from array import array
from pathlib import Path

import msgspec
import pytest

AUDIBLE = 1000
"""A peak of 16-bit samples that nobody misses: 3 % of the range."""


class Sound(msgspec.Struct, frozen=True):
    """PCM, measured."""

    seconds: float
    sample_rate: int
    channels: int
    peak: int

    @property
    def is_audible(self) -> bool:
        return self.peak > AUDIBLE

    def could_say(self, text: str) -> bool:
        """Whether it is about as long as somebody takes to say the text: five to thirty signs a
        second."""
        return len(text) / 30 < self.seconds < len(text) / 5 + 0.5


def of_wav(body: bytes) -> Sound:
    """A whole WAV with exact sizes."""
    with wave.open(io.BytesIO(body)) as file:
        assert file.getsampwidth() == 2
        frames = file.readframes(file.getnframes())
        assert len(frames) == file.getnframes() * file.getnchannels() * 2
        return of_pcm(frames, file.getframerate(), file.getnchannels())


def of_pcm(body: bytes, sample_rate: int, channels: int) -> Sound:
    """Raw 16-bit little-endian samples."""
    samples = array("h", body)
    if sys.byteorder == "big":
        samples.byteswap()
    peak = max(map(abs, samples)) if samples else 0
    return Sound(len(samples) / channels / sample_rate, sample_rate, channels, peak)


class Probed(msgspec.Struct, frozen=True):
    """What ffprobe says of a file."""

    container: str
    codec: str
    sample_rate: int
    channels: int
    seconds: float


def probed(file: Path) -> Probed:
    """Ask ffprobe; the test is skipped where there is none."""
    program = needed("ffprobe")
    asked = ("-v", "error", "-show_streams", "-show_format", "-of", "json", str(file))
    said = json.loads(subprocess.run([program, *asked], check=True, capture_output=True).stdout)
    (stream,) = said["streams"]
    return Probed(
        container=said["format"]["format_name"],
        codec=stream["codec_name"],
        sample_rate=int(stream["sample_rate"]),
        channels=stream["channels"],
        seconds=float(said["format"]["duration"]),
    )


def needed(program: str) -> str:
    """The path of a program; the test is skipped where it is missing."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path
