"""Splits a long text as the model's own runtime does: `official`.

The rules are those of OpenMOSS/MOSS-TTS-Nano (`split_voice_clone_text`, commit 42b4645), also
where they cut a decimal in two: tokens are to be equal. The router's own way is in `sentences`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MOST_TOKENS = 75
"""Tokens of a chunk at most."""
SHORT_PAUSE_S, LONG_PAUSE_S = 0.24, 0.40
_SENTENCE_ENDS = frozenset(".!?。！？；;")
_CLAUSE_ENDS = frozenset(",，、；;：:")
_CLOSERS = frozenset("\"'”’)]}）】》」』")
_CUTS = _SENTENCE_ENDS | _CLAUSE_ENDS | {" "}
_CJK = re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf\u3040-\u30ff\uac00-\ud7af]")
_LOOK_BACK = 25
"""Characters before the limit in which a mark or a space is looked for."""

Count = Callable[[str], int]


def official_chunks(text: str, count: Count, most: int = MOST_TOKENS) -> list[str]:
    """The pieces that are spoken one by one; `count` gives a text's tokens. A text that needs no
    split stays as it is, only stripped."""
    whole = text.strip()
    if not whole:
        return []
    units = [
        unit
        for sentence in _split(_prepared(whole), _SENTENCE_ENDS)
        for unit in _within(sentence, count, most)
    ]
    chunks = _packed(units, count, most)
    return chunks if len(chunks) > 1 else [whole]


def official_pause_s(chunk: str) -> float:
    """Seconds of silence after a chunk that is not the last. Text without spaces is one word."""
    return LONG_PAUSE_S if len(chunk.split()) <= 4 else SHORT_PAUSE_S


def _prepared(text: str) -> str:
    text = text.replace("\r", " ").replace("\n", " ")
    text = re.sub(" {2,}", " ", text)
    if _CJK.search(text):
        return text if text[-1] in _SENTENCE_ENDS else text + "。"
    if text[0].islower():
        text = text[0].upper() + text[1:]
    # The official runtime also sets eight spaces before a text of less than five words; pieces are
    # stripped right after, so they never reach the tokenizer.
    return text + "." if text[-1].isalnum() else text


def _split(text: str, marks: frozenset[str]) -> list[str]:
    """Cut after each of the marks and the closing marks that follow it."""
    parts: list[str] = []
    start = place = 0
    while place < len(text):
        place += 1
        if text[place - 1] not in marks:
            continue
        while place < len(text) and text[place] in _CLOSERS:
            place += 1
        parts.append(text[start:place].strip())
        start = place
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def _within(sentence: str, count: Count, most: int) -> list[str]:
    if count(sentence) <= most:
        return [sentence]
    pieces: list[str] = []
    for clause in _split(sentence, _CLAUSE_ENDS):
        pieces += [clause] if count(clause) <= most else _cut(clause, count, most)
    return pieces


def _cut(clause: str, count: Count, most: int) -> list[str]:
    pieces: list[str] = []
    rest = clause
    while count(rest) > most:
        fits = _longest_prefix(rest, count, most)
        end = _last_cut(rest[:fits]) or fits
        piece = rest[:end].strip()
        if not piece:
            end, piece = fits, rest[:fits].strip()
        pieces.append(piece)
        rest = rest[end:].strip()
    return [piece for piece in (*pieces, rest) if piece]


def _longest_prefix(text: str, count: Count, most: int) -> int:
    low, high, best = 1, len(text), 1
    while low <= high:
        middle = (low + high) // 2
        if count(text[:middle].strip()) <= most:
            best, low = middle, middle + 1
        else:
            high = middle - 1
    return best


def _last_cut(prefix: str) -> int:
    """Where the last mark or space of the prefix's end is left behind; 0: there is none."""
    for place in range(len(prefix), max(0, len(prefix) - _LOOK_BACK), -1):
        if prefix[place - 1] in _CUTS:
            return place
    return 0


def _packed(units: list[str], count: Count, most: int) -> list[str]:
    chunks: list[str] = []
    chunk, tokens = "", 0
    for unit in units:
        more = count(unit)
        if chunk and tokens + more > most:
            chunks.append(chunk)
            chunk = ""
        chunk = _joined(chunk, unit) if chunk else unit
        tokens = count(chunk)
    return [*chunks, chunk] if chunk else chunks


def _joined(left: str, right: str) -> str:
    return left + right if _CJK.search(left) or _CJK.search(right) else f"{left} {right}"
