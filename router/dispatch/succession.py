"""One after the other is current, and each stays open until whoever holds it has left."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from typing import Generic, TypeVar

import structlog

_log = structlog.get_logger(__name__)

END_S = 2.0
"""How long the end of everything waits for those who were told to leave."""

_Set = TypeVar("_Set")


class _Term(Generic[_Set]):
    """One of them, from its opening to its end; entering it is holding it."""

    def __init__(self, value: _Set, stack: AsyncExitStack) -> None:
        self.value = value
        self.held = 0
        self._stack = stack
        self._is_left = asyncio.Event()

    def __enter__(self) -> _Set:
        self.held += 1
        return self.value

    def __exit__(self, *_: object) -> None:
        self.held -= 1
        if not self.held:
            self._is_left.set()

    async def end(self, within_s: float) -> None:
        """Close it once nobody holds it any more, and when time is over."""
        try:
            async with asyncio.timeout(within_s):
                while self.held:
                    self._is_left.clear()
                    await self._is_left.wait()
        except TimeoutError:
            _log.warning("closed although somebody is in it", requests=self.held)
        finally:
            await self._stack.aclose()


class Succession(Generic[_Set]):
    """What is current, and its predecessors that somebody still holds.

    There are never more of those than holders: who is not held is closed at once.
    """

    def __init__(self) -> None:
        self._current: _Term[_Set] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def current(self) -> _Set | None:
        """`None` before the first and after the last."""
        return self._current.value if self._current is not None else None

    def holding(self) -> AbstractContextManager[_Set]:
        """What is current now, which stays open while the block lasts."""
        assert self._current is not None, "nothing is open"
        return self._current

    async def follow(self, opening: AbstractAsyncContextManager[_Set], within_s: float) -> _Set:
        """Open the next and make it current; the one before it has so long to be left.

        Raises what opening it raises: then nothing has changed.
        """
        stack = AsyncExitStack()
        value = await stack.enter_async_context(opening)
        before, self._current = self._current, _Term(value, stack)
        if before is not None:
            self._end(before, within_s)
        return value

    async def aclose(self) -> None:
        """Close everything: whoever is still in it has moments to leave."""
        term, self._current = self._current, None
        if term is not None:
            self._end(term, END_S)
        ending = list(self._ending)
        if not ending:
            return
        _, late = await asyncio.wait(ending, timeout=END_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _end(self, term: _Term[_Set], within_s: float) -> None:
        task = asyncio.create_task(term.end(within_s), name="end of a set")
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("what was replaced did not close", error=type(error).__name__)
