"""Places: so many at once, so many waiting, and no wait without an end."""

from __future__ import annotations

import asyncio
from collections import deque


class Full(Exception):
    """No place became free within the caller's patience, or too many wait already."""


class Hold:
    """One place, held. Letting go twice is harmless, so that it may be let go early."""

    __slots__ = ("_places",)

    def __init__(self, places: Places) -> None:
        self._places: Places | None = places

    def release(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.give()


class Places:
    """`size` places, first come first served, with at most `queue` waiting."""

    def __init__(self, size: int, queue: int) -> None:
        self.size = size
        self.free = size
        self._queue = queue
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def take(self, patience_s: float) -> Hold:
        """A place, at once or within `patience_s` seconds. Raises Full."""
        if self.free and not self._waiting:
            self.free -= 1
            return Hold(self)
        if patience_s <= 0 or len(self._waiting) >= self._queue:
            raise Full
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give()  # it was our turn in the very moment in which we gave up
            elif turn in self._waiting:  # a release may have passed over one who was leaving
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise Full from None
            raise
        return Hold(self)

    def give(self) -> None:
        """Give a place to whoever waits longest, else back."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1
