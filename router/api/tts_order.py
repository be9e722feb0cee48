"""One job in NanoGPT's shape on its way in: handed in, and perhaps waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import msgspec
from litestar.types import ASGIApp

from router.api.errors import Dialect, answer
from router.api.job_body import once_of
from router.api.job_desk import Desk, accepted
from router.api.job_envelope import JobEnvelope
from router.api.response import Headers, JourneyResponse, plain
from router.api.tts_told import FinishedSpeech, Ticket, finished, ticket_of
from router.contract.caller import Caller, Price
from router.contract.errors import Overloaded, SpeechError
from router.contract.record import SpeechRecord
from router.contract.speech import Terms
from router.jobs.job import Job, Submission

DIALECT: Dialect = "nanogpt-job"


class _Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes


class Order:
    """A submission, who makes it, and the record that it is on."""

    def __init__(
        self,
        desk: Desk,
        record: SpeechRecord,
        caller: Caller,
        *,
        submission: Submission,
        terms: Terms,
    ) -> None:
        self._desk = desk
        self._record = record
        self._caller = caller
        self._submission = submission
        self._terms = terms

    async def ticket(self) -> ASGIApp:
        """Hand it in. Raises SpeechError."""
        async with self._desk.door.publishing(self._record, DIALECT):
            said = self._ticket(await self._handed_in())
        return plain(*said)

    def finished(self, base: str) -> ASGIApp:
        """Hand it in, and answer when it has ended; with a ticket, where that takes too long."""
        return JourneyResponse(
            self._waited_for(base),
            lambda said: [*said.headers, (b"content-length", str(len(said.body)).encode())],
            _whole,
            lambda error: answer(error, DIALECT, self._record.request_id),
            self._desk.door.settings.timeouts.slow_reader_s,
            status=lambda said: said.status,
        )

    @asynccontextmanager
    async def _waited_for(self, base: str) -> AsyncIterator[_Answer]:
        async with self._desk.door.publishing(self._record, DIALECT):
            job = await self._handed_in()
            try:
                job = await self._ended(job)
            except BaseException:  # the caller hung up, and never heard by what name to ask again
                if self._terms.idempotency_key is None:
                    with suppress(SpeechError):
                        await self._desk.office.cancel(job.id, self._caller)
                raise
            if not job.has_ended:
                yield self._ticket(job)
            else:
                status, said = finished(job, self._submission.request, base)
                yield self._told(job, status, said)

    async def _handed_in(self) -> Job:
        once = once_of(self._terms.idempotency_key, [self._submission])
        [job] = await self._desk.office.submit([self._submission], self._caller, once=once)
        return job

    async def _ended(self, job: Job) -> Job:
        """The job at its end; as it is, where that takes too long or too many wait already."""
        limits = self._desk.door.settings.timeouts
        within_s = min(self._terms.within_s or limits.deadline_s, limits.deadline_most_s)
        newest = job
        with suppress(TimeoutError, Overloaded):
            async with asyncio.timeout(within_s):
                async with self._desk.office.watching(job.id, self._caller) as seen:
                    async for newest in seen:  # noqa: B007 - the last is what is told
                        pass
        return newest

    def _ticket(self, job: Job) -> _Answer:
        return self._told(job, 202, ticket_of(job, self._price(job)))

    def _price(self, job: Job) -> Price:
        """Of the job's model; nothing is paid where there are no accounts."""
        door = self._desk.door
        found = door.speaker.catalogue.find_model(job.model)
        if found is None or door.settings.accounts is None:
            return Price()
        return found.model.price

    def _told(self, job: Job, status: int, said: Ticket | FinishedSpeech | JobEnvelope) -> _Answer:
        accepted(self._record, [job], status)
        headers = [
            (b"content-type", b"application/json"),
            (b"x-request-id", self._record.request_id.encode()),
            (b"cache-control", b"no-store"),
        ]
        return _Answer(status, headers, msgspec.json.encode(said))


async def _whole(said: _Answer) -> AsyncGenerator[bytes, None]:
    yield said.body
