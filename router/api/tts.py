"""NanoGPT's flow of jobs: `POST /tts` and `GET /tts/status`."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get, post
from litestar.params import QueryParameter
from litestar.types import ASGIApp

from router.api.body import BODY_BYTES, ApiRequest
from router.api.errors import answer
from router.api.fields import Asked
from router.api.job_body import JobTerms, Reading, submission
from router.api.job_desk import Desk
from router.api.terms import terms_of
from router.api.tts_order import DIALECT, Order
from router.api.tts_told import JobStatus, status_of
from router.contract.errors import InvalidRequest, SpeechError
from router.contract.record import SpeechRecord
from router.settings.jobs import TicketShape

PATHS = ("/tts", "/api/tts")
STATUS_PATHS = ("/tts/status", "/api/tts/status")


class TtsController(Controller):
    """Text in; a ticket, an address or audio out."""

    tags = ("Jobs",)
    request_max_body_size = BODY_BYTES

    @post(list(PATHS), status_code=202, summary="Hand in a job (NanoGPT's shape)")
    async def submit(self, request: ApiRequest) -> ASGIApp:
        desk = Desk(request)
        record = desk.door.opened(request, "nanogpt")
        try:
            return await _answered(desk, request, record)
        except SpeechError as error:
            return answer(error, DIALECT, record.request_id)

    @get(list(STATUS_PATHS), summary="Ask how a job is (NanoGPT's shape)")
    async def status(
        self,
        request: ApiRequest,
        *,
        run_id: Annotated[str, QueryParameter(name="runId", max_length=256)] = "",
        model: Annotated[str, QueryParameter(name="model", max_length=256)] = "",
    ) -> JobStatus:
        for name, value in (("runId", run_id), ("model", model)):
            if not value.strip():
                raise InvalidRequest(
                    f"{name} is required.", param=name, code="missing_required_parameter"
                )
        desk = Desk(request)
        job, _ = await desk.poll(run_id.strip())
        return status_of(job, desk.base)


async def _answered(desk: Desk, request: ApiRequest, record: SpeechRecord) -> ASGIApp:
    """The answer in the form that the model has. Raises SpeechError, once it is published."""
    door = desk.door
    try:
        caller = await door.caller(request)
        record.caller = caller.id
        body = await door.body(request)
        door.house.check_open()
        asked = Reading(door.settings, door.speaker.catalogue).asked_by_tts(body.fields)
        terms = terms_of(request)
    except BaseException as error:
        door.closed(record, error, DIALECT)
        raise
    form = _form(desk, asked)
    if form == "audio":
        return door.answering(asked, caller, record, DIALECT, terms)
    job = submission(asked.request, body.fields, JobTerms())
    order = Order(desk, record, caller, submission=job, terms=terms)
    if form == "ticket":
        return await order.ticket()
    return order.finished(desk.base)


def _form(desk: Desk, asked: Asked) -> TicketShape:
    found = desk.door.speaker.catalogue.find_model(asked.request.model)
    return found.model.tts if found is not None else "ticket"
