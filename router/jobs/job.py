"""A job in words: what was submitted, how far it is, and what became of it."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from router.contract.audio import AudioFormat
from router.contract.errors import CallerError
from router.contract.speech import SpeechRequest

State = Literal["queued", "running", "completed", "error", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
ENDED: frozenset[State] = frozenset({"completed", "error", "cancelled"})


class NoSuchJob(CallerError):
    """There is no such job, or it is another key's, or it is forgotten: nobody can tell which."""

    reason = "no_such_job"


class JobError(msgspec.Struct, frozen=True):
    """Why a job has not been spoken. No text is in it."""

    reason: str
    """A word of the error tree (`SpeechError.reason`), or `attempts`, `cancelled`, `too_large`."""
    message: str
    status: int
    """The HTTP status that the same failure would have had as an answer."""


class JobAudio(msgspec.Struct, frozen=True):
    """The finished file."""

    token: str
    """Unguessable: whoever has it may fetch the file without a key."""
    name: str
    """A file name for people: `run_….mp3`."""
    bytes: int
    media_type: str
    seconds: float
    until_ms: int
    """Unix milliseconds from which on it is gone."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job as its owner may see it, at one moment. Neither text nor clip is in it."""

    id: str
    """`run_` and 22 characters that nobody can guess."""
    owner: str
    """The `Caller.id` that submitted it."""
    batch: str | None = None
    """What the jobs of one submission share; `None`: it came alone."""
    item: int = 0
    """Its place in the batch, from 0."""
    state: State
    shape: str
    model: str
    """The public model."""
    asked_model: str
    """The model as it was sent."""
    voice: str
    """The voice as it was asked for."""
    format: AudioFormat
    characters: int
    characters_done: int = 0
    pieces: int = 0
    pieces_done: int = 0
    audio_s: float = 0.0
    """Seconds of audio that are made."""
    position: int | None = None
    """How many wait before it; `None`: it does not wait."""
    estimate_s: float | None = None
    """Seconds until its end, as far as is known."""
    audio: JobAudio | None = None
    error: JobError | None = None
    metadata: dict[str, str] = {}
    provider: str = ""
    """Who spoke last."""
    cost: str | None = None
    """Credits, once it has ended; `None`: not metered, or not known yet."""
    created_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None
    until_ms: int
    """When it, and its audio, are forgotten."""

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One job to be made."""

    request: SpeechRequest
    asked_model: str
    """The model as it was sent."""
    metadata: dict[str, str] = {}
    webhook_url: str | None = None
    expires_in_s: int | None = None
    """How long it is kept after its end; `None`: `jobs.keep_s`."""


class Page(msgspec.Struct, frozen=True):
    """Jobs of one owner, newest first."""

    jobs: list[Job]
    after: str | None
    """The cursor of the next page; `None`: this was the last."""
