"""How many frames a second are made of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

WINDOW_S = 10
"""Seconds that are looked back at; the one that runs counts as far as it has come."""


class Pace:
    """Counts by whole seconds. Whoever holds the book's lock may count and ask."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.all = 0
        self._clock = clock
        self._seconds: deque[list[int]] = deque(maxlen=WINDOW_S)
        """Those in which there were frames: the second, and how many."""

    def count(self, frames: int) -> None:
        second = int(self._clock())
        self.all += frames
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += frames
        else:
            self._seconds.append([second, frames])

    def per_s(self) -> float:
        now = self._clock()
        first = int(now) - WINDOW_S + 1
        seen = [(second, frames) for second, frames in self._seconds if second >= first]
        if not seen:
            return 0.0
        return sum(frames for _, frames in seen) / max(now - seen[0][0], 1.0)
