"""The front of the room: jobs are handed in here, asked after, and fetched."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from router.accounts.lookup import Lookup
from router.contract.caller import Caller
from router.contract.errors import InvalidRequest, Overloaded
from router.contract.record import Event
from router.jobs.changes import changed
from router.jobs.holding import Holding
from router.jobs.intake import Intake
from router.jobs.job import Job, JobAudio, NoSuchJob, Page, Submission
from router.jobs.known import Known
from router.jobs.opening import Opening, Room
from router.settings.jobs import Jobs
from router.store.errors import StoreUnavailable

if TYPE_CHECKING:
    from router.jobs.archive import Figures

PAGE = 100
WATCHERS = 1_000
_LOOK_S = 1.0
_CANCEL_S = 4.0
"""How long who cancels waits for a job that another process speaks; it hears of it in a second."""


class Office:
    """Jobs of one installation, as callers meet them."""

    def __init__(
        self,
        settings: Jobs,
        opening: Opening,
        holding: Holding,
        publish: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._opening = opening
        self._holding = holding
        self._publish = publish
        self._known = Known(self._ask)
        self._queue = Lookup[dict[str, int]](self._ask_queue, kept_s=_LOOK_S, most=1)
        self._watchers = 0
        self._bell = asyncio.Event()

    async def submit(
        self,
        submissions: Sequence[Submission],
        caller: Caller,
        *,
        once: tuple[str, bytes] | None = None,
    ) -> list[Job]:
        """Take jobs in, all of them or none; they are in the store when this returns.

        `once` is the caller's Idempotency-Key with a hash of all that came under it: the same again
        gets the jobs of the first time, as long as they are known.

        Raises:
            CallerError: one of them cannot be spoken as it is (in a batch the message names the
                item); `InputTooLong`, `UnsupportedFormat` (a WAV that would pass 4 GiB; it names
                the formats that can hold it), `OutOfCredit`, `RateLimited`, `Forbidden`,
                `IdempotencyConflict`.
            Overloaded: too many wait already, or the folder of the jobs is full.
            StoreUnavailable: the store does not answer in time.
        """
        room = await self._opening.room()
        with self._holding() as current:
            intake = Intake(room.archive, current.speaker, self._settings)
            jobs, is_new = await intake.take(submissions, caller, once)
        if is_new:
            self._came_in(room, jobs)
        return [await self._placed(job) for job in jobs]

    async def find(self, id: str, caller: Caller) -> Job:
        """One job. Raises NoSuchJob; StoreUnavailable only where it was not asked after of late."""
        job = await self._known.find(id)
        if job is None or job.owner != caller.id:
            raise _no_such_job()
        return await self._placed(job)

    async def page(
        self, caller: Caller, *, after: str | None = None, most: int = 20, batch: str | None = None
    ) -> Page:
        """The caller's own jobs, newest first (those of a batch in its order), at most 100.

        Raises:
            InvalidRequest: the cursor is none of ours.
            StoreUnavailable: the store does not answer in time.
        """
        most = max(1, min(most, PAGE))
        archive = (await self._opening.room()).archive
        found = await archive.page(caller.id, batch, _place(after), most + 1)
        is_more, found = len(found) > most, found[:most]
        jobs = [await self._placed(job) for _, job in found]
        return Page(jobs, _cursor(found[-1][0]) if is_more else None)

    async def cancel(self, id: str, caller: Caller) -> Job:
        """Stop a job, down to the engine, whichever process runs it. One that has ended stays as it
        is. Raises NoSuchJob, StoreUnavailable."""
        room = await self._opening.room()
        before = await self.find(id, caller)
        if before.has_ended:
            return before
        job = await room.archive.cancel(id, caller.id)
        if job is None:
            raise _no_such_job()
        if job.has_ended:
            await asyncio.to_thread(room.files.drop, id)
            self._publish(changed(job))
            room.told()
            self.ended(job)
            return job
        if room.worker is not None:
            room.worker.stop(id)
        return await self._soon_ended(job)

    @asynccontextmanager
    async def watching(self, id: str, caller: Caller) -> AsyncIterator[AsyncIterator[Job]]:
        """The job now, and again whenever it has changed; the iterator ends after its end.

        Raises:
            NoSuchJob, StoreUnavailable: on entering.
            Overloaded: on entering, when too many watch.
        """
        job = await self.find(id, caller)
        if self._watchers >= WATCHERS:
            raise Overloaded("Too many watch jobs here. Ask from time to time.", retry_after=10.0)
        self._watchers += 1
        try:
            async with aclosing(self._changes(job)) as changes:
                yield changes
        finally:
            self._watchers -= 1

    async def audio(self, token: str) -> tuple[Path, JobAudio]:
        """The finished file, which stays whole while it is open. Raises NoSuchJob when it is gone
        or never was; StoreUnavailable."""
        room = await self._opening.room()
        job = await room.archive.by_token(token)
        if job is None or job.audio is None:
            raise _no_such_job()
        path = room.files.audio(job.id, job.format.encoding)
        if not await asyncio.to_thread(room.files.has, path, job.audio.bytes):
            raise _no_such_job()
        return path, job.audio

    async def figures(self) -> Figures | None:
        """How it stands with the jobs; `None`: nobody has asked for any yet. Raises
        StoreUnavailable."""
        room = self._opening.current
        return None if room is None else await room.archive.figures()

    def ended(self, job: Job) -> None:
        """Hear that a job has ended here: who watches it need not wait for the next look."""
        self._known.learn(job)
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    # ---- how

    def _came_in(self, room: Room, jobs: Sequence[Job]) -> None:
        self._queue.forget()
        for job in jobs:
            self._known.learn(job)
            self._publish(changed(job))
        if room.worker is not None:
            room.worker.wake()

    async def _ask(self, id: str) -> Job | None:
        return await (await self._opening.room()).archive.find(id)

    async def _ask_queue(self, _: str) -> dict[str, int]:
        return await (await self._opening.room()).archive.queue()

    async def _placed(self, job: Job) -> Job:
        """The job with its place in the queue, where that can be told."""
        if job.state != "queued":
            return job
        places: dict[str, int] | None = None
        with suppress(StoreUnavailable):
            places = await self._queue.find("")
        place = (places or {}).get(job.id, len(places or {}))
        return msgspec.structs.replace(job, position=place)

    async def _changes(self, job: Job) -> AsyncGenerator[Job, None]:
        yield job
        while not job.has_ended:
            await self._news()
            with suppress(StoreUnavailable):
                now = await self._known.find(job.id)
                if now is None:
                    return
                now = await self._placed(now)
                if now != job:
                    job = now
                    yield job

    async def _soon_ended(self, job: Job) -> Job:
        """The job, once it has ended or that has taken too long."""
        with suppress(TimeoutError, StoreUnavailable):
            async with asyncio.timeout(_CANCEL_S):
                while not job.has_ended:
                    await self._news(_LOOK_S / 4)
                    job = await self._known.find(job.id, within_s=0.0) or job
        return job

    async def _news(self, within_s: float = _LOOK_S) -> None:
        """Wait for the end of any job of ours, else for a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._bell.wait()


def _no_such_job() -> NoSuchJob:
    return NoSuchJob("There is no job of this id, or it is forgotten by now.")


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(b"%d" % place).decode().rstrip("=")


def _place(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    try:
        return int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        raise InvalidRequest("The cursor is none of ours.", param="after") from None
