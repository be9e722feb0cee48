"""`/v1/audio/speech/jobs`: speech that is made later, for callers of every shape."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import FromPath, QueryParameter
from litestar.types import ASGIApp

from router.api import shapes
from router.api.body import BODY_BYTES, ApiRequest, Body
from router.api.errors import NoAudio, answer
from router.api.job_body import ITEMS, Reading, of_item, once_of
from router.api.job_desk import DIALECT, Desk, accepted, check_id
from router.api.job_events import watched
from router.api.job_files import sending
from router.api.job_info import JobInfo, JobList, info_of, list_of
from router.api.response import plain
from router.api.terms import idempotency_key
from router.contract.caller import Caller
from router.contract.errors import CallerError, SpeechError
from router.contract.record import SpeechRecord
from router.jobs.job import Job, Submission
from router.jobs.office import Office

PATH = "/v1/audio/speech/jobs"
_MOST_LISTED = 100
_NAME = r"^[A-Za-z0-9_-]{0,64}$"


class JobsController(Controller):
    """Hand in, ask after, watch, cancel and fetch."""

    path = PATH
    tags = ("Jobs",)
    request_max_body_size = BODY_BYTES

    @post("", status_code=202, summary="Hand in a job, or a batch of them")
    async def submit(self, request: ApiRequest) -> ASGIApp:
        desk = Desk(request)
        likely = shapes.likely("shared", request.headers.get("content-type"))
        record = desk.door.opened(request, likely)
        try:
            async with desk.door.publishing(record, DIALECT):
                body, jobs = await _handed_in(desk, request, record)
                accepted(record, jobs, 202)
        except SpeechError as error:
            return answer(error, DIALECT, record.request_id)
        return _taken(desk, record, body, jobs)

    @get("", summary="List your jobs, the newest first")
    async def jobs(
        self,
        request: ApiRequest,
        *,
        limit: Annotated[int, QueryParameter(ge=1, le=_MOST_LISTED)] = 20,
        after: Annotated[
            str, QueryParameter(pattern=_NAME, description="`next` of the page before.")
        ] = "",
        batch: Annotated[
            str, QueryParameter(pattern=_NAME, description="Only the jobs of this batch.")
        ] = "",
    ) -> JobList:
        desk = Desk(request)
        office, caller = desk.office, await desk.door.caller(request)
        page = await office.page(caller, after=after or None, most=limit, batch=batch or None)
        return list_of(page, desk.base, batch or None)

    @get("/{id:str}", summary="Describe a job")
    async def job(self, request: ApiRequest, id: FromPath[str]) -> JobInfo:
        desk = Desk(request)
        job, is_news = await desk.poll(id)
        return msgspec.structs.replace(info_of(job, desk.base), stale=not is_news)

    @delete("/{id:str}", status_code=200, summary="Cancel a job; one that has ended stays as it is")
    async def cancel(self, request: ApiRequest, id: FromPath[str]) -> JobInfo:
        desk, office, caller = await _asked_by(request, id)
        return info_of(await office.cancel(id, caller), desk.base)

    @get("/{id:str}/events", summary="Watch a job get on (server-sent events)")
    async def events(self, request: ApiRequest, id: FromPath[str]) -> ASGIApp:
        desk, office, caller = await _asked_by(request, id)
        return watched(request, desk, office.watching(id, caller))

    @get("/{id:str}/audio", summary="Fetch the audio of a job with your key")
    async def audio(self, request: ApiRequest, id: FromPath[str]) -> ASGIApp:
        _, office, caller = await _asked_by(request, id)
        job = await office.find(id, caller)
        if job.audio is None:
            why = "It has none" if job.has_ended else "It has none yet"
            raise NoAudio(f"{why}: the job is {job.state}.")
        return sending(request, *await office.audio(job.audio.token))


async def _asked_by(request: ApiRequest, id: str) -> tuple[Desk, Office, Caller]:
    """Who asks about a job. Raises Unauthenticated, NoSuchJob."""
    desk = Desk(request)
    office, caller = desk.office, await desk.door.caller(request)
    check_id(id)
    return desk, office, caller


async def _handed_in(
    desk: Desk, request: ApiRequest, record: SpeechRecord
) -> tuple[Body, list[Job]]:
    """Take in what a request brings. Raises SpeechError."""
    door, office = desk.door, desk.office
    caller = await door.caller(request)
    record.caller = caller.id
    body = await door.body(request)
    door.house.check_open()
    submissions = await _read(desk, body)
    first = submissions[0].request
    record.shape, record.clone = first.shape, first.clip is not None
    once = once_of(idempotency_key(request), submissions)
    try:
        return body, await office.submit(submissions, caller, once=once)
    except CallerError as error:  # of more than one the office names the item itself
        if ITEMS in body.fields and len(submissions) == 1 and error.param is not None:
            raise of_item(error, 0) from error
        raise


async def _read(desk: Desk, body: Body) -> list[Submission]:
    reading = Reading(desk.door.settings, desk.door.speaker.catalogue)
    if ITEMS in body.fields:  # a thousand of them take a while
        return await asyncio.to_thread(reading.submissions, body)
    return reading.submissions(body)


def _taken(desk: Desk, record: SpeechRecord, body: Body, jobs: list[Job]) -> ASGIApp:
    told: JobInfo | JobList
    headers = [
        (b"content-type", b"application/json"),
        (b"x-request-id", record.request_id.encode()),
        (b"cache-control", b"no-store"),
    ]
    if ITEMS in body.fields:
        data = [info_of(job, desk.base) for job in jobs]
        told = JobList(data=data, batch=jobs[0].batch)
    else:
        told = info_of(jobs[0], desk.base)
        headers.append((b"location", f"{desk.base}{PATH}/{jobs[0].id}".encode()))
    return plain(202, headers, msgspec.json.encode(told))
