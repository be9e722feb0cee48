"""Long text into pieces that can be spoken one after the other, in any script.

A text is scanned once for the places where a sentence, a clause or a word may end; a piece then
ends at the best of them that its limit reaches. Nothing is lost: the pieces together are the text.

Known to be wrong: Thai, Lao, Khmer and Burmese have no spaces, so that a limit cuts them inside of
words; to do better needs a dictionary. «Jan. 5.» may count as an end.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator

_CLOSERS = "\"'”’»›)\\]}）】》〉」』"
_EITHER = f"{_CLOSERS}“‘«‹"
"""With those that close in one language what they open in another: before a space they close."""
_SPACED = "(?:[ \u00a0\u202f][»›](?=\\s|$))?"
"""French has a space before its closing mark."""
_WIDE = "。！？｡．।॥።။՞։؟۔፧។‽⁈⁉‼⁇"
"""Ends of sentences after which no space is needed (Unicode, Sentence_Terminal)."""
_CJK = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
_SENTENCE = re.compile(
    rf"(?<![.!?…{_WIDE}])(?:(?=[.!?…]*+[{_WIDE}])[.!?…{_WIDE}]++[{_CLOSERS}]*+\s*+"
    rf"|[.!?…]++(?:[{_EITHER}]*+{_SPACED}(?:\s++|$)|[{_CLOSERS}]*+(?={_CJK})))"
    r"|(?<![^\S\n])[^\S\n]*+\n[^\S\n]*+\n\s*+"
)
"""Every run of marks or of spaces is read once, whatever follows it: callers send ten thousand of
them. Hence the possessive repeats, and the looks back at where a run begins."""
_CLAUSE = re.compile(
    rf"(?<![,;:—–])[,;:—–]++[{_CLOSERS}]*+\s++|\s[—–-]++\s++"
    rf"|[、，；：،؛]++[{_CLOSERS}]*+\s*+|(?<![^\S\n])[^\S\n]*+\n\s*+"
)
_WORD = re.compile(rf"\s+|(?<={_CJK})")

_SHORTENED = re.compile(r"(?:^|[^\w.])((?:[^\W\d_]\.?)+|\d{1,2})\.$")
"""What stands before a dot: letters, also with dots between them, or a small number."""
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st jr sr vs etc e.g i.e no nr fig vol ed approx dept est inc ltd co corp "  # noqa: SIM905
    "gen col lt sgt rev hon jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri "
    "sat sun bzw z.b d.h u.a ca evtl ggf usw str tel mme mlle mm av bd sra dra srta ud uds pág "
    "núm sig dott ing avv sig.ra t.j np tzn ul prof.ssa г ул им т.е т.д т.п см".split()
)
_LOOK_BACK = 24
"""Code points before a dot in which an abbreviation lies."""
_JOINERS = "\u200d\ufe0f"
_PLAIN_CLOSERS = _EITHER.replace("\\", "")

LEAST = 40
"""Code points of the shortest piece that is made on purpose: shorter ones sound chopped."""
_MARGIN = 0.7
_PARAGRAPH_S, _SENTENCE_S, _CLAUSE_S = 0.5, 0.2, 0.08
"""Added to the silence that a voice leaves at the end of what it speaks by itself."""


class Text:
    """A text and where it may be cut: `next` gives piece after piece.

    One scan is 0.3 µs a code point: a text of more than 100,000 belongs in a thread.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [
            [place.end() for place in _SENTENCE.finditer(text) if _is_end(text, place)],
            [place.end() for place in _CLAUSE.finditer(text) if place.end()],
            [place.end() for place in _WORD.finditer(text) if place.end()],
        ]

    @property
    def rest(self) -> int:
        """Code points that are left."""
        return len(self._text) - self._at

    def first(self, short: int, most: int) -> str:
        """The first piece: a whole sentence, or a clause, of at most `short` code points where
        there is one, because its listener waits for all of it; else what ends within `most`.

        Empty when nothing is left.
        """
        for ends in self._ends[:2]:
            following = bisect_right(ends, self._at)
            if following < len(ends) and ends[following] - self._at <= short:
                return self._cut(ends[following])
        return self.next(short) if self._words_end(short) else self.next(most)

    def next(self, most: int) -> str:
        """As many sentences as `most` code points hold, else clauses, else words, else letters;
        empty when nothing is left."""
        limit = self._at + max(1, most)
        if limit >= len(self._text):
            return self._cut(len(self._text))
        for ends in self._ends:
            before = bisect_right(ends, limit) - 1
            if before >= 0 and ends[before] > self._at:
                return self._cut(ends[before])
        return self._cut(_whole_letter(self._text, self._at, limit))

    def _words_end(self, most: int) -> bool:
        """Whether any word ends within so much."""
        words = self._ends[-1]
        following = bisect_right(words, self._at)
        return following < len(words) and words[following] - self._at <= most

    def _cut(self, end: int) -> str:
        piece, self._at = self._text[self._at : end], end
        return piece


def pieces(text: str, *, first: int, most: int) -> Iterator[str]:
    """All pieces of a text: a short first one, then as long ones as `most` code points allow."""
    cut = Text(text)
    if piece := cut.first(first, most):
        yield piece
    while piece := cut.next(most):
        yield piece


def _is_end(text: str, place: re.Match[str]) -> bool:
    """Whether a mark ends a sentence: a dot may belong to a number or to an abbreviation."""
    if place.end() == len(text):
        return True
    if text[place.end()].islower():
        return "\n" in place.group()
    if place.group().strip() != ".":
        return True
    dot = place.start() + 1
    before = _SHORTENED.search(text, max(0, dot - _LOOK_BACK), dot)
    if before is None:
        return True
    word = before.group(1)
    return not (len(word) == 1 or word.isdigit() or "." in word or word.lower() in _ABBREVIATIONS)


def _whole_letter(text: str, begin: int, limit: int) -> int:
    """The last place up to `limit` that is not inside of a letter with its marks."""
    end = limit
    while end > begin + 1 and (
        unicodedata.combining(text[end]) or text[end] in _JOINERS or text[end - 1] == "\u200d"
    ):
        end -= 1
    return end if end > begin + 1 else limit


def next_most(ahead_s: float, took_s: float, characters: int, most: int) -> int:
    """The longest next piece, in code points, that is ready before its listener has heard all that
    came before it; at least `LEAST` and at most `most`.

    `ahead_s` is how much audio the listener still has; the last piece took `took_s` seconds for its
    `characters`. Seven tenths of the time are used, because no provider is always as quick.
    """
    if took_s <= 0:
        return most
    fits = int(_MARGIN * max(ahead_s, 0.0) * characters / took_s)
    return min(max(fits, LEAST), most)


def pause_after(piece: str) -> float:
    """Seconds of silence after a piece: a breath at a paragraph, less at a sentence or clause."""
    if piece.rstrip(" \t").endswith("\n") and piece.count("\n", len(piece.rstrip())) > 1:
        return _PARAGRAPH_S
    ending = piece.rstrip().rstrip(_PLAIN_CLOSERS)
    if not ending or ending[-1] in _WIDE + ".!?…":
        return _SENTENCE_S
    return _CLAUSE_S if ending[-1] in ",;:—–-、，；：،؛" else 0.0
