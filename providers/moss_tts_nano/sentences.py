"""Splits a mended text into chunks that the model speaks to their end: the `router` way.

A chunk has at most 75 tokens and aims at 60 (users lost endings beyond; the advice in
OpenMOSS/MOSS-TTS-Nano issues 58 and 87 is 40 to 60), and a short one goes with a neighbour where
it can, for alone it makes the model babble (issue 60). A full stop counts only where a sentence can
end: decimals, versions and initials stay whole. Nothing is left out.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator

import msgspec

from providers.moss_tts_nano.cleanup import CJK
from providers.moss_tts_nano.mending import CLOSERS

AIM_TOKENS, MOST_TOKENS, SHORT_TOKENS = 60, 75, 12
WORD, CLAUSE, SENTENCE, PARAGRAPH = range(4)
"""What a cut leaves behind."""
PAUSES_S = (0.0, 0.12, 0.24, 0.40)
"""Silence after each; the last two are the official runtime's."""
_CHARACTERS_A_TOKEN = 16
"""No piece of the vocabulary is longer."""

_CLOSE = f"[{re.escape(CLOSERS)}]*+"
_SENTENCE_END = re.compile(
    # A run of marks is read once, from its beginning: callers send thousands of them.
    rf"[。！？।۔]++{_CLOSE}|(?<![.!?…؟])[.!?…؟]++{_CLOSE}(?=\s|$|{CJK})"
)
_FOLLOWING = re.compile(r"\s*+(\S)")
_CLAUSE_END = re.compile(
    rf"[，、；：]{_CLOSE}|[,;:،؛]{_CLOSE}(?=\s|$)|——++|(?<=\s)[—–-](?=\s)|(?<=[^\W\d])—(?=[^\W\d])"
)
_NO_END = re.compile(
    r"(?:^|[\s(\"“‘'«])(?:[^\W\d_]|\d{1,2}|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Mme|Mlle|Sra|Dra|Hr|Fr|vs|No|Nr|"
    r"Nos|Vol|Fig|Abb|approx|ca|bzw|usw|e\.g|i\.e|z\.\s?B|d\.\s?h|u\.\s?a)\.$"
)

Count = Callable[[str], int]


class Chunk(msgspec.Struct, frozen=True):
    """A piece that is spoken in one go. The text is in no repr."""

    text: str
    pause_s: float
    """Silence after it; 0 after the last."""

    def __repr__(self) -> str:
        return f"Chunk({len(self.text)} chars, {self.pause_s} s)"


class _Unit(msgspec.Struct, frozen=True):
    """A stretch of the text that is not cut."""

    start: int
    end: int
    leaves: int


def split(text: str, count: Count) -> list[Chunk]:
    """The chunks of a mended text, in order; `count` gives a text's tokens."""
    units = [unit for unit in _units(text, count) if text[unit.start : unit.end].strip()]
    groups = _evened(text, _grouped(text, units, count), count)
    last = len(groups) - 1
    return [
        Chunk(_slice(text, group), 0.0 if n == last else PAUSES_S[group[-1].leaves])
        for n, group in enumerate(groups)
    ]


def _units(text: str, count: Count) -> Iterator[_Unit]:
    start = 0
    for paragraph in text.split("\n"):
        end = start + len(paragraph)
        sentences = list(_cut(text, start, end, _sentence_ends(text, start, end), SENTENCE))
        for place, sentence in enumerate(sentences):
            leaves = PARAGRAPH if place == len(sentences) - 1 else SENTENCE
            yield from _within(text, _Unit(sentence.start, sentence.end, leaves), count)
        start = end + 1


def _cut(text: str, start: int, end: int, places: Iterator[int], leaves: int) -> Iterator[_Unit]:
    for place in places:
        if text[start:place].strip():
            yield _Unit(start, place, leaves)
            start = place
    if text[start:end].strip():
        yield _Unit(start, end, leaves)


def _sentence_ends(text: str, start: int, end: int) -> Iterator[int]:
    for match in _SENTENCE_END.finditer(text, start, end):
        following = _FOLLOWING.match(text, match.end(), end)
        if following is not None and following[1].islower():
            continue  # `Yahoo! said`, `e.g. this`
        if match[0] == "." and _NO_END.search(text[max(start, match.start() - 8) : match.end()]):
            continue
        yield match.end()


def _within(text: str, unit: _Unit, count: Count) -> Iterator[_Unit]:
    if count(text[unit.start : unit.end]) <= MOST_TOKENS:
        yield unit
        return
    ends = (match.end() for match in _CLAUSE_END.finditer(text, unit.start, unit.end))
    clauses = list(_cut(text, unit.start, unit.end, ends, CLAUSE))
    for place, clause in enumerate(clauses):
        leaves = unit.leaves if place == len(clauses) - 1 else CLAUSE
        yield from _words(text, _Unit(clause.start, clause.end, leaves), count)


def _words(text: str, unit: _Unit, count: Count) -> Iterator[_Unit]:
    """Parts of about equal length, cut at spaces where there are any."""
    start = unit.start
    while (tokens := count(text[start : unit.end])) > MOST_TOKENS:
        goal = math.ceil(tokens / math.ceil(tokens / AIM_TOKENS))
        end = _last_place(text, start, _longest(text, start, unit.end, goal, count))
        yield _Unit(start, end, WORD)
        start = end
    yield _Unit(start, unit.end, unit.leaves)


def _longest(text: str, start: int, end: int, goal: int, count: Count) -> int:
    low, high = start + 1, min(end, start + goal * _CHARACTERS_A_TOKEN)
    while low < high:
        middle = (low + high + 1) // 2
        if count(text[start:middle]) <= goal:
            low = middle
        else:
            high = middle - 1
    return low


def _last_place(text: str, start: int, end: int) -> int:
    """The last space of the stretch's second half, else a place that parts no grapheme."""
    space = text.rfind(" ", start + (end - start) // 2, end)
    if space > start:
        return space + 1
    place = end
    while place > start + 1 and _joins(text[place]):
        place -= 1
    return place if place > start + 1 else end


def _joins(character: str) -> bool:
    return unicodedata.category(character).startswith("M") or character == "\u200c"


def _grouped(text: str, units: list[_Unit], count: Count) -> list[list[_Unit]]:
    groups: list[list[_Unit]] = []
    for unit in units:
        if groups and _fits(text, groups[-1], unit, count):
            groups[-1].append(unit)
        else:
            groups.append([unit])
    return groups


def _fits(text: str, group: list[_Unit], unit: _Unit, count: Count) -> bool:
    tokens = count(_slice(text, group))
    if group[-1].leaves == PARAGRAPH and tokens >= AIM_TOKENS // 2:
        return False
    most = MOST_TOKENS if tokens < SHORT_TOKENS else AIM_TOKENS
    return count(_slice(text, [*group, unit])) <= most


def _evened(text: str, groups: list[list[_Unit]], count: Count) -> list[list[_Unit]]:
    """A short group takes from the one before it, or goes with it."""
    done: list[list[_Unit]] = []
    for group in groups:
        while done and count(_slice(text, group)) < SHORT_TOKENS:
            before = done[-1]
            if count(_slice(text, [*before, *group])) <= MOST_TOKENS:
                group = [*done.pop(), *group]  # noqa: PLW2901  # it grows
            elif len(before) > 1 and count(_slice(text, before[:-1])) >= SHORT_TOKENS:
                group = [before.pop(), *group]  # noqa: PLW2901
            else:
                break
        done.append(list(group))
    return done


def _slice(text: str, group: list[_Unit]) -> str:
    spoken = text[group[0].start : group[-1].end].strip()
    return re.sub(r"(?<=[。！？])\n", "", spoken).replace("\n", " ")
