"""Opens the accounts: the store, brought up to date, and what stands on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

import msgspec

from router.accounts.keys import FixedKey, Keys
from router.accounts.ledger import Ledger
from router.accounts.usage import Usage
from router.contract.provider import Secret

LEASE_S = 30.0
"""How long the reservations of a process outlive it."""
KEEP_DAYS = 90
"""How long the rows of a request are kept; then they are summed up, one row an account."""


class Accounts(msgspec.Struct, frozen=True):
    """Who may speak, what they have, what they used."""

    keys: Keys
    ledger: Ledger
    usage: Usage


@asynccontextmanager
async def opened(
    url: Secret,
    secret: Secret,
    *,
    fixed: Sequence[FixedKey] = (),
    lease_s: float = LEASE_S,
    keep_days: float = KEEP_DAYS,
) -> AsyncIterator[Accounts]:
    """The accounts while the block lasts; what was queued is written before it ends.

    `url` is `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/DATABASE`; `secret` is the
    installation's (`router.settings.secret`), and all who share a store share it.

    Raises:
        StoreUnusable: it cannot be opened or brought up to date, or was made with another secret.
    """
    await asyncio.to_thread(import_module, "router.accounts.stored")  # SQLAlchemy: 0.2 s
    from router.accounts import stored  # noqa: PLC0415

    async with stored.opened(url, secret, fixed) as (keys, books, usage):
        holder = os.urandom(16).hex()
        async with books.holding(holder, lease_s, keep_days):
            yield Accounts(Keys(keys, secret, fixed), Ledger(books, holder), Usage(usage))


def embedded(data_dir: Path) -> Secret:
    """The store of an installation that names none."""
    return Secret(f"sqlite:///{data_dir / 'store.db'}")
