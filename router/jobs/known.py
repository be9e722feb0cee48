"""What was asked of a job a moment ago: polls are many, and most of them hear nothing new."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from router.jobs.job import Job
from router.store.errors import StoreUnavailable

KEPT_S = 0.5
"""For so long an answer is given again."""
LATE_S = 1.0
"""For so long somebody waits who could be told what was known last."""
KEPT = 10_000


class Known:
    """Jobs by their ids. While the store cannot be reached, what was known last is still said."""

    def __init__(self, ask: Callable[[str], Awaitable[Job | None]]) -> None:
        self._ask = ask
        self._jobs: OrderedDict[str, tuple[Job, float]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Job | None]] = {}

    def learn(self, job: Job) -> None:
        """The news of one."""
        self._jobs[job.id] = job, time.monotonic()
        self._jobs.move_to_end(job.id)
        if len(self._jobs) > KEPT:
            self._jobs.popitem(last=False)

    async def find(self, id: str, within_s: float = KEPT_S) -> Job | None:
        """A job as it was `within_s` seconds ago at the most.

        Raises:
            StoreUnavailable: and nothing was known of it.
        """
        kept = self._jobs.get(id)
        if kept is not None and time.monotonic() - kept[1] < within_s:
            return kept[0]
        asked = self._asked(id)
        if kept is not None:
            await asyncio.wait([asked], timeout=LATE_S)
            if not asked.done():
                return kept[0]
        try:
            return await asyncio.shield(asked)
        except StoreUnavailable:
            if kept is None:
                raise
            return kept[0]

    def _asked(self, id: str) -> asyncio.Task[Job | None]:
        """One question, however many want its answer."""
        task = self._asking.get(id)
        if task is None:
            task = self._asking[id] = asyncio.create_task(self._answer(id), name="job")
            task.add_done_callback(_heard)
        return task

    async def _answer(self, id: str) -> Job | None:
        try:
            job = await self._ask(id)
        finally:
            del self._asking[id]
        if job is None:
            self._jobs.pop(id, None)
        else:
            self.learn(job)
        return job


def _heard(task: asyncio.Task[Any]) -> None:
    """Whoever asked may be gone: then an error is no news for the loop."""
    if not task.cancelled():
        task.exception()
