"""What every spelling of a job's API has in common: its office, and polls that never fail."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence

from router.api.body import ApiRequest
from router.api.door import Door, credential, door_of
from router.api.errors import Dialect, NoSuchPath
from router.api.job_links import base_of
from router.contract.audio import AudioFormat
from router.contract.errors import Overloaded, RateLimited, Unauthenticated
from router.contract.record import SpeechRecord
from router.jobs.job import Job, NoSuchJob
from router.jobs.office import Office

DIALECT: Dialect = "leaper"
"""How errors are told where the path belongs to no other API."""
_PATIENCE_S = 2.0
"""How long the store may take for a poll: then what was known last is told."""
_ID = re.compile(r"run_[A-Za-z0-9_-]{22}")


class Desk:
    """Where one request asks after jobs."""

    def __init__(self, request: ApiRequest) -> None:
        self.door: Door = door_of(request)
        self._request = request

    @property
    def office(self) -> Office:
        """Raises NoSuchPath where no jobs are taken."""
        return office_of(self._request)

    @property
    def base(self) -> str:
        """Where this caller reaches the router."""
        return base_of(self._request, self.door.settings.server)

    async def poll(self, id: str) -> tuple[Job, bool]:
        """The job, and whether this is news. While nobody can be asked it is what was known last,
        else a job of which nothing is known but that it waits.

        Raises:
            Unauthenticated: the key is none of ours.
            NoSuchJob: the job is none of this key's.
        """
        check_id(id)
        office, known = self.office, self.door.known_jobs
        who = _hash_of_key(self._request)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                caller = await self.door.caller(self._request)
                job = await office.find(id, caller)
        except RateLimited as error:  # of many tries with bad keys: a poll is not told to slow down
            raise Unauthenticated("This key is not one of ours, or is no longer good.") from error
        except (Overloaded, TimeoutError):
            return known.find(who, id) or _unknown(id), False
        known.keep(who, job)
        return job, True


def office_of(request: ApiRequest) -> Office:
    """Where this config's jobs are kept. Raises NoSuchPath where none are taken."""
    office: Office | None = request.scope["state"].get("office")
    if office is None:
        raise NoSuchPath("No jobs are taken here: the config says jobs.enabled: false.")
    return office


def check_id(id: str) -> None:
    """Raises NoSuchJob for what was never the id of one: no store is asked for it."""
    if not _ID.fullmatch(id):
        raise no_such_job()


def no_such_job() -> NoSuchJob:
    return NoSuchJob("There is no job of this id, or it is forgotten by now.")


def accepted(record: SpeechRecord, jobs: Sequence[Job], status: int) -> None:
    """Note that these jobs were taken in; their speech has records of its own."""
    first = jobs[0]
    record.outcome, record.status = "accepted", status
    record.model, record.voice, record.format = first.model, first.voice, first.format.encoding
    record.characters = sum(job.characters for job in jobs)


def _hash_of_key(request: ApiRequest) -> bytes:
    key = credential(request)
    return hashlib.sha256((key.reveal() if key is not None else "").encode()).digest()


def _unknown(id: str) -> Job:
    return Job(
        id=id,
        owner="",
        state="queued",
        shape="",
        model="",
        asked_model="",
        voice="",
        format=AudioFormat("wav"),
        characters=0,
        position=0,
        created_ms=0,
        until_ms=0,
    )
