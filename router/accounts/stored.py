"""The rooms of the accounts in the store; importing it loads SQLAlchemy."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from router.accounts.books import StoredBooks
from router.accounts.key_rows import StoredKeys, opening
from router.accounts.keys import FixedKey
from router.accounts.usage_rows import StoredUsage
from router.contract.provider import Secret
from router.store.opening import opened as store_opened


@asynccontextmanager
async def opened(
    url: Secret, secret: Secret, fixed: Sequence[FixedKey]
) -> AsyncIterator[tuple[StoredKeys, StoredBooks, StoredUsage]]:
    """Keys, books and usage of one store, with an account for every key of the config that pays."""
    async with store_opened(url) as store:
        keys, books = StoredKeys(store), StoredBooks(store)
        await keys.claim(secret)
        for one in fixed:
            if one.key.metered:
                change = opening(one.key.id, time.time_ns() // 1_000_000, one.credit_nano)
                await books.post(change)
        yield keys, books, StoredUsage(store)


async def has_any(url: Secret) -> bool:
    """Whether there is a key in a store."""
    async with store_opened(url) as store:
        return bool(await StoredKeys(store).page("", 1))
