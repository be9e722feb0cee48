"""What may stand in a label: a closed set of words, however many others are offered."""

from __future__ import annotations

from collections.abc import Iterable

OTHER = "other"
"""Stands for whatever is none of the set."""
_MOST_NAMES = 2_000
"""Names of all configs that one process has seen."""


class Names:
    """Names of the config: those of one that was replaced stay, for their counters do."""

    def __init__(self, *always: str) -> None:
        self._known = {"", *always}

    def learn(self, names: Iterable[str]) -> None:
        """The config has these. Beyond a bound new ones stay unknown."""
        for name in names:
            if len(self._known) < _MOST_NAMES:
                self._known.add(name)

    def of(self, name: str) -> str:
        return name if name in self._known else OTHER


class Words:
    """Words of the code, such as reasons: the first `most` that are heard, for plugins may bring
    some of their own."""

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._known: set[str] = {""}

    def of(self, word: str) -> str:
        if word in self._known:
            return word
        if len(self._known) > self._most:
            return OTHER
        self._known.add(word)
        return word
