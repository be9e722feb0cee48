"""What is told in NanoGPT's flow of jobs.

Source: Nano-GPT-com/docs, api-reference/endpoint/tts.mdx and tts-status.mdx (2026-08-22). Its
clients poll until `completed` or `error`; any other status means to them that it goes on, and any
answer to a poll that is no 200 ends their wait.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from router.accounts.price import Heard, cost_nano, credits_of
from router.accounts.terms import tariff_of
from router.api.job_envelope import JobEnvelope
from router.api.job_links import audio_url
from router.contract.caller import Price
from router.contract.speech import SpeechRequest
from router.jobs.job import Job

_POLICY = "CONTENT_POLICY_VIOLATION"
"""Their word for a text that the provider does not take: it is not to be sent again as it is."""
_REFUSED = 400
"""What was wrong with the request itself was told when it was handed in: what is found later to be
its own fault is what the provider thinks of it."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Accepted: ask for it by its `runId` and `model`."""

    status: str = "pending"
    run_id: str
    model: str
    """As it was sent."""
    charged: bool = True
    cost: float
    """Credits."""
    payment_source: str = "USD"
    """A word that clients send back; what is paid is credits."""
    is_api_request: bool = True


class FinishedSpeech(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Spoken within one request; the audio is fetched from its address, without a key."""

    audio_url: str
    content_type: str
    model: str
    text: str
    voice: str
    speed: float
    duration: float
    cost: float
    currency: str = "credits"


class JobStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a job is: `pending`, `completed` with its audio's address, or `error` with the reason."""

    status: Literal["pending", "completed", "error"]
    run_id: str
    queue_position: int | None = None
    """How many wait before it."""
    audio_url: str | None = None
    content_type: str | None = None
    model: str | None = None
    code: str | None = None
    error: str | None = None


def ticket_of(job: Job, price: Price) -> Ticket:
    """The ticket of a job that has most likely not begun: it tells what the text will cost by this
    price, as far as that can be known from its length."""
    likely = cost_nano(tariff_of(price), Heard(characters=job.characters))
    cost = _cost(job) if job.cost is not None else float(credits_of(likely))
    return Ticket(run_id=job.id, model=job.asked_model, cost=cost)


def status_of(job: Job, base: str) -> JobStatus:
    """The answer to a poll; a job that was cancelled has failed, to these clients."""
    if job.state == "completed" and job.audio is not None:
        return JobStatus(
            status="completed",
            run_id=job.id,
            audio_url=audio_url(base, job.audio),
            content_type=job.audio.media_type,
            model=job.asked_model,
        )
    if job.has_ended:
        return JobStatus(status="error", run_id=job.id, code=_code(job), error=_why(job))
    return JobStatus(status="pending", run_id=job.id, queue_position=job.position or 0)


def finished(
    job: Job, request: SpeechRequest, base: str
) -> tuple[int, FinishedSpeech | JobEnvelope]:
    """The answer to who waited for the end, with its HTTP status."""
    if job.audio is None:
        status = job.error.status if job.error is not None else 500
        return status, JobEnvelope(_why(job), status, _code(job))
    return 200, FinishedSpeech(
        audio_url=audio_url(base, job.audio),
        content_type=job.audio.media_type,
        model=job.asked_model,
        text=request.text,
        voice=job.voice,
        speed=request.speed,
        duration=round(job.audio.seconds, 3),
        cost=_cost(job),
    )


def _cost(job: Job) -> float:
    return float(job.cost) if job.cost is not None else 0.0


def _code(job: Job) -> str | None:
    if job.error is None:
        return None
    return _POLICY if job.error.status == _REFUSED else job.error.reason


def _why(job: Job) -> str:
    return job.error.message if job.error is not None else "The job was cancelled."
