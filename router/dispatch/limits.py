"""Places: so many at once, so many waiting, no wait without an end, and none that is hopeless.

Jobs go behind everybody who listens, and where there are several places they never take the last.
"""

from __future__ import annotations

import asyncio
import bisect
import heapq
import itertools
from typing import NamedTuple

from router.contract.speech import Priority


class Full(Exception):
    """No place within the patience of whoever asks: none became free, too many wait already, or all
    that is known says that none will. `wait_s` is when there may be one, as far as is known."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = wait_s


class Hold:
    """One place, held. Letting go twice is harmless, so that it may be let go early."""

    __slots__ = ("_places", "ends_at")

    def __init__(self, places: Places, ends_at: float) -> None:
        self._places: Places | None = places
        self.ends_at = ends_at
        """When it is expected to be let go, loop time."""

    def release(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.give(self)


class _Turn(NamedTuple):
    """Somebody who waits. The first in the queue is the live one whose `due` is least."""

    is_batch: bool
    due: float
    """When it came, and how long it will take: who needs little overtakes who needs much, and is
    overtaken by nobody for ever."""
    number: int
    size_s: float
    given: asyncio.Future[None]


class Places:
    """`size` places with at most `queue` waiting, of those who listen and of jobs each."""

    def __init__(self, size: int, queue: int) -> None:
        self.size = size
        self.free = size
        self._queue = queue
        self._waiting: list[_Turn] = []
        self._holds: set[Hold] = set()
        self._numbers = itertools.count()
        self._spared = min(1, size - 1)
        """Places that jobs leave free."""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def wait_s(self, size_s: float = 0.0, priority: Priority = "live") -> float:
        """When somebody who comes now, and needs a place for `size_s` seconds, may expect one; 0 is
        at once. What is overdue is expected to be let go at any moment."""
        is_batch = priority == "batch"
        if self._is_free(is_batch=is_batch):
            return 0.0
        now = _now()
        ends = [max(now, hold.ends_at) for hold in self._holds]
        ends += [now] * (self.size - len(ends))
        heapq.heapify(ends)
        for turn in self._waiting:
            if (turn.is_batch, turn.due) > (is_batch, now + size_s):
                break
            heapq.heapreplace(ends, ends[0] + turn.size_s)
        return ends[0] - now

    async def take(
        self, patience_s: float, size_s: float = 0.0, priority: Priority = "live"
    ) -> Hold:
        """A place, at once or within `patience_s` seconds; it is expected to be needed for `size_s`
        seconds, 0 where nobody knows.

        Raises:
            Full: at once where the wait would be too long, else when patience is over.
        """
        is_batch = priority == "batch"
        if self._is_free(is_batch=is_batch):
            self.free -= 1
            return self._held(size_s)
        wait_s = self.wait_s(size_s, priority)
        alike = sum(turn.is_batch == is_batch for turn in self._waiting)
        if patience_s <= 0 or alike >= self._queue or wait_s > patience_s:
            raise Full(wait_s)
        given = asyncio.get_running_loop().create_future()
        turn = _Turn(is_batch, _now() + size_s, next(self._numbers), size_s, given)
        bisect.insort(self._waiting, turn)
        try:
            async with asyncio.timeout(patience_s):
                await given
        except BaseException as error:
            if given.done() and not given.cancelled():
                self._free_one()  # it was our turn in the very moment in which we gave up
            elif turn in self._waiting:  # a release may have passed over one who was leaving
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise Full(self.wait_s(size_s, priority)) from None
            raise
        return self._held(size_s)

    def give(self, hold: Hold) -> None:
        """A place is let go: whoever is first in the queue has it next."""
        self._holds.discard(hold)
        self._free_one()

    def _is_free(self, *, is_batch: bool) -> bool:
        """Whether somebody who comes now may have a place at once."""
        if is_batch:
            return self.free > self._spared and not self._waiting
        return self.free > 0 and all(turn.is_batch for turn in self._waiting[:1])

    def _held(self, size_s: float) -> Hold:
        hold = Hold(self, _now() + size_s)
        self._holds.add(hold)
        return hold

    def _free_one(self) -> None:
        self.free += 1
        while self._waiting:
            turn = self._waiting[0]
            if self.free <= (self._spared if turn.is_batch else 0):
                return
            self._waiting.pop(0)
            if not turn.given.done():
                turn.given.set_result(None)
                self.free -= 1


def _now() -> float:
    return asyncio.get_running_loop().time()
