"""Messages in the store: put there with the end of a job, taken by one process at a time.

A message that is taken has its turn moved behind the lease: if its process dies, it comes up again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import msgspec
import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate

from router.jobs.webhooks.delivery import Outcome
from router.jobs.webhooks.notice import Letter, Notice, NoticeState
from router.jobs.webhooks.schedule import Next, after
from router.jobs.webhooks.targets import checked, host_of
from router.store.dialects import Insert, insert_missing, now_ms
from router.store.schema import outbox

LOOKED_AT = 64
"""Messages that are locked to choose from, at once."""
FORGOTTEN = 1_000


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What one process would take now."""

    holder: str
    """A new name for each claim: what it has taken is found by it."""
    lease_ms: int
    most: int
    """Messages in all."""
    of_host: int
    """Messages at once for one receiver."""
    busy: Mapping[str, int]
    """How many each receiver is being told by this process."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be delivered now."""

    id: str
    job: str
    owner: str
    url: str
    host: str
    body: bytes
    since_ms: int
    attempts: int
    """This one included."""
    holder: str


class End(msgspec.Struct, frozen=True):
    """How a try ended, and how long tries go on."""

    taken: Taken
    outcome: Outcome
    for_ms: int


def enqueue(connection: sa.Connection, notice: Notice) -> None:
    """Put a message into the outbox, in the transaction of the job's end. The same again is left
    alone."""
    row = {
        "id": notice.id,
        "job": notice.job_id,
        "owner": notice.owner,
        "url": notice.url,
        "host": host_of(checked(notice.url, allow_private=True)),
        "kind": notice.kind,
        "body": notice.body,
        "since_ms": notice.created_ms,
    }
    connection.execute(_new(connection.dialect.name), row)


def is_due(connection: sa.Connection) -> bool:
    """Whether there is anything to be taken: a look that locks nothing."""
    return connection.scalar(sa.select(outbox.c.id).where(*_IS_DUE).limit(1)) is not None


def claim(connection: sa.Connection, claims: Sequence[Claim]) -> list[list[Taken]]:
    """Messages whose turn it is, the longest waiting first, no receiver beyond its bound."""
    return [_claimed(connection, one) for one in claims]


def finish(connection: sa.Connection, ends: Sequence[End]) -> list[Next | None]:
    """What becomes of each; `None`: it was another's meanwhile, or dropped, and is left alone."""
    at_ms: int = connection.scalar(sa.select(now_ms())) or 0
    return [_finished(connection, end, at_ms) for end in ends]


def forget(connection: sa.Connection, asked: Sequence[None]) -> list[int]:
    """Drop what ended long ago, a little at a time, and tell how many those were."""
    old = (
        sa.select(outbox.c.id)
        .where(outbox.c.state != "waiting", outbox.c.next_ms <= now_ms())
        .limit(FORGOTTEN)
        .with_for_update(skip_locked=True)
    )
    done = connection.execute(sa.delete(outbox).where(outbox.c.id.in_(old)))
    return [done.rowcount] * len(asked)


def letters(
    connection: sa.Connection, states: Sequence[NoticeState], after_id: str, most: int
) -> list[Letter]:
    """Messages as people see them, in the order of their ids."""
    query = (
        sa.select(*(outbox.c[name] for name in Letter.__struct_fields__))
        .where(outbox.c.state.in_(states), outbox.c.id > after_id)
        .order_by(outbox.c.id)
        .limit(most)
    )
    return [Letter(**row) for row in connection.execute(query).mappings()]


def retry(connection: sa.Connection, asked: Sequence[Sequence[str] | None]) -> list[list[str]]:
    """Try again, at once and for another day: those that are named, else all that are dead."""
    fresh = {"state": "waiting", "next_ms": now_ms(), "since_ms": now_ms()}
    change = sa.update(outbox).values(**fresh, attempts=0, holder="").returning(outbox.c.id)
    return [_done(connection, change, ids) for ids in asked]


def drop(connection: sa.Connection, asked: Sequence[Sequence[str] | None]) -> list[list[str]]:
    """Forget them: those that are named, else all that are dead."""
    return [_done(connection, sa.delete(outbox).returning(outbox.c.id), ids) for ids in asked]


def _claimed(connection: sa.Connection, one: Claim) -> list[Taken]:
    """Nothing new where the claim was made already, and its commit not heard of."""
    if again := _held_by(connection, one.holder):
        return again
    full = [host for host, count in one.busy.items() if count >= one.of_host]
    waiting = (
        sa.select(outbox.c.id, outbox.c.host)
        .where(*_IS_DUE, outbox.c.host.not_in(full))
        .order_by(outbox.c.next_ms)
        .limit(LOOKED_AT)
        .with_for_update(skip_locked=True)
    )
    chosen = _chosen(connection.execute(waiting), one)
    change = {"holder": one.holder, "next_ms": now_ms() + one.lease_ms}
    connection.execute(
        sa.update(outbox)
        .where(outbox.c.id.in_(chosen))
        .values(**change, attempts=outbox.c.attempts + 1)
    )
    return _held_by(connection, one.holder)


def _chosen(rows: Iterable[sa.Row[str, str]], one: Claim) -> list[str]:
    told, chosen = Counter(one.busy), list[str]()
    for id, host in rows:
        if len(chosen) < one.most and told[host] < one.of_host:
            told[host] += 1
            chosen.append(id)
    return chosen


def _held_by(connection: sa.Connection, holder: str) -> list[Taken]:
    query = (
        sa.select(*(outbox.c[name] for name in Taken.__struct_fields__))
        .where(*_IS_WAITING, outbox.c.holder == holder)
        .order_by(outbox.c.since_ms)
    )
    return [Taken(**row) for row in connection.execute(query).mappings()]


def _finished(connection: sa.Connection, end: End, at_ms: int) -> Next | None:
    taken = end.taken
    then = after(
        end.outcome,
        attempts=taken.attempts,
        now_ms=at_ms,
        end_ms=taken.since_ms + end.for_ms,
        dice=_DICE,
    )
    values: dict[str, object] = {
        "state": then.state,
        "next_ms": then.at_ms,
        "last_error": end.outcome.word,
    }
    if then.state == "delivered":  # nobody needs them any more, and the address may hold a secret
        values |= {"url": "", "body": b""}
    change = (
        sa.update(outbox)
        .where(*_IS_WAITING, outbox.c.id == taken.id, outbox.c.holder == taken.holder)
        .values(**values, holder="")
    )
    return then if connection.execute(change).rowcount else None


def _done(
    connection: sa.Connection,
    change: ReturningUpdate[str] | ReturningDelete[str],
    ids: Sequence[str] | None,
) -> list[str]:
    which = outbox.c.state == "dead" if ids is None else outbox.c.id.in_(ids)
    not_delivered = outbox.c.state != "delivered"
    return list(connection.scalars(change.where(which, not_delivered)))


@cache
def _new(dialect: str) -> Insert:
    fresh = {"state": "waiting", "next_ms": now_ms(), "attempts": 0, "holder": "", "last_error": ""}
    return insert_missing(outbox, dialect).values(**fresh)


_DICE = random.SystemRandom()
_IS_WAITING = (outbox.c.state == "waiting",)
_IS_DUE = (*_IS_WAITING, outbox.c.next_ms <= now_ms())
