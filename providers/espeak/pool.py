"""A bounded set of workers, each lent to one caller at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from providers.espeak.worker import Worker


class Pool:
    """Workers of one command. They start when they are needed and are replaced when they fail."""

    def __init__(self, command: Sequence[str], size: int) -> None:
        self._command = command
        self._places = asyncio.Semaphore(size)
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._reaping: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        """Whether every worker is lent."""
        return self._places.locked()

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """A worker of one's own; on leaving it is stopped, or killed if it does not stop.

        Raises:
            Broken: none can be started.
        """
        async with self._places:
            worker = self._idle_worker() or await self._new_worker()
            is_clean = False
            try:
                try:
                    yield worker
                finally:
                    is_clean = await worker.settle()
            finally:
                if is_clean and worker in self._all:
                    self._idle.append(worker)
                else:
                    self._end(worker)

    async def close(self) -> None:
        """Kill all, also those that are lent, and wait until nothing is left of them."""
        for worker in list(self._all):
            self._end(worker)
        await asyncio.gather(*self._reaping)

    def _idle_worker(self) -> Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            self._end(worker)
        return None

    async def _new_worker(self) -> Worker:
        worker = Worker(self._command)
        self._all.add(worker)
        try:
            await worker.ready()
        except BaseException:
            self._end(worker)
            raise
        return worker

    def _end(self, worker: Worker) -> None:
        if worker not in self._all:
            return
        self._all.discard(worker)
        worker.kill()
        task = asyncio.create_task(worker.reap())
        self._reaping.add(task)
        task.add_done_callback(self._reaping.discard)
