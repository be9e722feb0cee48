"""What is asked of jobs without changing them, and what is forgotten of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from router.jobs.job import ENDED, Job, State
from router.jobs.rows.coming import TAKEN_BYTES
from router.jobs.rows.told import COLUMNS, find, job_of
from router.store.dialects import now_ms
from router.store.schema import jobs

FORGOTTEN = 200
"""Jobs that are forgotten at once."""
_WAITING = 100_000


class Figures(msgspec.Struct, frozen=True):
    """How it stands with the jobs of a store."""

    states: dict[State, int]
    oldest_queued_s: float
    """0 where none waits."""
    disk_bytes: int


def one(connection: sa.Connection, id: str) -> Job | None:
    row = find(connection, id)
    return None if row is None else job_of(row)


def by_token(connection: sa.Connection, token: str) -> Job | None:
    """The finished job of a file that is not forgotten."""
    query = sa.select(*COLUMNS).where(jobs.c.token == token, jobs.c.until_ms > now_ms())
    row = connection.execute(query).mappings().first()
    return None if row is None else job_of(row)


def page(
    connection: sa.Connection, owner: str, after: int | None, most: int
) -> list[tuple[int, Job]]:
    """Jobs of an owner, the newest first, each with its turn; those before the turn `after`."""
    query = sa.select(*COLUMNS).where(jobs.c.owner == owner)
    if after is not None:
        query = query.where(jobs.c.turn < after)
    return _with(connection, query.order_by(jobs.c.turn.desc()).limit(most), "turn")


def page_of_batch(
    connection: sa.Connection, owner: str, batch: str, after: int | None, most: int
) -> list[tuple[int, Job]]:
    """Jobs of a batch in its order, each with its place there; those behind the place `after`."""
    query = sa.select(*COLUMNS).where(jobs.c.batch == batch, jobs.c.owner == owner)
    if after is not None:
        query = query.where(jobs.c.item > after)
    return _with(connection, query.order_by(jobs.c.item).limit(most), "item")


def queue(connection: sa.Connection) -> dict[str, int]:
    """All that wait, each with how many are before it: owners take turns, the oldest job of each
    goes first, and who has many under way waits for the others."""
    query = (
        sa.select(jobs.c.id, jobs.c.owner)
        .where(jobs.c.state == "queued")
        .order_by(jobs.c.turn)
        .limit(_WAITING)
    )
    under_way = (
        sa.select(jobs.c.owner, sa.func.count())
        .where(jobs.c.state == "running")
        .group_by(jobs.c.owner)
    )
    rounds: Counter[str] = Counter(dict(connection.execute(under_way).all()))
    order: list[tuple[int, int, str]] = []
    for turn, (id, owner) in enumerate(connection.execute(query)):
        order.append((rounds[owner], turn, id))
        rounds[owner] += 1
    return {id: place for place, (_, _, id) in enumerate(sorted(order))}


def figures(connection: sa.Connection) -> Figures:
    """Counts by state, and since when the oldest waits."""
    counts = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
    states: dict[State, int] = dict(connection.execute(counts).all())
    oldest = (
        sa.select(now_ms() - jobs.c.created_ms)
        .where(jobs.c.state == "queued")
        .order_by(jobs.c.turn)
        .limit(1)
    )
    waited_ms = max(0, connection.scalar(oldest) or 0)
    return Figures(states, waited_ms / 1000, int(connection.scalar(TAKEN_BYTES) or 0))


def overdue(connection: sa.Connection) -> list[str]:
    """Jobs that have not ended in the time that any may take."""
    query = sa.select(jobs.c.id).where(
        jobs.c.until_ms < now_ms(), jobs.c.state.not_in(tuple(ENDED))
    )
    return list(connection.scalars(query.limit(FORGOTTEN)))


def known(connection: sa.Connection, ids: Sequence[str]) -> dict[str, State]:
    """Those of these jobs that are there, with their state."""
    query = sa.select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(ids))
    return dict(connection.execute(query).all())


def forget(connection: sa.Connection, asked: Sequence[None]) -> list[list[str]]:
    """Forget jobs that ended long enough ago, the oldest first, and tell which."""
    old = (
        sa.select(jobs.c.turn)
        .where(jobs.c.until_ms < now_ms(), jobs.c.state.in_(tuple(ENDED)))
        .order_by(jobs.c.until_ms)
        .limit(FORGOTTEN)
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    gone = sa.delete(jobs).where(jobs.c.turn.in_(sa.select(old.c.turn))).returning(jobs.c.id)
    ids = list(connection.scalars(gone))
    return [ids, *([[]] * (len(asked) - 1))]


def _with(
    connection: sa.Connection, query: sa.Select[tuple[object, ...]], name: str
) -> list[tuple[int, Job]]:
    return [(row[name], job_of(row)) for row in connection.execute(query).mappings()]
