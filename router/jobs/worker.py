"""Takes up jobs whose turn it is, as many at once as it may, until it is told to end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from router.contract.errors import Overloaded
from router.contract.record import Event
from router.jobs.archive import Claim
from router.jobs.changes import changed, place_of
from router.jobs.job import Job
from router.jobs.run import LEASE_S, Run
from router.jobs.work import Ground
from router.settings.jobs import Jobs

_log = structlog.get_logger(__name__)

LOOK_S = 1.0
"""How often we look for work, and for wishes to cancel: other processes have them too."""
_MARGIN_S = 0.02
"""The store's clock has its own milliseconds."""
_LET_GO_S = 10.0
"""For a job that is let go: a provider promises one second, the store has its patience."""


class Worker:
    """Use `working`; `stop` and `wake` may be called by any task."""

    def __init__(
        self,
        ground: Ground,
        settings: Jobs,
        at_once: int,
        publish: Callable[[Event], None],
        ended: Callable[[Job], None],
    ) -> None:
        """`ended` hears of every job that ends here."""
        self._ground = ground
        self._settings = settings
        self._at_once = at_once
        self._publish = publish
        self._ended = ended
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._is_over = False

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    def stop(self, id: str) -> bool:
        """Let go of a job that somebody wants cancelled; whether it was ours."""
        run = self._runs.get(id)
        if run is not None:
            run.stop("cancelled")
        return run is not None

    def end(self) -> None:
        """Take up no more."""
        self._is_over = True
        self.wake()

    async def take_up(self) -> None:
        """Take up jobs until `end`; the store may come and go."""
        while not self._is_over:
            self._wake.clear()
            if len(self._runs) >= self._at_once or not await self._taken():
                await self._rest()

    async def look_out(self) -> None:
        """See whether anybody wants one of ours cancelled, until cancelled ourselves."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._runs:
                continue
            holders = {run.claimed.holder: run for run in self._runs.values()}
            try:
                for holder in await self._ground.archive.unwanted(list(holders)):
                    holders[holder].stop("cancelled")
            except Overloaded:
                pass  # the next look may be luckier
            except Exception as error:
                _log.error("wishes to cancel cannot be read", **place_of(error))

    async def close(self, within_s: float) -> None:
        """Pieces under way may end within so long; then they are let go, for others to speak."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, within_s))
        for run in self._runs.values():
            run.stop("closing")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LET_GO_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _taken(self) -> bool:
        """Take one job up; false where there is none.

        One whose holder died may end our process, too. It is taken up beside none that it could
        drag along, and has none beside it, until a piece of it is spoken.
        """
        runs = self._runs.values()
        is_closing = self._is_over or self._ground.is_closing()
        if is_closing or any(run.is_suspect for run in runs):
            return False
        wish = Claim(
            holder=os.urandom(16).hex(),
            lease_ms=round(LEASE_S * 1000),
            most_bytes=self._settings.max_bytes,
            with_orphans=all(run.is_proven for run in runs),
        )
        try:
            claimed = await self._ground.archive.claim(wish)
        except Overloaded:
            return False
        except Exception as error:  # whatever it was: the next look may be luckier
            _log.error("jobs cannot be taken up", **place_of(error))
            return False
        if claimed is None:
            return False
        run = Run(claimed, self._ground, self._settings.attempts)
        self._runs[claimed.job.id] = run
        task = asyncio.create_task(self._run(run), name="job run")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _run(self, run: Run) -> None:
        try:
            job = await run.run()
        except Exception as error:  # it is taken up again after its lease
            _log.error("a job was lost", job=run.claimed.job.id, **place_of(error))
        else:
            if job is not None:
                self._publish(changed(job))
                self._ended(job)
        finally:
            del self._runs[run.claimed.job.id]
            self.wake()
            asyncio.get_running_loop().call_later(run.after_s + _MARGIN_S, self.wake)

    async def _rest(self) -> None:
        """Until something may have changed: a job, a place, or time."""
        try:
            async with asyncio.timeout(LOOK_S):
                await self._wake.wait()
        except TimeoutError:
            pass


@asynccontextmanager
async def at_work(worker: Worker, patience_s: Callable[[], float]) -> AsyncIterator[Worker]:
    """The worker at work while the block lasts; `patience_s` tells at its end how long pieces under
    way may still take."""
    taking = asyncio.create_task(worker.take_up(), name="jobs")
    looking = asyncio.create_task(worker.look_out(), name="jobs unwanted")
    try:
        yield worker
    finally:
        worker.end()
        await asyncio.gather(taking, return_exceptions=True)
        await worker.close(patience_s())
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
