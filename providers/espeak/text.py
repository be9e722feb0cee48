"""What is done to a text so that espeak-ng says all of it.

The limits were measured on espeak-ng 1.52 by the length of what came out: beyond them it drops
sounds and reports no error.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_CONTROLS = {code: " " for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""Among them 1, which begins a command of espeak-ng, and NUL, which ends a text in C."""

_HAN = re.compile(r"[々〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")

_LETTER = r"[^\W_]"
_MARK = r"(?!\w)[\u0300-\u036f\u064b-\u065f\u0900-\u109f]"
"""Vowel signs, which \\w does not know. The ranges hold letters too: without the look ahead a word
of thirty of them could be read in a milliard ways, and a search would try each."""
_LONG_WORD = re.compile(rf"(\d{{24}}(?=\d)|(?:{_LETTER}|{_MARK}){{36,48}}(?={_LETTER}))")
"""A word loses its end after 32 digits, 50 Hangul, 100 kana, 130 Latin letters."""

_CLAUSE_END = re.compile(r"([。、，；：！？…।\n]|[.,;:!?](?=\s))")
_MOST_WEIGHT = 1000
_SHORT_CLAUSE = 100
"""Characters that cannot weigh too much."""


def is_speakable(text: str) -> bool:
    """Whether there is a letter or a digit of any script in it."""
    return any(character.isalnum() for character in text)


def has_han(text: str) -> bool:
    return _HAN.search(text) is not None


def cleaned(text: str) -> str:
    """The text without control characters and halves of surrogate pairs."""
    return text.translate(_CONTROLS).encode("utf-8", "replace").decode()


def with_breaks(text: str) -> str:
    """The text with a space in overlong words and a comma in overlong clauses."""
    parts = _CLAUSE_END.split(_LONG_WORD.sub(r"\1 ", text))
    return "".join(
        part if len(part) <= _SHORT_CLAUSE else ", ".join(_breaths(part)) for part in parts
    )


def _breaths(clause: str) -> Iterator[str]:
    """The clause in pieces that espeak-ng can hold at once: about a thousand phonemes."""
    start = weight = 0
    for position, character in enumerate(clause):
        weight += _weight(character)
        if weight > _MOST_WEIGHT:
            space = clause.rfind(" ", (start + position) // 2, position)
            end = position if space < 0 else space
            yield clause[start:end]
            start, weight = end, sum(map(_weight, clause[end : position + 1]))
    yield clause[start:]


def _weight(character: str) -> int:
    """Phonemes that a character may become, generously: 110 Hangul, 200 Han, 150 digits or 50
    times `x=1&y` are too much for one clause."""
    if character.isspace():
        return 1
    if not character.isalpha():
        # A digit in a large number, or a sign that is read by its name; but not a vowel sign.
        return 1 if unicodedata.category(character)[0] == "M" else 9
    if character < "\u0250":
        return 2  # Latin
    if character < "\u1100":
        return 3  # other alphabets
    return 6 if character < "\uac00" else 9  # kana, Han; Hangul
