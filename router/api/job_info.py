"""A job as its owner is told of it: `/v1/audio/speech/jobs` speaks of nothing else."""

from __future__ import annotations

import msgspec

from router.api.job_links import audio_url
from router.jobs.job import Job, JobError, Page, State


class JobProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is."""

    characters: int
    """Spoken so far, as code points of the text."""
    characters_total: int
    pieces: int
    pieces_total: int
    """0: it is not cut yet."""
    audio_s: float
    """Seconds of audio that are made."""
    estimate_s: float | None
    """Seconds until its end; null: nobody knows."""


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """The finished audio."""

    url: str
    """Fetched without a key, by whoever has the address."""
    name: str
    content_type: str
    bytes: int
    duration_s: float
    expires_at: int
    """Unix seconds."""


class JobFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job was not spoken."""

    code: str
    message: str
    status: int
    """The HTTP status that the same failure would have had as an answer."""


class JobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One job at one moment. Its text is not told."""

    id: str
    object: str = "speech.job"
    status: State
    model: str
    """As it was sent."""
    voice: str
    format: str
    batch: str | None
    """What the jobs of one submission share."""
    item: int
    """Its place among them, from 0."""
    queue_position: int | None
    """How many wait before it; null: it does not wait."""
    progress: JobProgress
    audio: JobFile | None
    error: JobFailure | None
    metadata: dict[str, str]
    provider: str | None
    """Who spoke last."""
    cost: str | None
    """Credits, as a decimal; null: not metered, or not known yet."""
    created_at: int
    """Unix seconds, as the other times are."""
    started_at: int | None
    ended_at: int | None
    expires_at: int
    """From then on nobody knows of it."""
    stale: bool = False
    """The store cannot be asked now: this is what was known last, and where nothing was, only that
    the job is not known to have ended."""


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs, the newest first; those of a batch in its order."""

    object: str = "list"
    data: list[JobInfo]
    batch: str | None = None
    next: str | None = None
    """Ask with it as `after` for the next page; null: this was the last."""


def info_of(job: Job, base: str) -> JobInfo:
    """The job; `base` is where the caller reaches the router."""
    return JobInfo(
        id=job.id,
        status=job.state,
        model=job.asked_model,
        voice=job.voice,
        format=job.format.encoding,
        batch=job.batch,
        item=job.item,
        queue_position=job.position,
        progress=JobProgress(
            characters=job.characters_done,
            characters_total=job.characters,
            pieces=job.pieces_done,
            pieces_total=job.pieces,
            audio_s=round(job.audio_s, 3),
            estimate_s=None if job.estimate_s is None else round(job.estimate_s, 1),
        ),
        audio=_file(job, base),
        error=_failure(job.error),
        metadata=job.metadata,
        provider=job.provider or None,
        cost=job.cost,
        created_at=job.created_ms // 1000,
        started_at=_seconds(job.started_ms),
        ended_at=_seconds(job.ended_ms),
        expires_at=job.until_ms // 1000,
    )


def list_of(page: Page, base: str, batch: str | None) -> JobList:
    """One page of a caller's jobs."""
    return JobList(data=[info_of(job, base) for job in page.jobs], batch=batch, next=page.after)


def _file(job: Job, base: str) -> JobFile | None:
    audio = job.audio
    if audio is None:
        return None
    return JobFile(
        url=audio_url(base, audio),
        name=audio.name,
        content_type=audio.media_type,
        bytes=audio.bytes,
        duration_s=round(audio.seconds, 3),
        expires_at=audio.until_ms // 1000,
    )


def _failure(error: JobError | None) -> JobFailure | None:
    if error is None:
        return None
    return JobFailure(code=error.reason, message=error.message, status=error.status)


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // 1000
