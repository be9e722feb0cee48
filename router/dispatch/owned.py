"""An attempt in a task of its own, from its beginning to its end: two can run at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from router.dispatch.sounding import Sounding


class Owned:
    """Asked at once. `sounded` tells how it began; `aclose` lets go of it, whatever it does.

    What an attempt has entered is left in the task that entered it, as some providers need.
    """

    def __init__(self, begin: Callable[[], Awaitable[Sounding]]) -> None:
        self.sounded: asyncio.Future[Sounding] = asyncio.get_running_loop().create_future()
        self.sounded.add_done_callback(_seen)
        self._leave = asyncio.Event()
        self._task = asyncio.create_task(self._run(begin), name="attempt")

    async def aclose(self) -> None:
        if not self.sounded.done():
            self._task.cancel()
        self._leave.set()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, begin: Callable[[], Awaitable[Sounding]]) -> None:
        try:
            sounding = await begin()
        except Exception as error:  # it is told to whoever waits for the sound
            self.sounded.set_exception(error)
            return
        except asyncio.CancelledError:
            self.sounded.cancel()
            raise
        try:
            self.sounded.set_result(sounding)
            await self._leave.wait()
        finally:
            await sounding.aclose()


def _seen(sounded: asyncio.Future[Sounding]) -> None:
    """Nobody may be waiting for its error any more."""
    if not sounded.cancelled():
        sounded.exception()
