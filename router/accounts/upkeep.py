"""Keeps the books small: what is old is summed up or forgotten, a little at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec
import sqlalchemy as sa

from router.store.dialects import Insert, insert_into, now_ms
from router.store.schema import entries, holders, paid, reservations

FOLDED = 1_000
"""Rows that are summed up at once: some ten milliseconds, in which others wait."""
PAID_DAYS = 7
"""How long an Idempotency-Key is known."""
LEASE_DAYS = 1
"""How long the lease of a process that is gone can still be looked at."""
_DAY_MS = 86_400_000


class Old(msgspec.Struct, frozen=True):
    """What is old enough for it."""

    keep_days: float


def fold(connection: sa.Connection, asked: Sequence[Old]) -> list[int]:
    """Replace the oldest rows of requests that have ended by one `carried` row of each account, and
    tell how many there were. Top-ups stay: they are few, and the only trace of what was paid in.

    The sum of an account's rows is the same before and after. Two processes take different rows.
    """
    rows = connection.execute(_TAKE, {"keep_ms": round(asked[0].keep_days * _DAY_MS)}).all()
    sums: dict[str, list[int]] = {}
    for account, amount, charged, at_ms in rows:
        carried = sums.setdefault(account, [0, 0, 0])
        carried[:] = carried[0] + amount, carried[1] + charged, max(carried[2], at_ms)
    if sums:
        carry = [
            dict(zip(_CARRIED, (account, f"carried.{account}", "carried", *carried), strict=True))
            for account, carried in sorted(sums.items())
        ]
        connection.execute(_carry(connection.dialect.name), carry)
    return [len(rows)] * len(asked)


def forget(connection: sa.Connection, asked: Sequence[None]) -> list[None]:
    """Leases that ended, and Idempotency-Keys that are too old to come again."""
    ended = now_ms() - LEASE_DAYS * _DAY_MS
    connection.execute(sa.delete(holders).where(holders.c.until_ms < ended))
    connection.execute(sa.delete(paid).where(paid.c.at_ms < now_ms() - PAID_DAYS * _DAY_MS))
    return [None] * len(asked)


_CARRIED = ("account", "request", "kind", "amount_nano", "charged_nano", "at_ms")
_OLD = (
    sa.select(entries.c.id)
    .where(
        entries.c.at_ms < now_ms() - sa.bindparam("keep_ms", type_=sa.BigInteger),
        entries.c.kind.not_in(("top_up", "carried")),
        entries.c.request.not_in(sa.select(reservations.c.request)),
    )
    .order_by(entries.c.at_ms)
    .limit(FOLDED)
    .with_for_update(skip_locked=True)
    .cte("old")
)
_TAKE = (
    sa.delete(entries)
    .where(entries.c.id.in_(sa.select(_OLD.c.id)))
    .returning(*(entries.c.account, entries.c.amount_nano, entries.c.charged_nano, entries.c.at_ms))
)


@cache
def _carry(dialect: str) -> Insert:
    new = insert_into(entries, dialect)
    sums = {name: entries.c[name] + new.excluded[name] for name in ("amount_nano", "charged_nano")}
    return new.on_conflict_do_update(
        index_elements=["request", "kind"], set_={**sums, "at_ms": new.excluded.at_ms}
    )
