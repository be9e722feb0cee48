"""Keys in the store."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from router.accounts.book import TopUp
from router.accounts.keys import Key, KeyRow, Terms
from router.accounts.posting import post
from router.contract.provider import Secret
from router.store.dialects import insert_missing
from router.store.errors import StoreUnusable
from router.store.opening import Store
from router.store.schema import accounts, installation, keys

_FIND = sa.select(keys, accounts.c.balance_nano).select_from(
    keys.outerjoin(accounts, accounts.c.id == keys.c.id)
)


class StoredKeys:
    """The keys of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def by_hash(self, hash: str) -> Key | None:
        """The index finds it; it is compared once more in constant time, although whoever sends a
        key cannot choose its hash."""
        found = await self._found(_FIND.where(keys.c.hash == hash))
        return found[0].key if found and hmac.compare_digest(found[0].hash, hash) else None

    async def by_id(self, id: str) -> Key | None:
        found = await self._found(_FIND.where(keys.c.id == id))
        return found[0].key if found else None

    async def page(self, after: str, limit: int) -> list[Key]:
        query = _FIND.where(keys.c.id > after).order_by(keys.c.id).limit(limit)
        return [row.key for row in await self._found(query)]

    async def balances(self, ids: Sequence[str]) -> dict[str, int]:
        query = sa.select(accounts.c.id, accounts.c.balance_nano).where(accounts.c.id.in_(ids))

        def ask(connection: sa.Connection) -> dict[str, int]:
            return {row.id: row.balance_nano for row in connection.execute(query)}

        return await self._store.read(ask)

    async def add(self, row: KeyRow) -> None:
        await self._store.write(_add, row)

    async def set_disabled(self, id: str, at_ms: int | None) -> bool:
        return await self._store.write(_set, (id, {"disabled_ms": at_ms}))

    async def set_credential(self, row: KeyRow) -> bool:
        key = row.key
        new = {"hash": row.hash, "prefix": key.prefix, "last4": key.last4}
        return await self._store.write(_set, (key.id, new))

    async def claim(self, secret: Secret) -> None:
        """See that the store was made with this secret: with another no key would be found.

        Raises:
            StoreUnusable: with another.
        """
        mark = hmac.digest(secret.reveal().encode(), b"installation", "sha256").hex()
        if not hmac.compare_digest(await self._store.write(_claim, mark), mark):
            raise StoreUnusable(
                "the store was made with another secret: give all routers that share it the same "
                "server.secret"
            )

    async def _found(self, query: sa.Select[tuple[object, ...]]) -> list[KeyRow]:
        def ask(connection: sa.Connection) -> list[KeyRow]:
            return [_row(found) for found in (connection.execute(query)).mappings()]

        return await self._store.read(ask)


def _row(found: sa.RowMapping) -> KeyRow:
    key = Key(
        id=found["id"],
        prefix=found["prefix"],
        last4=found["last4"],
        terms=msgspec.json.decode(found["terms"], type=Terms),
        created_ms=found["created_ms"],
        disabled_ms=found["disabled_ms"],
        metered=found["balance_nano"] is not None,
        balance_nano=found["balance_nano"],
    )
    return KeyRow(key=key, hash=found["hash"])


def _add(connection: sa.Connection, rows: Sequence[KeyRow]) -> list[Exception | None]:
    """The keys with their accounts; those that are there already are left alone."""
    written = [
        {
            "id": row.key.id,
            "hash": row.hash,
            "prefix": row.key.prefix,
            "last4": row.key.last4,
            "terms": msgspec.json.encode(row.key.terms).decode(),
            "created_ms": row.key.created_ms,
        }
        for row in rows
    ]
    connection.execute(insert_missing(keys, connection.dialect.name), written)
    credits = [(row.key, row.credit_nano) for row in rows if row.credit_nano is not None]
    if credits:
        post(connection, [opening(key.id, key.created_ms, nano) for key, nano in credits])
    return [None] * len(rows)


def _set(connection: sa.Connection, changes: Sequence[tuple[str, dict[str, Any]]]) -> list[bool]:
    """Columns of keys by their ids, and whether there was such a key."""
    found = []
    for id, values in changes:
        change = sa.update(keys).where(keys.c.id == id).values(values)
        found.append((connection.execute(change)).rowcount > 0)
    return found


def _claim(connection: sa.Connection, marks: Sequence[str]) -> list[str]:
    """The mark that the store has: its first one stays."""
    new = insert_missing(installation, connection.dialect.name)
    connection.execute(new.values(name="secret", value=marks[0]))
    query = sa.select(installation.c.value).where(installation.c.name == "secret")
    kept = (connection.scalars(query)).one()
    return [kept] * len(marks)


def opening(account: str, at_ms: int, credit_nano: int) -> TopUp:
    """What an account begins with: it has one name, so it comes once."""
    return TopUp(account, f"opening.{account}", at_ms, credit_nano)
