"""Keeps the folder and the store of jobs small: what is old goes, and what nobody knows of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from router.contract.errors import Overloaded
from router.contract.record import Event
from router.jobs.archive import Archive
from router.jobs.changes import changed, place_of
from router.jobs.files import Files
from router.jobs.job import ENDED

_log = structlog.get_logger(__name__)

FORGET_S = 5.0
"""How often what has expired is looked for: jobs may wait for its room."""
SWEEP_S = 3_600.0
"""How often the whole folder is looked through."""


class Upkeep:
    """Use `kept_up`."""

    def __init__(self, archive: Archive, files: Files, publish: Callable[[Event], None]) -> None:
        self._archive = archive
        self._files = files
        self._publish = publish

    async def forget(self) -> None:
        """End what took too long, and forget what has expired."""
        for job in await self._archive.end_overdue():
            self._publish(changed(job))
            await asyncio.to_thread(self._files.drop, job.id)
        while ids := await self._archive.forget():
            await asyncio.to_thread(self._drop, ids)

    def _drop(self, ids: list[str]) -> None:
        for id in ids:
            self._files.drop(id)

    async def sweep(self) -> None:
        """Remove what processes that died have left in the folder."""
        folders = self._files.jobs()
        while ids := await asyncio.to_thread(next, folders, None):
            known = await self._archive.known(ids)
            gone = [id for id in ids if id not in known]
            ended = [id for id, state in known.items() if state in ENDED]
            await asyncio.to_thread(self._drop, gone)
            await asyncio.to_thread(self._drop_pieces, ended)
            if gone:
                _log.info("audio of jobs that nobody knows was removed", jobs=len(gone))

    def _drop_pieces(self, ids: list[str]) -> None:
        for id in ids:
            self._files.drop_pieces(id)


@asynccontextmanager
async def kept_up(upkeep: Upkeep) -> AsyncIterator[None]:
    """Look after it while the block lasts."""
    tasks = [
        asyncio.create_task(_every(FORGET_S, upkeep.forget), name="jobs forget"),
        asyncio.create_task(_every(SWEEP_S, upkeep.sweep), name="jobs sweep"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await act()
        except Overloaded:
            pass  # the store is away
        except Exception as error:  # the next round may be luckier
            _log.error("jobs cannot be looked after", **place_of(error))
        await asyncio.sleep(seconds)
