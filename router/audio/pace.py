"""How long a text takes to say: the fastest and the slowest that is plausible, by its script."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import msgspec


class Expected(msgspec.Struct, frozen=True):
    """What is known of a speech before it is heard. The text is not in it."""

    characters: int
    """Letters and digits of any script."""
    language: str
    least_s: float
    """Seconds for a fast reader who leaves out every sign and every foreign letter."""
    most_s: float
    """Seconds for a slow reader who names every sign, spells what may be spelt, and pauses."""
    stretch: float = 1.0
    """How much longer than at a speed of one a pause may last."""


class _Pace(NamedTuple):
    """Seconds for one character: of a fast and of a slow reader."""

    least: float
    most: float


# Speakers of seven languages say 5 to 8 syllables a second (Pellegrino, Coupé, Marsico 2011,
# Language 87:3), slow readers half as many. espeak-ng says 12 to 23 letters of an alphabet at 175
# words a minute, 7 to 11 of a script with few or no vowels, 3.4 to 5.5 of Han and Hangul.
_LETTER = _Pace(0.05, 0.15)
_CAPITAL = _Pace(0.05, 0.45)
"""Perhaps it is spelt: NASA, WWW."""
_CONSONANT = _Pace(0.06, 0.22)
"""Of a script that writes few vowels, or no spaces."""
_ABUGIDA = _Pace(0.07, 0.3)
"""A consonant with its vowel; further vowels are marks, not letters."""
_SYLLABLE = _Pace(0.14, 0.45)
_KANJI = _Pace(0.14, 0.7)
_MORA = _Pace(0.08, 0.3)
_DIGIT = _Pace(0.1, 1.0)
_ZERO = _Pace(0.0, 1.0)
"""1,000,000 is two words."""
_SIGN = _Pace(0.0, 1.0)
"""Read by its name, or a pause, or nothing."""
_EMOJI = _Pace(0.0, 3.0)
_LINE = _Pace(0.0, 1.5)
_NOTHING = _Pace(0.0, 0.0)

# By the first word of a character's Unicode name; what is not here is an alphabet.
_SCRIPTS = {
    **dict.fromkeys(("CJK", "IDEOGRAPHIC", "HANGUL", "BOPOMOFO", "ETHIOPIC", "YI"), _SYLLABLE),
    **dict.fromkeys(("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH"), _MORA),
    **dict.fromkeys(("ARABIC", "HEBREW", "SYRIAC", "THAANA", "THAI", "LAO"), _CONSONANT),
    **dict.fromkeys(("DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA"), _ABUGIDA),
    **dict.fromkeys(("TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA"), _ABUGIDA),
    **dict.fromkeys(("MYANMAR", "KHMER", "TIBETAN"), _ABUGIDA),
}
_WRITTEN_TOGETHER = {"CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH"}
"""Scripts of one Japanese text."""

_RUN = re.compile(r"(\w)\1{2,}")
"""«Aaaaaah»: nobody knows how long it is held."""
_TOKEN = re.compile(r"[A-Za-z0-9]+")
_VOWELS = frozenset("aeiouyAEIOUY")


def expected(text: str, language: str, speed: float = 1.0) -> Expected:
    """What the speech of a text can be like; `language` is a BCP-47 tag.

    A speed below one only lengthens the most, and one above only shortens the least: a provider
    that keeps to narrower limits, or ignores the speed, has spoken all the same.
    """
    slower, faster = min(speed, 1.0), max(speed, 1.0)
    counts = Counter(text)
    squeezed = _RUN.sub(r"\1\1", text)
    fewer = counts if len(squeezed) == len(text) else Counter(squeezed)
    japanese = language.lower().partition("-")[0] == "ja"
    return Expected(
        characters=sum(counts[character] for character in counts if character.isalnum()),
        language=language,
        least_s=_least(fewer) / faster,
        most_s=(_most(counts, japanese=japanese) + _spelling(text)) / slower,
        stretch=1 / slower,
    )


def _least(counts: Counter[str]) -> float:
    """Of the letters only those of the main script: a voice may leave out what is foreign to it."""
    digits = 0.0
    letters: dict[str, float] = {}
    for character, count in counts.items():
        script, pace = _read(character)
        if script:
            letters[script] = letters.get(script, 0.0) + count * pace.least
        else:
            digits += count * pace.least
    return digits + max(letters.values(), default=0.0)


def _most(counts: Counter[str], *, japanese: bool) -> float:
    most = 0.0
    for character, count in counts.items():
        pace = _read(character)[1]
        most += count * (_KANJI if japanese and pace is _SYLLABLE else pace).most
    return most


def _spelling(text: str) -> float:
    """What it takes longer if everything is spelt that may be."""
    letters = sum(map(len, filter(_is_spelt, _TOKEN.findall(text))))
    return letters * (_CAPITAL.most - _LETTER.most)


def _is_spelt(token: str) -> bool:
    """`pdf` and `3f78` are, `word` and `1984` are not."""
    return _VOWELS.isdisjoint(token) or not (token.isalpha() or token.isdigit())


@lru_cache(maxsize=8192)
def _read(character: str) -> tuple[str, _Pace]:
    """The script of a letter, or nothing, and the pace at which the character is read."""
    category = unicodedata.category(character)
    match category[0]:
        case "L":
            script = unicodedata.name(character, "").partition(" ")[0]
            pace = _SCRIPTS.get(script, _CAPITAL if category == "Lu" else _LETTER)
            return "JAPANESE" if script in _WRITTEN_TOGETHER else script or "?", pace
        case "N":
            return "", _ZERO if unicodedata.numeric(character, 1) == 0 else _DIGIT
        case "S":
            return "", _EMOJI if category == "So" or character > "\uffff" else _SIGN
        case "P":
            return "", _SIGN
    return "", _LINE if character == "\n" else _NOTHING
