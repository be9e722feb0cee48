"""Whose turn it is: a job is one process's for as long as its lease is renewed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from router.contract.speech import Held
from router.jobs.job import Job
from router.jobs.order import Order, decoded
from router.jobs.rows.coming import TAKEN_BYTES
from router.jobs.rows.told import COLUMNS, job_of
from router.store.dialects import now_ms
from router.store.schema import jobs


class Claim(msgspec.Struct, frozen=True):
    """What somebody would take now."""

    holder: str
    """A new name for each claim: what it has taken is found by it, and nobody else changes it."""
    lease_ms: int
    most_bytes: int
    """All that may lie in the folder."""
    with_orphans: bool = True
    """Whether it may be one whose holder has died; else nothing is taken when its turn comes."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is ours for now."""

    job: Job
    holder: str
    attempts: int
    """Claims without a new piece, this one included."""
    is_orphan: bool
    """Whoever had it died, and no piece of it was spoken since."""
    order: Order
    held: Held | None
    """Who has spoken so far."""
    needs_bytes: int


class Lease(msgspec.Struct, frozen=True):
    id: str
    holder: str
    lease_ms: int


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A job is given back as it is."""

    id: str
    holder: str
    after_ms: int
    """Nobody takes it before."""
    counts: bool
    """Whether this was one of its attempts."""


def is_due(connection: sa.Connection) -> bool:
    """Whether there is anything to be taken: a look that locks nothing."""
    return connection.scalar(sa.select(jobs.c.id).where(_IS_DUE).limit(1)) is not None


def claim(connection: sa.Connection, claims: Sequence[Claim]) -> list[Claimed | None]:
    """The next job for each: that of the owner with the fewest under way, the oldest of them."""
    return [_claimed(connection, one) for one in claims]


def renew(connection: sa.Connection, leases: Sequence[Lease]) -> list[bool]:
    """Whether each is still the holder's."""
    kept = []
    for lease in leases:
        change = (
            sa.update(jobs)
            .where(*held_by(lease.id, lease.holder))
            .values(lease_until_ms=now_ms() + lease.lease_ms)
        )
        kept.append(connection.execute(change).rowcount > 0)
    return kept


def release(connection: sa.Connection, releases: Sequence[Release]) -> list[None]:
    """Give jobs back; those that are somebody else's meanwhile are left alone."""
    for one in releases:
        has_begun = jobs.c.pieces_done > 0
        is_first = sa.case((jobs.c.attempts > 0, 1), else_=0)
        change = (
            sa.update(jobs)
            .where(*held_by(one.id, one.holder))
            .values(
                state="queued",
                holder=None,
                lease_until_ms=0,
                next_ms=now_ms() + one.after_ms,
                attempts=jobs.c.attempts - (0 if one.counts else is_first),
                is_orphan=False,
                disk_bytes=sa.case((has_begun, jobs.c.disk_bytes), else_=0),
            )
        )
        connection.execute(change)
    return [None] * len(releases)


def unwanted(connection: sa.Connection, holders: Sequence[str]) -> list[str]:
    """Those of these claims whose jobs somebody wants cancelled."""
    query = sa.select(jobs.c.holder).where(
        jobs.c.state == "running", jobs.c.cancel_wanted, jobs.c.holder.in_(holders)
    )
    return list(connection.scalars(query))


def held_by(id: str, holder: str) -> tuple[sa.ColumnElement[bool], ...]:
    """The job, while it is under way in these hands."""
    return jobs.c.id == id, jobs.c.holder == holder, jobs.c.state == "running"


def _claimed(connection: sa.Connection, one: Claim) -> Claimed | None:
    """Nothing new where the claim was made already, and its commit not heard of."""
    if again := _of(connection, one.holder):
        return again
    room = one.most_bytes - int(connection.scalar(TAKEN_BYTES) or 0)  # PostgreSQL: a Decimal
    next_one = _NEXT.where(jobs.c.needs_bytes - jobs.c.disk_bytes <= room).cte("next_one")
    change = (
        sa.update(jobs)
        .where(jobs.c.turn.in_(sa.select(next_one.c.turn)))
        .where(sa.true() if one.with_orphans else jobs.c.state == "queued")
        .values(
            state="running",
            holder=one.holder,
            lease_until_ms=now_ms() + one.lease_ms,
            attempts=jobs.c.attempts + 1,
            is_orphan=sa.or_(jobs.c.is_orphan, jobs.c.state == "running"),
            started_ms=sa.func.coalesce(jobs.c.started_ms, now_ms()),
            disk_bytes=sa.case(
                (jobs.c.disk_bytes < jobs.c.needs_bytes, jobs.c.needs_bytes),
                else_=jobs.c.disk_bytes,
            ),
        )
    )
    return _of(connection, one.holder) if connection.execute(change).rowcount else None


def _of(connection: sa.Connection, holder: str) -> Claimed | None:
    query = sa.select(*COLUMNS, jobs.c.held, jobs.c.order).where(
        jobs.c.state == "running", jobs.c.holder == holder
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    held = row["held"]
    return Claimed(
        job=job_of(row),
        holder=holder,
        attempts=row["attempts"],
        is_orphan=row["is_orphan"],
        order=decoded(row["order"]),
        held=None if held is None else msgspec.msgpack.decode(held, type=Held),
        needs_bytes=row["needs_bytes"],
    )


_UNDER_WAY = (
    sa.select(jobs.c.owner, sa.func.count().label("count"))
    .where(jobs.c.state == "running", jobs.c.lease_until_ms >= now_ms())
    .group_by(jobs.c.owner)
    .cte("under_way")
)
_IS_DUE = sa.or_(
    sa.and_(jobs.c.state == "queued", jobs.c.next_ms <= now_ms()),
    sa.and_(jobs.c.state == "running", jobs.c.lease_until_ms < now_ms()),
)
_NEXT = (
    sa.select(jobs.c.turn)
    .select_from(jobs.outerjoin(_UNDER_WAY, _UNDER_WAY.c.owner == jobs.c.owner))
    .where(_IS_DUE)
    .order_by(sa.func.coalesce(_UNDER_WAY.c.count, 0), jobs.c.turn)
    .limit(1)
    .with_for_update(of=jobs, skip_locked=True)
)
