"""Whether what a provider gave can be the speech of its text.

A judge hears 16-bit samples as they come, holds a few numbers for each 20 ms of them, and says what
it finds. It knows nothing of words: it compares loudness, length and repetition with what the
text lets expect.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from router.settings.integrity import Integrity

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]

What = Literal["empty", "silent", "too_short", "too_long", "loop"]


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with a speech."""

    kind: What
    hard: bool
    """Certain; otherwise it is only very unlikely that this is the speech of its text."""
    message: str
    """For people; nothing of the text is in it."""


# ---- what a text lets expect


class Expected(msgspec.Struct, frozen=True):
    """What is known of a speech before it is heard."""

    characters: int
    """Letters and digits."""
    language: str
    least_s: float
    """Seconds that the fastest reader would need who leaves out every sign and foreign letter."""
    most_s: float
    """Seconds that a slow reader would need who names every sign and pauses at every stop."""
    stretch: float = 1.0
    """How much longer than usual a pause may last."""


class _Pace(NamedTuple):
    """Seconds for one character."""

    least: float
    most: float


# Readers of ten languages say 5 to 8 syllables a second (Pellegrino et al. 2011, Language 87:3),
# slow ones half as many; espeak-ng at 175 words a minute says 10 to 18 letters (measured).
_ALPHABET = _Pace(0.05, 0.15)
_CAPITAL = _Pace(0.05, 0.45)  # perhaps spelt: NASA, WWW
_SPELT = 0.45
_BARE = _Pace(0.06, 0.22)  # Arabic, Hebrew: the vowels are not written
_SYLLABLE = _Pace(0.12, 0.45)  # Han, Hangul, Ethiopic, Yi
_MORA = _Pace(0.08, 0.3)  # kana
_ABUGIDA = _Pace(0.07, 0.3)  # a consonant with its vowel; vowel signs are marks, not letters
_DIGIT = _Pace(0.1, 1.0)
_ZERO = _Pace(0.0, 1.0)  # 1,000,000 is two words
_STOP = 1.0
_NAMED = 1.0
_EMOJI = 3.0
_LINE = 1.5
