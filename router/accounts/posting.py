"""Changes of the books in the store: the pages are locked and read, changed, and written back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

import msgspec
import sqlalchemy as sa

from router.accounts.book import Book, Change, Posted, TopUp, names
from router.accounts.errors import AccountError
from router.contract.errors import CallerError
from router.store.dialects import Insert, insert_into, insert_missing
from router.store.schema import NAME, accounts, entries, paid, reservations, usage


def post(connection: sa.Connection, changes: Sequence[Change]) -> list[Posted | Exception]:
    """Enter changes, in their order, all in the transaction of the connection.

    Two processes that touch the same account wait for each other at its row; rows are locked in the
    order of their names, so that they never wait in a circle.
    """
    book = _opened(connection, changes)
    results: list[Posted | Exception] = []
    for change in changes:
        try:
            results.append(book.post(change))
        except (CallerError, AccountError, ValueError) as refusal:
            results.append(refusal)
    _written(connection, book)
    return results


def _opened(connection: sa.Connection, changes: Sequence[Change]) -> Book:
    book = Book()
    accounts_named, requests, once = names(changes)
    opening = sorted({change.account for change in changes if isinstance(change, TopUp)})
    if opening:
        new = insert_missing(accounts, connection.dialect.name)
        connection.execute(new, [{"id": id, "balance_nano": 0} for id in opening])
    for id, balance in connection.execute(_BALANCES, {"ids": accounts_named}):
        book.balances[id] = balance
    for row in connection.execute(_PAST, {"requests": requests}):
        book.past[row.request, row.kind] = (row.amount_nano, row.charged_nano)
        book.owners[row.request] = row.account
        if row.held_nano is not None:
            book.held[row.request] = row.held_nano
    if once:
        for known in connection.execute(_PAID, {"once": once}):
            book.paid[known.account, known.once] = known.contents
    return book


def _written(connection: sa.Connection, book: Book) -> None:
    if book.rows:
        rows = [msgspec.structs.asdict(row) for row in book.rows]
        connection.execute(sa.insert(entries), rows)
    if book.changed:
        balances = [{"id_": id, "to": book.balances[id]} for id in sorted(book.changed)]
        connection.execute(_BALANCE, balances)
    if book.new_held:
        held = [msgspec.structs.asdict(held) for held in book.new_held.values()]
        connection.execute(sa.insert(reservations), held)
    if book.gone:
        connection.execute(_LET_GO, {"requests": sorted(book.gone)})
    if book.new_paid:
        rows = [
            {"account": account, "once": once, "at_ms": at_ms, "contents": contents}
            for (account, once), (at_ms, contents) in book.new_paid.items()
        ]
        connection.execute(sa.insert(paid), rows)
    if book.used:
        connection.execute(_summing(connection.dialect.name), _days(book))


def _days(book: Book) -> list[dict[str, str | int]]:
    """The usage, summed up by what it is counted by, in the order in which rows are locked."""
    sums: dict[tuple[str, str, str, str], list[int]] = {}
    for at_ms, account, spoken, charged in book.used:
        key = (day_of(at_ms), account, spoken.model[:NAME], spoken.provider[:NAME])
        row = sums.setdefault(key, [0] * len(_SUMMED))
        one = (1, spoken.characters, spoken.audio_ms, spoken.tokens, charged)
        for at, amount in enumerate(one):
            row[at] += amount
    return [
        {**dict(zip(_NAMED, key, strict=True)), **dict(zip(_SUMMED, row, strict=True))}
        for key, row in sorted(sums.items())
    ]


@cache
def _summing(dialect: str) -> Insert:
    """Adds to the row of a day, or begins it."""
    new = insert_into(usage, dialect)
    sums = {name: usage.c[name] + new.excluded[name] for name in _SUMMED}
    return new.on_conflict_do_update(index_elements=list(_NAMED), set_=sums)


def day_of(at_ms: int) -> str:
    """The calendar day in UTC: `2026-11-21`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


_NAMED = ("day", "account", "model", "provider")
_SUMMED = ("requests", "characters", "audio_ms", "tokens", "charged_nano")
_BALANCES = (
    sa.select(accounts.c.id, accounts.c.balance_nano)
    .where(accounts.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(accounts.c.id)
    .with_for_update()
)
_BALANCE = (
    sa.update(accounts)
    .where(accounts.c.id == sa.bindparam("id_"))
    .values(balance_nano=sa.bindparam("to"))
)
_PAST = (
    sa.select(
        *(entries.c.account, entries.c.request, entries.c.kind),
        *(entries.c.amount_nano, entries.c.charged_nano),
        reservations.c.amount_nano.label("held_nano"),
    )
    .select_from(entries.outerjoin(reservations, reservations.c.request == entries.c.request))
    .where(entries.c.request.in_(sa.bindparam("requests", expanding=True)))
)
_LET_GO = sa.delete(reservations).where(
    reservations.c.request.in_(sa.bindparam("requests", expanding=True))
)
_PAID = sa.select(paid.c.account, paid.c.once, paid.c.contents).where(
    paid.c.once.in_(sa.bindparam("once", expanding=True))
)
