"""Makes any text safe to speak without losing a word of it: the `router` cleanup.

It differs from the model's own (`cleanup`) where users met trouble: marks at the end follow the
script of the text, an ordinal is no list mark, curly quotes and dashes stay, a text that ends
in mid-air gets an end (without one the model may never stop).
"""

from __future__ import annotations

import re
import unicodedata

from providers.moss_tts_nano.cleanup import CJK, LINK, applied, linked, rules

CLOSERS = "\"'”’»)]}）】》〉」』"
SENTENCE_MARKS = ".!?…。．！？؟۔।"
_HANGING = ",，、;；:：،؛"
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_WITHOUT = re.compile(
    # What is seen but not said, and what the tokenizer knows as single bytes only: pictures, their
    # colours and joints. U+200C stays: Persian writes with it, and the tokenizer takes it for a
    # space.
    "[\u200b\u200d\ufeff\ufe0e\ufe0f\u20e3\u2600-\u27bf\U0001f000-\U0001faff]"
)
_FENCE = re.compile(r"^(?:```.*|~~~.*|[-*_=]{3,}|[|:\s-]{3,})$")
_ORDERED = re.compile(r"^\d{1,3}[.)]\s+")
_LINE_MARKS = rules((r"^#{1,6}\s+", ""), (r"^(?:>\s*)+", ""), (r"^[-*+•]\s+", ""))
_INLINE = rules(
    (f"!?{LINK}", linked),
    (r"(\*\*|__|``?)(?=\S)([^*_`]+)(?<=\S)\1", r"\2"),
    (r"(?<!\w)\*(?=\S)([^*\s][^*]*)(?<=\S)\*(?!\w)", r"\1"),
)
_ADDRESS = re.compile(r"https?://\S+|www\.\S+|(?<!\S)[^\s@]++@\S+|[@#]\w+")
_ARROW = re.compile(
    # A run of spaces is looked at from its beginning only.
    r"(?:(?<!\s)\s++)?(?:<[-=]{1,8}>?|(?<![-=])[-=]{1,8}>|[→←↔⇒⇐⇔⟶⟵⟷⟹⟸⟺↦↤↪↩])\s*+"
)
_MARKS = rules(
    (r"[―]", "—"),
    (r"„", "“"),
    (r"\.{3,}|…{2,}|。{3,}", "…"),
    (r"-{2,}", "—"),
    (r"—{3,}", "——"),
    (r"([,，、;；:：。])\1+", r"\1"),
    (r"([!！?？])(?:\1)+", r"\1"),
    (r"([!！?？])([!！?？])[!！?？]+", r"\1\2"),
    (r"\[([^\[\]]+)\]|\{([^{}]+)\}|[【〖]([^【〖】〗]+)[】〗]", r'"\1\2\3"'),
)
_SPACES = rules(
    (r" {2,}", " "),
    (rf"(?<={CJK}) (?={CJK})", ""),
    (rf"(?<={CJK}) (?=\d)|(?<=\d) (?={CJK})", ""),
    (rf"(?<={CJK})(?=[A-Za-z])|(?<=[A-Za-z])(?={CJK})", " "),
    (r" (?=[，。！？；：、）】》」』])|(?<=[，。！？；：、（【《「『]) ", ""),
    (r" (?=[,;!?](?:\s|$))| (?=\.(?:\s|$))", ""),
)
_CJK = re.compile(CJK)
_DEVANAGARI = re.compile(r"[\u0900-\u097f]")


def mended(text: str) -> str:
    """The text in paragraphs, one a line, each with an end. Empty if nothing in it can be said."""
    paragraphs = (_paragraph(line) for line in _lines(_visible(text)))
    return "\n".join(finished(one) for one in paragraphs if _LETTER_OR_DIGIT.search(one))


def finished(text: str) -> str:
    """With a mark at its end, in the script of the text, unless it has one."""
    core = text.rstrip().rstrip(CLOSERS)
    if core.endswith(tuple(SENTENCE_MARKS)):
        return text
    if core != text.rstrip():  # `he said "yes"`: the mark belongs after the closing ones
        return text.rstrip() + _mark(text)
    return core.rstrip(_HANGING + " ") + _mark(text)


def _visible(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    text = _WITHOUT.sub("", text.replace("\u2029", "\n"))
    return "".join(
        c for c in text if c in "\n\t\u200c" or not unicodedata.category(c).startswith("C")
    )


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.split("\n")]
    kept = [applied(_LINE_MARKS, line) for line in lines if line and not _FENCE.match(line)]
    # One line that begins with a number may be «3. Oktober»; two are a list.
    if sum(1 for line in kept if _ORDERED.match(line)) > 1:
        kept = [_ORDERED.sub("", line) for line in kept]
    return kept


def _paragraph(line: str) -> str:
    line = re.sub(r"\s+", " ", line)  # first: the rules below may look through a run of spaces
    line = _without_underscores(applied(_INLINE, line))
    line = _ARROW.sub("，" if _CJK.search(line) else ", ", line)
    return applied(_SPACES, applied(_MARKS, line)).strip()


def _without_underscores(line: str) -> str:
    """Underscores as spaces, save in addresses and names, which hold together."""
    parts: list[str] = []
    end = 0
    for address in _ADDRESS.finditer(line):
        parts += [line[end : address.start()].replace("_", " "), address[0]]
        end = address.end()
    return "".join((*parts, line[end:].replace("_", " ")))


def _mark(text: str) -> str:
    letters = [c for c in text[-40:] if c.isalpha()]
    last = letters[-1] if letters else ""
    if _CJK.match(last):
        return "。"
    return "।" if _DEVANAGARI.match(last) else "."
