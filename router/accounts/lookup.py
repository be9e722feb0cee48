"""What was looked up, kept for a moment, and asked for once however many want it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

Found = TypeVar("Found")


class Lookup(Generic[Found]):
    """Answers of `ask`, for `kept_s` seconds, at most `most` of them. What was not found is not
    kept: there is no end of what is not there."""

    def __init__(
        self, ask: Callable[[str], Awaitable[Found | None]], kept_s: float, most: int
    ) -> None:
        self._ask = ask
        self._kept_s = kept_s
        self._most = most
        self._kept: dict[str, tuple[Found, float]] = {}
        self._asking: dict[str, asyncio.Task[Found | None]] = {}

    async def find(self, name: str) -> Found | None:
        kept = self._kept.get(name)
        if kept is not None and time.monotonic() < kept[1]:
            return kept[0]
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.create_task(self._answer(name))
            task.add_done_callback(_heard)
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Ask anew for everything."""
        self._kept.clear()
        self._asking.clear()

    async def _answer(self, name: str) -> Found | None:
        own = asyncio.current_task()
        try:
            found = await self._ask(name)
            if self._asking.get(name) is own:  # else it was asked before `forget`
                self._keep(name, found)
        finally:
            if self._asking.get(name) is own:
                del self._asking[name]
        return found

    def _keep(self, name: str, found: Found | None) -> None:
        self._kept.pop(name, None)
        if found is not None:
            self._kept[name] = found, time.monotonic() + self._kept_s
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]  # the one that was asked for longest ago


def _heard(task: asyncio.Task[Any]) -> None:
    """Whoever asked may be gone: then an error is no news for the loop."""
    if not task.cancelled():
        task.exception()
