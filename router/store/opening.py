"""Opens the store: its database, its tables brought up to date, its writer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection

from router.contract.provider import Secret
from router.store.databases import Database, databases
from router.store.errors import StoreUnavailable, StoreUnusable
from router.store.migrate import bring_up_to_date
from router.store.passing import is_passing
from router.store.writer import PATIENCE_S, Apply, Writer, writing

Item = TypeVar("Item")
Answer = TypeVar("Answer")

READS = 1_000
"""Questions at once, most of them waiting for a connection."""
START_S = 15.0
"""For the store to answer when we start."""
_RETRY_S = 0.1


class Store:
    """One database. All changes go through its writer, all questions through its readers; no
    caller's task holds a connection, so a caller may be cancelled at any moment."""

    def __init__(self, writer: Writer, reader: Database) -> None:
        self._writer = writer
        self._reader = reader
        self._asking: set[asyncio.Task[Any]] = set()
        self._is_mute = False
        """Whether the last question was in vain."""

    @property
    def is_lost(self) -> bool:
        """Whether it cannot be written, as far as is known."""
        return self._writer.is_lost

    def write(
        self,
        apply: Apply[Item, Answer],
        item: Item,
        *,
        must: bool = False,
        undo: Item | None = None,
    ) -> asyncio.Future[Answer]:
        """See `Writer.write`."""
        return self._writer.write(apply, item, must=must, undo=undo)

    async def read(self, ask: Callable[[Connection], Answer]) -> Answer:
        """What `ask` finds.

        Raises:
            StoreUnavailable: not in time, or too many are asking. While it does not answer one at a
                time waits for it, and the others hear so at once.
        """
        if len(self._asking) >= READS or (self._is_mute and self._asking):
            raise StoreUnavailable
        task = asyncio.create_task(self._ask(ask), name="store reader")
        self._asking.add(task)
        task.add_done_callback(self._answered)
        return await asyncio.shield(task)

    def _answered(self, task: asyncio.Task[Any]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone: then it is no news for the loop

    async def _ask(self, ask: Callable[[Connection], Answer]) -> Answer:
        """Once more while the store restarts: it costs less than to refuse everybody."""
        last: Exception | None = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        answer = await self._reader.run(ask)
                    except Exception as error:
                        if not is_passing(error):
                            raise
                        last = error
                    else:
                        self._is_mute = False
                        return answer
                    await asyncio.sleep(_RETRY_S)
        except TimeoutError:
            self._is_mute = True
            raise StoreUnavailable from last

    async def close(self) -> None:
        """Wait for those who still ask; each has a limit."""
        await asyncio.gather(*self._asking, return_exceptions=True)


@asynccontextmanager
async def opened(url: Secret) -> AsyncIterator[Store]:
    """The store while the block lasts; what was queued is written before it ends.

    Raises:
        StoreUnusable: it cannot be reached, or not be brought up to date.
    """
    write, read = databases(url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(write.close)
        stack.push_async_callback(read.close)
        await _ready(write)
        store = Store(await stack.enter_async_context(writing(write)), read)
        stack.push_async_callback(store.close)
        yield store


async def _ready(database: Database) -> None:
    """Up to date, as soon as it answers: a server may start at the same time as we do."""
    end = time.monotonic() + START_S
    while True:
        try:
            return await bring_up_to_date(database)
        except StoreUnusable:
            raise
        except Exception as error:
            if not is_passing(error) or time.monotonic() > end:
                raise StoreUnusable(f"the store cannot be opened: {_told(error)}") from error
        await asyncio.sleep(_RETRY_S)


def _told(error: Exception) -> str:
    """The driver's own words: those of SQLAlchemy hold the statement."""
    return str(getattr(error, "orig", None) or error)
