"""Jobs come in: all of a submission, with what is set aside for them, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from router.accounts.book import Change, Release
from router.accounts.entry import Due
from router.accounts.errors import NotEnough
from router.accounts.posting import post
from router.contract.errors import IdempotencyConflict, Overloaded, SpeechError
from router.jobs.job import Job
from router.jobs.rows.told import COLUMNS, job_of
from router.jobs.taking import Coming, New, Once
from router.settings.jobs import LONGEST_KEEP_S
from router.store.dialects import now_ms
from router.store.schema import NAME, jobs

_RETRY_S = 30.0
_FULL_RETRY_S = 60.0


def come_in(connection: sa.Connection, asked: Sequence[Coming]) -> list[list[Job] | Exception]:
    """Take submissions in, each wholly or not at all."""
    answers: list[list[Job] | Exception] = []
    for one in asked:
        try:
            with connection.begin_nested():
                take = _undo if one.is_undone else _come_in
                answers.append(take(connection, one))
        except SpeechError as refusal:
            answers.append(refusal)
        except IntegrityError:  # the same Idempotency-Key, in another process a moment ago
            answers.append(_known(connection, one))
    return answers


def _come_in(connection: sa.Connection, coming: Coming) -> list[Job]:
    if known := _known(connection, coming):
        return known
    _check_room(connection, coming)
    at_ms: int = connection.scalar(sa.select(now_ms())) or 0
    _reserve(connection, [one.due for one in coming.jobs if one.due is not None], at_ms)
    rows = [_row(coming, item, one, at_ms) for item, one in enumerate(coming.jobs)]
    connection.execute(sa.insert(jobs), rows)
    return _found(connection, jobs.c.id.in_([one.id for one in coming.jobs]))


def _undo(connection: sa.Connection, coming: Coming) -> list[Job]:
    """Those that somebody has begun meanwhile are cancelled."""
    ids = [one.id for one in coming.jobs]
    connection.execute(sa.update(jobs).where(jobs.c.id.in_(ids)).values(cancel_wanted=True))
    gone = sa.delete(jobs).where(jobs.c.id.in_(ids), jobs.c.state == "queued")
    removed = set(connection.scalars(gone.returning(jobs.c.id)))
    dues = [one.due for one in coming.jobs if one.id in removed and one.due is not None]
    at_ms: int = connection.scalar(sa.select(now_ms())) or 0
    if released := [Release(due.account, due.billed_as, at_ms) for due in dues if due.metered]:
        post(connection, released)
    return []


def again(connection: sa.Connection, owner: str, once: Once) -> list[Job]:
    """The jobs that came in under an Idempotency-Key before. Raises IdempotencyConflict."""
    same = sa.and_(jobs.c.owner == owner, jobs.c.once == once.name)
    before = _found(connection, same)
    if before:
        contents = connection.scalar(sa.select(jobs.c.contents).where(same).limit(1))
        if contents != once.contents:
            raise IdempotencyConflict("This Idempotency-Key was used for another submission.")
    return before


def _known(connection: sa.Connection, coming: Coming) -> list[Job]:
    """What came of it before: its commit was not heard of, or its Idempotency-Key came again.
    Raises IdempotencyConflict."""
    if before := _found(connection, jobs.c.id.in_([one.id for one in coming.jobs])):
        return before
    return [] if coming.once is None else again(connection, coming.owner, coming.once)


def _check_room(connection: sa.Connection, coming: Coming) -> None:
    """Raises Overloaded."""
    waiting = jobs.c.state.in_(("queued", "running"))
    count = sa.select(sa.func.count()).select_from(jobs).where(waiting)
    total: int = connection.scalar(count) or 0
    own: int = connection.scalar(count.where(jobs.c.owner == coming.owner)) or 0
    if own + len(coming.jobs) > coming.most_of_owner:
        most = coming.most_of_owner
        raise Overloaded(
            f"You may have {most} jobs that have not ended; {own} are there.", retry_after=_RETRY_S
        )
    if total + len(coming.jobs) > coming.most:
        raise Overloaded("Too many jobs wait already. Try again later.", retry_after=_RETRY_S)
    taken: int = connection.scalar(TAKEN_BYTES) or 0
    if taken >= coming.most_bytes:
        raise Overloaded(
            "There is no room for more audio. Try again later.", retry_after=_FULL_RETRY_S
        )


def _reserve(connection: sa.Connection, dues: Sequence[Due], at_ms: int) -> None:
    """Raises NotEnough."""
    changes: list[Change] = [one for due in dues if (one := due.reserve(at_ms)) is not None]
    if not changes:
        return
    required = sum(due.dearest_nano for due in dues)
    before = 0
    for due, result in zip((d for d in dues if d.metered), post(connection, changes), strict=True):
        if isinstance(result, NotEnough):
            raise NotEnough(required_nano=required, balance_nano=result.balance_nano + before)
        if isinstance(result, Exception):
            raise result
        before += due.dearest_nano


def _row(coming: Coming, item: int, new: New, at_ms: int) -> dict[str, Any]:
    submission, request = new.submission, new.submission.request
    due, once = new.due, coming.once
    return {
        "id": new.id,
        "owner": coming.owner,
        "batch": coming.batch,
        "item": item,
        "once": None if once is None else once.name,
        "contents": None if once is None else once.contents,
        "shape": request.shape,
        "model": new.model[:NAME],
        "asked_model": submission.asked_model[:NAME],
        "voice": request.voice[:NAME],
        "encoding": request.format.encoding,
        "sample_rate": request.format.sample_rate,
        "channels": request.format.channels,
        "characters": len(request.text),
        "pieces": new.pieces,
        "needs_bytes": new.needs_bytes,
        "created_ms": at_ms,
        "keep_ms": new.keep_s * 1000,
        "until_ms": at_ms + LONGEST_KEEP_S * 1000,
        "billed_as": None if due is None else due.billed_as,
        "metered": due is not None and due.metered,
        "webhook_url": submission.webhook_url,
        "metadata": msgspec.json.encode(submission.metadata).decode(),
        "order": new.order,
        **_FRESH,
    }


def _found(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Job]:
    rows: Iterable[sa.RowMapping] = connection.execute(
        sa.select(*COLUMNS).where(which).order_by(jobs.c.item)
    ).mappings()
    return [job_of(row) for row in rows]


TAKEN_BYTES = sa.select(sa.func.coalesce(sa.func.sum(jobs.c.disk_bytes), 0)).where(
    jobs.c.disk_bytes > 0
)
"""What the audio of all jobs takes, and what those that have begun will take."""
_FRESH = {
    "state": "queued",
    "next_ms": 0,
    "holder": None,
    "lease_until_ms": 0,
    "attempts": 0,
    "is_orphan": False,
    "cancel_wanted": False,
    "characters_done": 0,
    "pieces_done": 0,
    "audio_ms": 0,
    "provider": "",
    "disk_bytes": 0,
}
