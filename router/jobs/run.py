"""One job in our hands: its lease, what becomes of it, and who may stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import structlog

from router.contract.errors import CallerError, Overloaded, SpeechError
from router.jobs.archive import Claimed, End, Lease, Release
from router.jobs.binding import TooLarge
from router.jobs.changes import place_of
from router.jobs.files import NoRoom
from router.jobs.job import Job, JobError
from router.jobs.rows.ending import Finished
from router.jobs.sizing import UNBOUNDED
from router.jobs.work import Closing, Ground, Lost, Work
from router.store.errors import StoreUnavailable
from router.store.writer import PATIENCE_S

_log = structlog.get_logger(__name__)

LEASE_S = 30.0
"""How long a job is ours after we were last heard of."""
RENEW_S = 10.0
_RETRY_S = (2.0, 8.0, 30.0, 120.0)
"""Before it is tried again, by how often it was in vain."""
_BUSY_S = (1.0, 30.0)
"""The least and the most that it waits for somebody to have time for it."""
_ROOM_S = 10.0

Stop = Literal["cancelled", "lost", "closing"]
"""Somebody wants it to end · it is another's, for all we know · we are going down."""


class Paused(msgspec.Struct, frozen=True):
    """It is given back, to be taken up again."""

    after_s: float
    counts: bool = False
    """Whether it was one of its attempts."""


Outcome = Finished | Paused | JobError | None
"""`None`: it is another's."""


class Run:
    """Await `run` once; `stop` may be called at any moment."""

    def __init__(self, claimed: Claimed, ground: Ground, attempts: int) -> None:
        """`attempts` may be in vain, one after the other."""
        self.claimed = claimed
        self._archive = ground.archive
        self._files = ground.files
        self._attempts = attempts
        self._work = Work(claimed, ground)
        self._stopped: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()
        self._ours_until = _now() + LEASE_S
        self.after_s = 0.0
        """Where it was given back: when it may be taken up again."""

    @property
    def is_proven(self) -> bool:
        """Whether a piece of it was spoken here."""
        return self._work.spoken > 0

    @property
    def is_suspect(self) -> bool:
        """Whether its last holder died, and no piece of it was spoken since: it may be what ends
        processes."""
        return self.claimed.is_orphan and not self.is_proven

    def stop(self, why: Stop) -> None:
        """Let go of everything, down to whoever speaks."""
        if not self._stopped.done():
            self._stopped.set_result(why)

    async def run(self) -> Job | None:
        """Speak it as far as that goes. The job, where it has ended."""
        beat = asyncio.create_task(self._beat(), name="job lease")
        work = asyncio.create_task(self._outcome(), name="job")
        try:
            either: Iterable[asyncio.Future[Any]] = (work, self._stopped)
            await asyncio.wait(either, return_when="FIRST_COMPLETED")
            if self._stopped.done():
                work.cancel()
                await asyncio.wait([work])
                return await self._concluded(self._stopped.result())
            return await self._concluded(work.result())
        except StoreUnavailable:  # what was to be written is written as soon as it can be
            _log.warning("the end of a job is not written yet", job=self.claimed.job.id)
            return None
        finally:
            for task in (work, beat):
                task.cancel()
            await asyncio.gather(work, beat, return_exceptions=True)

    async def _beat(self) -> None:
        """Stay known as its holder; where that cannot be sure any more, stop before another
        begins."""
        lease = Lease(self.claimed.job.id, self.claimed.holder, round(LEASE_S * 1000))
        wait_s = RENEW_S
        while True:
            await asyncio.sleep(wait_s)
            asked = _now()
            if asked + PATIENCE_S > self._ours_until:
                return self.stop("lost")
            try:
                if not await self._archive.renew(lease):
                    return self.stop("lost")
            except StoreUnavailable:
                wait_s = 1.0
            else:
                wait_s, self._ours_until = RENEW_S, asked + LEASE_S

    # ---- what comes of it

    async def _outcome(self) -> Outcome:
        """Whatever goes wrong is an outcome."""
        if self.claimed.attempts > self._attempts:
            return JobError("attempts", f"It was begun {self._attempts} times in vain.", 500)
        try:
            return await self._work.finished()
        except Closing:
            return Paused(0.0)
        except Lost:
            return None
        except NoRoom:
            return Paused(_ROOM_S)
        except Overloaded as busy:  # nobody has time, or the store is away
            return Paused(min(max(busy.retry_after or 0.0, _BUSY_S[0]), _BUSY_S[1]))
        except TooLarge:
            told = f"It does not fit into a WAV. Formats that can hold it: {', '.join(UNBOUNDED)}."
            return JobError("too_large", told, 413)
        except SpeechError as error:
            return self._failed(error)
        except Exception as error:  # a bug, or a disk that does not do as it is told
            _log.error("a job failed unexpectedly", job=self.claimed.job.id, **place_of(error))
            told = f"It failed unexpectedly ({type(error).__name__})."
            return self._again(JobError("broken", told, 500))

    def _failed(self, error: SpeechError) -> Outcome:
        """A request at fault is so tomorrow, too; anything else may pass."""
        told = JobError(error.reason, error.message, _STATUS.get(error.reason, 400))
        if isinstance(error, CallerError):
            return told
        return self._again(JobError(error.reason, error.message, _STATUS.get(error.reason, 502)))

    def _again(self, error: JobError) -> Outcome:
        in_vain = 0 if self._work.spoken else self.claimed.attempts
        if in_vain >= self._attempts:
            return error
        return Paused(_RETRY_S[min(max(in_vain, 1), len(_RETRY_S)) - 1], counts=True)

    # ---- what is written of it

    async def _concluded(self, outcome: Outcome | Stop) -> Job | None:
        if outcome is None or outcome == "lost":
            return None
        if outcome == "closing":
            outcome = Paused(0.0)
        if isinstance(outcome, Paused):
            await self._give_back(outcome)
            return None
        finished = outcome if isinstance(outcome, Finished) else None
        return await self._end(finished, outcome if isinstance(outcome, JobError) else None)

    async def _give_back(self, paused: Paused) -> None:
        self.after_s = paused.after_s
        await self._archive.release(
            Release(
                id=self.claimed.job.id,
                holder=self.claimed.holder,
                after_ms=round(paused.after_s * 1000),
                counts=paused.counts,
            )
        )

    async def _end(self, finished: Finished | None, error: JobError | None) -> Job | None:
        """Without audio and without an error it is cancelled."""
        job = await self._archive.end(
            End(
                id=self.claimed.job.id,
                holder=self.claimed.holder,
                finished=finished,
                error=error,
                telling=self._archive.telling,
            )
        )
        if job is not None:
            drop = self._files.drop if finished is None else self._files.drop_pieces
            await asyncio.to_thread(drop, job.id)
        return job


_STATUS = {
    "unknown_model": 404,
    "forbidden": 403,
    "input_too_long": 413,
    "nobody_can": 503,
    "nobody_spoke": 502,
    "out_of_time": 504,
}


def _now() -> float:
    return asyncio.get_running_loop().time()
