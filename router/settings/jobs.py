"""What may be written of jobs: speech that is made later."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.contract.provider import Secret

LONGEST_KEEP_S = 604_800
"""A week: for so long a caller may have a job kept, and so long it may take."""

TicketShape = Literal["ticket", "url", "audio"]
"""What a job in NanoGPT's shape is answered with: 202 and a ticket, 200 and an address, or 200 and
the audio itself."""


class Webhooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How those are told who asked to be called back."""

    allow_private: bool = False
    """Whether they may be at private, loopback and link-local addresses."""
    secret: Secret | None = None
    """Signs every message; `None`: each owner of jobs has one of its own, made of the
    installation's."""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 10.0
    """For one try."""
    for_s: Annotated[float, Meta(gt=0, le=LONGEST_KEEP_S)] = 86_400.0
    """How long tries go on, ever more seldom."""


class Jobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether jobs are taken, who speaks them, and how much of it all there may be."""

    enabled: bool = True
    workers: Annotated[int, Meta(ge=0, le=64)] = 1
    """Workers in the server; 0: `tts-router worker` alone speaks jobs."""
    at_once: Annotated[int, Meta(ge=1, le=256)] = 2
    """Jobs that one worker speaks at once."""
    dir: str | None = None
    """Folder of pieces and finished files; `None`: `jobs` in `data_dir`. All who share a store
    share it."""
    max_bytes: Annotated[int, Meta(ge=1_048_576, le=2**50)] = 10_737_418_240
    """The most that lies there."""
    keep_s: Annotated[int, Meta(ge=1, le=LONGEST_KEEP_S)] = 86_400
    """How long a job and its audio are kept after its end, where the caller says nothing."""
    longest_chars: Annotated[int, Meta(ge=1, le=10_000_000)] = 1_000_000
    """The longest text of one job, in code points."""
    batch_most: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    """Jobs in one submission."""
    queue_most: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """Jobs that have not ended, of all callers."""
    queue_most_key: Annotated[int, Meta(ge=1, le=1_000_000)] = 2_000
    """The same of one key."""
    attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    """How often in a row a job may be taken up without one more piece of it being spoken."""
    webhooks: Webhooks = Webhooks()
