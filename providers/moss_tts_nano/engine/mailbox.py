"""From the engine's threads to an event loop: many messages, one knock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


class Mailbox:
    """What is posted is called in the loop, in order. A knock on the loop costs a system call, and
    eight voices post a hundred times a second: those that come together are delivered together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._posted: list[Callable[[], None]] = []

    def post(self, message: Callable[[], None]) -> None:
        """From any thread; it never waits. After the loop's end nobody hears it."""
        with self._lock:
            self._posted.append(message)
            is_first = len(self._posted) == 1
        if is_first:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            posted, self._posted = self._posted, []
        for message in posted:
            message()
