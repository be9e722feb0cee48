"""The end of a job, in one transaction: its state, its money, and who is to be told; the text and
the voice sample go with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from router.accounts.book import Change
from router.accounts.entry import closing
from router.accounts.posting import post
from router.contract.audio import AudioFormat
from router.jobs.job import ENDED, Job, JobError, State
from router.jobs.order import decoded
from router.jobs.rows.speaking import pieces_of, spent
from router.jobs.rows.told import find, job_of
from router.jobs.webhooks.notice import Kind, Notice, body_of
from router.jobs.webhooks.outbox import enqueue
from router.store.dialects import now_ms
from router.store.schema import jobs, pieces

Telling = Callable[[Job], Any]
"""A job as receivers of webhooks are told of it."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The audio of a job, whole and in its place."""

    token: str
    bytes: int
    audio_ms: int
    format: AudioFormat


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ends."""

    id: str
    holder: str
    """Who has it under way."""
    finished: Finished | None = None
    error: JobError | None = None
    """`None` without audio: it is cancelled."""
    telling: Telling


class Cancel(msgspec.Struct, frozen=True):
    """Somebody wants a job to end."""

    id: str
    owner: str | None
    """Whose it must be; `None`: it is too old, whosever it is."""
    error: JobError
    telling: Telling


CANCELLED = JobError("cancelled", "It was cancelled.", 499)
TOO_OLD = JobError("out_of_time", "It was not spoken within a week.", 504)


def end(connection: sa.Connection, ends: Sequence[End]) -> list[Job | None]:
    """The jobs as they are then; `None`: somebody else has it meanwhile."""
    return [_end(connection, one) for one in ends]


def cancel(connection: sa.Connection, asked: Sequence[Cancel]) -> list[Job | None]:
    """End jobs that nobody has under way, and have the others ended by whoever has them. `None`:
    there is no such job."""
    return [_cancel(connection, one) for one in asked]


def _end(connection: sa.Connection, one: End) -> Job | None:
    row = _locked(connection, one.id)
    if row is None or row["holder"] != one.holder:
        return None
    if row["state"] in ENDED:  # its commit was not heard of
        return job_of(row)
    if row["state"] != "running":
        return None
    finished = one.finished
    if finished is None:
        return _over(connection, row, "error" if one.error else "cancelled", one.error, one.telling)
    values = {
        "token": finished.token,
        "audio_bytes": finished.bytes,
        "disk_bytes": finished.bytes,
        "audio_ms": finished.audio_ms,
        "sample_rate": finished.format.sample_rate,
        "channels": finished.format.channels,
    }
    return _over(connection, row, "completed", None, one.telling, **values)


def _cancel(connection: sa.Connection, one: Cancel) -> Job | None:
    row = _locked(connection, one.id)
    if row is None or (one.owner is not None and row["owner"] != one.owner):
        return None
    if row["state"] in ENDED:
        return job_of(row)
    if row["state"] == "running" and row["lease_until_ms"] >= row["seen_ms"]:
        wanted = sa.update(jobs).where(jobs.c.id == one.id).values(cancel_wanted=True)
        connection.execute(wanted)
        return job_of(row)
    if one.error is CANCELLED:
        return _over(connection, row, "cancelled", None, one.telling)
    return _over(connection, row, "error", one.error, one.telling)


def _locked(connection: sa.Connection, id: str) -> sa.RowMapping | None:
    connection.execute(sa.select(jobs.c.turn).where(jobs.c.id == id).with_for_update())
    return find(connection, id)


def _over(
    connection: sa.Connection,
    row: sa.RowMapping,
    state: State,
    error: JobError | None,
    telling: Telling,
    **audio: Any,
) -> Job:
    at_ms: int = connection.scalar(sa.select(now_ms())) or 0
    values = {
        "state": state,
        "order": None,
        "held": None,
        "disk_bytes": 0,
        "lease_until_ms": 0,
        "ended_ms": at_ms,
        "until_ms": at_ms + row["keep_ms"],
        "charged_nano": _settled(connection, row, at_ms, is_whole=state == "completed"),
        "error_reason": error.reason if error else None,
        "error_message": error.message if error else None,
        "error_status": error.status if error else None,
    }
    connection.execute(sa.update(jobs).where(jobs.c.id == row["id"]).values(values | audio))
    connection.execute(sa.delete(pieces).where(pieces.c.job == row["id"]))
    ended = find(connection, row["id"])
    assert ended is not None
    job = job_of(ended)
    if row["webhook_url"] is not None:
        _tell(connection, job, row["webhook_url"], at_ms, telling)
    return job


def _settled(
    connection: sa.Connection, row: sa.RowMapping, at_ms: int, *, is_whole: bool
) -> int | None:
    """Enter its end in the books: all of it was delivered, or nothing. What it cost; `None`: it
    pays nothing."""
    if row["billed_as"] is None:
        return None
    stored: bytes | None = connection.scalar(sa.select(jobs.c.order).where(jobs.c.id == row["id"]))
    changes: Sequence[Change] = closing(
        row["owner"],
        row["billed_as"],
        at_ms,
        metered=row["metered"],
        model=row["model"],
        spent=spent(pieces_of(connection, row["id"])) if is_whole else (),
        offers=decoded(stored).offers if is_whole and stored is not None else (),
    )
    results = post(connection, changes) if changes else []
    for result in results:
        if isinstance(result, Exception):
            raise result
    if not row["metered"]:
        return None
    return results[0].charged_nano if results and not isinstance(results[0], Exception) else 0


def _tell(connection: sa.Connection, job: Job, url: str, at_ms: int, telling: Telling) -> None:
    kind = _KINDS[job.state]
    body = body_of(kind, at_ms, telling(job))
    enqueue(
        connection,
        Notice(job_id=job.id, owner=job.owner, url=url, kind=kind, body=body, created_ms=at_ms),
    )


_KINDS: dict[State, Kind] = {
    "completed": "job.completed",
    "error": "job.failed",
    "cancelled": "job.cancelled",
}
