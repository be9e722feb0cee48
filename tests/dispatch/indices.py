"""Texts whose every word is a number, and sound in which each word can be counted again.

A word is 240 samples: a mark, then the number in two digits of base 100, each held for 80 samples.
What is missing, twice or cut is therefore seen in the samples themselves.
"""

from __future__ import annotations

import re

import numpy as np

_HELD = 80
_MARK = 30_000
_BASE = 100
_STEP, _ZERO = 100, 2_000


def words(count: int, first: int = 0) -> str:
    """Numbers in sentences of seven, in paragraphs of five sentences."""
    out = []
    for at in range(count):
        number = f"{first + at}"
        if (at + 1) % 35 == 0:
            out.append(f"{number}.\n\n")
        elif (at + 1) % 7 == 0:
            out.append(f"{number}! ")
        else:
            out.append(f"{number} ")
    return "".join(out)


def spoken_words(text: str) -> bytes:
    """The sound of such a text: 16-bit mono."""
    levels = []
    for number in re.findall(r"\d+", text):
        high, low = divmod(int(number), _BASE)
        levels += [_MARK, _ZERO + _STEP * high, _ZERO + _STEP * low]
    return np.repeat(np.array(levels, "<i2"), _HELD).tobytes()


def heard_words(pcm: bytes) -> list[int]:
    """The numbers in a sound, in the order in which they are heard. Raises where one is cut."""
    samples = np.frombuffer(pcm, "<i2")
    marks = samples == _MARK
    begins = np.flatnonzero(marks & ~np.concatenate([[False], marks[:-1]]))
    numbers = []
    for begin in begins:
        word = samples[begin : begin + 3 * _HELD].reshape(3, _HELD)
        assert (word == word[:, :1]).all(), "a word is cut"
        high, low = (int(word[row, 0]) - _ZERO for row in (1, 2))
        numbers.append(high // _STEP * _BASE + low // _STEP)
    return numbers
