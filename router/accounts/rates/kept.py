"""The counters of a process: bounded, and forgotten when they are full again."""

from __future__ import annotations

import math
from collections import OrderedDict

from router.accounts.rates.limits import Level

Key = tuple[str, str]
"""A limit's name, and its subject."""

_LOOKS = 2
"""Old counters that are looked at for each new one: more leave than come."""


class Kept:
    """Counters, at most `most` of them.

    Each that comes pays for looking at two of the oldest: what is full again is forgotten, what is
    not goes to the end. With more than `most` live ones the oldest is forgotten all the same: under
    a flood of addresses, memory that is bounded is worth more than a count. Slots in use are never
    forgotten.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._levels: OrderedDict[Key, Level] = OrderedDict()
        self.get = self._levels.get

    def __len__(self) -> int:
        return len(self._levels)

    def put(self, key: Key, level: Level, now_s: float) -> None:
        if key not in self._levels:
            self._make_room(now_s)
        self._levels[key] = level

    def drop(self, key: Key) -> None:
        self._levels.pop(key, None)

    def _make_room(self, now_s: float) -> None:
        for _ in range(min(_LOOKS, len(self._levels))):
            key = next(iter(self._levels))
            until_s = self._levels[key].until_s
            is_over = len(self._levels) >= self._most and until_s != math.inf
            if until_s <= now_s or is_over:
                del self._levels[key]
            else:
                self._levels.move_to_end(key)
