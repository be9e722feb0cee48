"""Signs that a chunk has gone wrong, read from its frames while they come.

The model's stop is a draw like any other: it can miss it and speak on, say a short text again and
again, fall into silence in the middle of a sentence, or stop after half of it. Reports: OpenMOSS/
MOSS-TTS-Nano issues 44, 58, 60, 81; kizuna-ai-lab/sokuji issue 277; xue-fei/moss-tts-nano-unity.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal

import msgspec
import numpy as np

from providers.moss_tts_nano.parts import Floats, Ints
from providers.moss_tts_nano.settings import Guards

__all__ = ["Finding", "Guards", "Hush", "Watch", "fewest_frames", "frame_cap", "loudness_db"]

Fault = Literal["silence", "loop", "runaway", "cut"]
"""`silence`: nobody speaks any more. `loop`: the same frames again and again. `runaway`: far more
frames than the text can need. `cut`: far fewer, or the frames ended before the text."""

SILENT_CODES = frozenset({61, 233, 522, 825, 980, 1002})
"""First-codebook codes whose frames are silent, and the ones in which the model gets stuck: all of
81 frames with them were below -45 dB (xue-fei/moss-tts-nano-unity, 379 frames of six seeds). They
are codes of the published codec; they explain four silent frames in five."""

SILENT_DB = -45.0
"""Loudness (RMS, of full scale) below which a frame counts as silent; same source."""

LONGEST_PERIOD = 25
"""Frames of the longest loop that is looked for: 2 s, about a short phrase."""

LOOP_REPEATS = 3
LOOP_FRAMES = 24
"""A loop is told when it has come round so often and for so long (1.9 s). In the codes of the 18
builtin voices no code stands longer than 8 frames."""


class Finding(msgspec.Struct, frozen=True):
    """What is wrong, and how many frames were right before it began."""

    fault: Fault
    sound_frames: int


def frame_cap(tokens: int, guards: Guards) -> int:
    """Most frames for a text of so many tokens.

    Speech takes about 3 frames a token, 5 to 8 in the slowest voice and script (issue 58: 75 tokens
    of a night voice need more than 375 frames, 60 tokens fewer than 600).
    """
    if not guards.frames_per_token:
        return guards.most_frames
    return min(
        guards.most_frames, guards.spare_frames + math.ceil(guards.frames_per_token * tokens)
    )


def fewest_frames(text: str) -> float:
    """Frames that the fastest speech needs: 9 syllables a second where a character is one, else 25
    letters a second."""
    letters = [letter for letter in text if letter.isalnum()]
    syllables = sum(_is_syllable(letter) for letter in letters)
    return 12.5 * (syllables / 9 + (len(letters) - syllables) / 25)


def _is_syllable(letter: str) -> bool:
    return "\u3040" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7af"


class Watch:
    """One chunk's frames, heard as they come, until a fault is found or the model stops."""

    def __init__(self, text: str, tokens: int, guards: Guards) -> None:
        self._guards = guards
        self.cap = frame_cap(tokens, guards)
        self.frames = 0
        self._fewest = math.ceil(fewest_frames(text) * guards.fewest_frames_share)
        self._silence = _Run(guards.silent_frames)
        self._loop = _Loop() if guards.loops else None

    def hear(self, codes: Ints) -> Finding | None:
        """One frame's codes, [codebooks], that goes on."""
        self.frames += 1
        first = int(codes[0])
        if (began := self._silence.hear(first in SILENT_CODES)) is not None:
            return Finding("silence", began)
        if self._loop is not None and (began := self._loop.hear(first)) is not None:
            return Finding("loop", began)
        if self.frames >= self.cap:
            fault: Fault = "cut" if self.cap == self._guards.most_frames else "runaway"
            return Finding(fault, self.frames)
        return None

    def end(self) -> Finding | None:
        """The model has stopped by itself."""
        return Finding("cut", self.frames) if self.frames < self._fewest else None


class Hush:
    """Silence that is found by ear: it knows no code, so it serves any voice and any codec."""

    def __init__(self, frame_samples: int, guards: Guards) -> None:
        self._frame_samples = frame_samples
        self._run = _Run(guards.silent_frames)

    def hear(self, samples: Floats) -> Finding | None:
        """Whole frames of samples, float32 [channels, frames * frame_samples]."""
        found: int | None = None
        for loud in loudness_db(samples, self._frame_samples):
            began = self._run.hear(bool(loud < SILENT_DB))
            found = began if found is None else found
        return None if found is None else Finding("silence", found)


def loudness_db(samples: Floats, frame_samples: int) -> Floats:
    """RMS of each frame in dB of full scale, float32 [frames]; digital silence is -120."""
    frames = samples.reshape(samples.shape[0], -1, frame_samples).astype(np.float64)
    power = np.maximum((frames * frames).mean(axis=(0, 2)), 1e-12)
    loudness: Floats = (10 * np.log10(power)).astype(np.float32)
    return loudness


class _Run:
    """Frames in a row of which something is true; one in eight may miss it, as a click does."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._frames = 0
        self._recent: deque[bool] = deque(maxlen=max(limit, 1))

    def hear(self, is_so: bool) -> int | None:
        """The frame in which the run began, as soon as it is too long."""
        self._frames += 1
        self._recent.append(is_so)
        if not self._limit or len(self._recent) < self._limit or not (is_so and self._recent[0]):
            return None
        missed = len(self._recent) - sum(self._recent)
        return self._frames - self._limit if missed <= self._limit // 8 else None


class _Loop:
    """The same first codes again and again, with a period of one frame to two seconds."""

    def __init__(self) -> None:
        self._codes: deque[int] = deque(maxlen=max(LOOP_FRAMES, LONGEST_PERIOD * LOOP_REPEATS))
        self._same = [0] * (LONGEST_PERIOD + 1)
        self._frames = 0

    def hear(self, code: int) -> int | None:
        """The frame in which the loop began, as soon as it is one."""
        for period in range(1, min(LONGEST_PERIOD, len(self._codes)) + 1):
            self._same[period] = self._same[period] + 1 if self._codes[-period] == code else 0
        self._codes.append(code)
        self._frames += 1
        for period in range(1, LONGEST_PERIOD + 1):
            repeated = self._same[period]
            if repeated >= max(LOOP_FRAMES, period * LOOP_REPEATS) - period:
                return self._frames - repeated - period
        return None
