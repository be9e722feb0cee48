"""A recording of one's own for the names whose voice was never published."""

from __future__ import annotations

import hashlib
import wave
from pathlib import Path

import numpy as np

from providers.moss_tts_nano.clips import useful
from providers.moss_tts_nano.parts import Encoder, Floats
from providers.moss_tts_nano.voices import Reference
from router.contract.errors import NotReady

_HOW = "ffmpeg -i IN -ar 48000 -c:a pcm_s16le OUT.wav makes such a file of any other."


def welcome_voice(path: Path, encoder: Encoder, rate: int) -> Reference:
    """The voice of a WAV. Blocking, for a second.

    Raises:
        NotReady: the file is not there, not such a WAV, or of no use.
    """
    try:
        data = path.read_bytes()
        samples = _samples(path, rate)
    except (OSError, wave.Error, EOFError) as error:
        what = getattr(error, "strerror", None) or str(error) or "it ends early"
        raise NotReady(f"`welcome_clip` {path} cannot be read: {what}. {_HOW}") from error
    codes = encoder.encode(useful(samples, rate))
    return Reference(("clip", hashlib.sha256(data).hexdigest()), codes)


def _samples(path: Path, rate: int) -> Floats:
    """float32 [2, length]"""
    with wave.open(str(path), "rb") as file:
        found = (file.getsampwidth(), file.getframerate(), file.getnchannels())
        if found[:2] != (2, rate) or found[2] not in (1, 2):
            raise wave.Error(f"it must have 16 bits, {rate} Hz, and one or two channels")
        raw = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    samples = (raw.reshape(-1, found[2]).T / 32768).astype(np.float32)
    return np.repeat(samples, 2, axis=0) if found[2] == 1 else samples
