"""What of a sentence stands as it is when its numbers are written out.

That is what wetext 0.1.8 spells wrongly: addresses, versions and file names («v二.三点一»), decades
(«1990s» as seconds), feet and inches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NUMBER = r"(?<!\w)\d++s(?!\w)|(?<!\d)\d++['′]\d*+[\"″]?"
_DECADE_OR_FEET = re.compile(_NUMBER)
_FIRST = re.compile(
    r"https?://\S++|www\.\S++|(?<!\S)[^\s@]++@\S++|[@#]\w++"
    rf"|(?<![\w.])(?P<name>(?=[A-Za-z0-9_-])(?![A-Za-z]\.))|{_NUMBER}"
)
"""Of a name only where it may begin: `_Names` knows whether it does."""
_NAME = re.compile(r"[A-Za-z0-9_-]++((?:\.[A-Za-z0-9_-]++)++)?")
_TO_A_LETTER = re.compile(r"[\w.-]*?(?:([A-Za-z])|(?![\w.-]))")


def verbatim(sentence: str) -> Iterator[tuple[int, int]]:
    """Where each such stretch begins and ends, in order; the time grows with the length only."""
    names = _Names(sentence)
    at = 0
    while found := _FIRST.search(sentence, at):
        start = found.start()
        stretch: re.Match[str] | None = found
        if found["name"] is not None:
            stretch = names.at(start) or _DECADE_OR_FEET.match(sentence, start)
        if stretch is None:
            at = start + 1
        else:
            at = stretch.end()
            yield start, at


class _Names:
    """The versions and file names of a sentence: parts with dots between them and a letter in
    them, or in the word that goes on behind them.

    They are asked for from left to right. What a run was searched for in vain is remembered: with
    hyphens in it, a name could begin at every other of its characters.
    """

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._barren = 0
        """Before it no name begins any more."""
        self._lettered = 0
        """Before it a letter is known to follow."""

    def at(self, start: int) -> re.Match[str] | None:
        """The name that begins here."""
        if start < self._barren:
            return None
        name = _NAME.match(self._sentence, start)
        if name is None or name[1] is None:
            self._barren = name.end() if name else start
            return None
        return name if self._letter_follows(start) else None

    def _letter_follows(self, start: int) -> bool:
        if start < self._lettered:
            return True
        seen = _TO_A_LETTER.match(self._sentence, start)
        if seen is not None and seen[1] is not None:
            self._lettered = seen.end()
            return True
        self._barren = seen.end() if seen else start
        return False
