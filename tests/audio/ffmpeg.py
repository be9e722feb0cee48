"""Debian's ffmpeg as a second opinion: it makes what providers send and hears what we answer."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.audio.glide import Samples
from tests.support.sound import needed

_PATIENCE_S = 50
_INPUT = re.compile(r"^Input #(\d+), ([\w,]+), from", re.MULTILINE)
_STREAM = re.compile(r"Stream #(\d+):0.*: Audio: (\w+).*?, (\d+) Hz, (mono|stereo)")

# The encoder and the muxer of each, as ffmpeg calls them. A provider that streams has no Xing head.
MAKES: Mapping[str, Sequence[str]] = {
    "pcm": ("-f", "s16le"),
    "wav": ("-f", "wav"),
    "flac": ("-f", "flac"),
    "opus": ("-c:a", "libopus", "-f", "opus"),
    "ogg": ("-c:a", "libopus", "-f", "ogg"),
    "vorbis": ("-c:a", "libvorbis", "-f", "ogg"),
    "mp3": ("-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"),
    "aac": ("-c:a", "aac", "-f", "adts"),
}


class Sound(NamedTuple):
    """What ffmpeg hears in a file."""

    container: str
    codec: str
    rate: int
    samples: Samples

    @property
    def frames(self) -> int:
        return len(self.samples)

    @property
    def channels(self) -> int:
        return int(self.samples.shape[1])


def made(
    kind: str, sounds: Iterable[tuple[bytes, int, int]], folder: Path, *more: str
) -> list[bytes]:
    """Encode these PCM sounds, each with its rate and channels, in one process."""
    given: list[str] = []
    wanted: list[str] = []
    files: list[Path] = []
    for at, (pcm, rate, channels) in enumerate(sounds):
        raw = folder / f"{kind}-{at}.pcm"
        raw.write_bytes(pcm)
        files.append(folder / f"{kind}-{at}.made")
        given += ["-f", "s16le", "-ar", str(rate), "-ac", str(channels), "-i", str(raw)]
        wanted += ["-map", f"{at}:0", *MAKES[kind], *more, str(files[-1])]
    _run(["-v", "error", *given, *wanted])
    return [file.read_bytes() for file in files]


def heard(bodies: Sequence[bytes], folder: Path, *known: Sequence[str]) -> list[Sound]:
    """Decode these bodies in one process; `known` tells of each what its bytes cannot."""
    given: list[str] = []
    wanted: list[str] = []
    files: list[Path] = []
    for at, body in enumerate(bodies):
        file = folder / f"{at}.body"
        file.write_bytes(body)
        files.append(folder / f"{at}.raw")
        given += [*(known[at] if known else ()), "-i", str(file)]
        wanted += ["-map", f"{at}:0", "-f", "s16le", str(files[-1])]
    told = _run(["-hide_banner", "-nostats", *given, *wanted]).partition("Output #0")[0]
    containers = {int(at): name for at, name in _INPUT.findall(told)}
    streams = {int(at): rest for at, *rest in _STREAM.findall(told)}
    return [_sound(file, containers[at], *streams[at]) for at, file in enumerate(files)]


def raw(rate: int, channels: int) -> Sequence[str]:
    """What must be told of headerless PCM."""
    return ("-f", "s16le", "-ar", str(rate), "-ac", str(channels))


def _sound(file: Path, container: str, codec: str, rate: str, layout: str) -> Sound:
    values = np.frombuffer(file.read_bytes(), "<i2") / 32_768
    return Sound(container, codec, int(rate), values.reshape(-1, 1 if layout == "mono" else 2))


def _run(arguments: Sequence[str]) -> str:
    """What it said on stderr; the test is skipped where there is no ffmpeg."""
    command = [needed("ffmpeg"), "-nostdin", "-y", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, timeout=_PATIENCE_S)
    told = done.stderr.decode(errors="replace")
    assert done.returncode == 0, told[-2_000:]
    return told
