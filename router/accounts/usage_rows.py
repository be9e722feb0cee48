"""The usage in the store."""

from __future__ import annotations

import sqlalchemy as sa

from router.accounts.usage import Place, UsageQuery, UsageRow
from router.store.opening import Store
from router.store.schema import usage

_PLACE = (usage.c.day, usage.c.account, usage.c.model, usage.c.provider)


class StoredUsage:
    """The usage of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def after(self, query: UsageQuery, place: Place | None, limit: int) -> list[UsageRow]:
        asked = sa.select(usage).where(usage.c.day.between(query.first_day, query.last_day))
        for name in ("account", "model", "provider"):
            if (value := getattr(query, name)) is not None:
                asked = asked.where(usage.c[name] == value)
        if place is not None:
            asked = asked.where(sa.tuple_(*_PLACE) > sa.tuple_(*place))
        asked = asked.order_by(*_PLACE).limit(limit)

        def ask(connection: sa.Connection) -> list[UsageRow]:
            rows = (connection.execute(asked)).mappings()
            return [UsageRow(**row) for row in rows]

        return await self._store.read(ask)
