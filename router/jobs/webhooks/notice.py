"""What a receiver is told, as it waits in the outbox."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Kind = Literal["job.completed", "job.failed", "job.cancelled"]
NoticeState = Literal["waiting", "delivered", "dead"]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one receiver. It may hold an address with a secret in it, so it is logged
    nowhere."""

    job_id: str
    owner: str
    """Whose secret signs it."""
    url: str
    kind: Kind
    body: bytes
    """From `body_of`."""
    created_ms: int

    @property
    def id(self) -> str:
        """The `webhook-id`: that of the job's end, so that the transaction which ends a job may be
        repeated, and a receiver can tell what it has had already."""
        name = f"{self.job_id} {self.kind}".encode()
        return f"msg_{hashlib.blake2b(name, digest_size=16).hexdigest()}"


class Letter(msgspec.Struct, frozen=True):
    """A message in the outbox as people may see it: neither its address nor its body."""

    id: str
    job: str
    owner: str
    host: str
    kind: str
    state: NoticeState
    attempts: int
    since_ms: int
    """When it was put there, or tried anew by somebody's wish."""
    next_ms: int
    """When it is tried again; of one that has ended, when it is forgotten."""
    last_error: str
    """Why the last try failed; empty: it did not, or there was none."""


class _Message(msgspec.Struct, frozen=True):
    type: Kind
    timestamp: str
    data: Any


def body_of(kind: Kind, at_ms: int, data: Any) -> bytes:
    """The message as JSON, as Standard Webhooks would have it: `type`, `timestamp` of what happened
    (ISO 8601), `data`. The job's text is no part of `data`."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return msgspec.json.encode(_Message(kind, at.replace("+00:00", "Z"), data))
