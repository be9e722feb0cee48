"""How late the event loop is: a timer that tells how much too late it came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

EVERY_S = 0.25
"""Four wake-ups a second cost nothing; what blocks the loop for long is seen all the same."""


@asynccontextmanager
async def watched(late: Callable[[float], None]) -> AsyncIterator[None]:
    """Tell `late` the seconds of every delay while the block lasts."""

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY_S
            await asyncio.sleep(EVERY_S)
            late(max(0.0, loop.time() - due))

    task = asyncio.create_task(watch(), name="loop delay")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
