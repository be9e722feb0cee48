"""The room of jobs, opened when it is first needed: a server that is never handed one opens no
store for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import structlog

from router.store.errors import StoreUnavailable, StoreUnusable

if TYPE_CHECKING:
    from router.jobs.archive import Archive
    from router.jobs.files import Files
    from router.jobs.worker import Worker

_log = structlog.get_logger(__name__)

_AGAIN_S = 5.0
_PATIENCE_S = 10.0
"""For whoever waits until it is open."""


class Room(msgspec.Struct, frozen=True):
    """What is open."""

    archive: Archive
    files: Files
    worker: Worker | None
    """`None`: others speak."""
    told: Callable[[], None]
    """To be called when there is something to tell receivers of webhooks."""


class Opening:
    """Use `at_hand`; then `room` may be awaited by anybody."""

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[Room]]) -> None:
        self._opened = opened
        self._is_wanted = asyncio.Event()
        self._is_over = asyncio.Event()
        self._is_open = asyncio.Event()
        self._room: Room | None = None
        self._has_failed = False

    @property
    def current(self) -> Room | None:
        """What is open already."""
        return self._room

    async def room(self) -> Room:
        """It, open.

        Raises:
            StoreUnavailable: it cannot be opened now.
        """
        self._is_wanted.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._has_failed else _PATIENCE_S):
                await self._is_open.wait()
        if self._room is None:
            raise StoreUnavailable("The jobs cannot be reached at the moment.")
        return self._room

    @asynccontextmanager
    async def at_hand(self, *, at_once: bool) -> AsyncIterator[Opening]:
        """Open it when somebody wants it, or at once; it is closed when the block ends."""
        if at_once:
            self._is_wanted.set()
        keeper = asyncio.create_task(self._keep(), name="jobs room")
        try:
            yield self
        finally:
            self._is_over.set()
            if self._room is None:
                keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _keep(self) -> None:
        await self._is_wanted.wait()
        while not self._is_over.is_set():
            try:
                async with self._opened() as room:
                    self._room = room
                    self._is_open.set()
                    await self._is_over.wait()
            except StoreUnusable as error:
                _log.error("jobs cannot be reached", error=str(error))
            except Exception:
                _log.exception("jobs cannot be reached")
            self._room, self._has_failed = None, True
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S):
                    await self._is_over.wait()
