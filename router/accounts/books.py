"""The ledger's rows in the store, and the leases of the processes that reserve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
import sqlalchemy as sa
import structlog

from router.accounts.book import Change, Posted, Release
from router.accounts.ledger import Entry
from router.accounts.posting import post
from router.accounts.upkeep import FOLDED, Old, fold, forget
from router.store.dialects import now_ms
from router.store.errors import StoreUnavailable
from router.store.opening import Store
from router.store.schema import accounts, entries, holders, reservations

SWEEP = 500
"""Reservations that are released at once."""
RENEWALS = 6
"""In the time of one lease: while nobody asks, it is also how a lost store is noticed."""
RETURN_S = 1.0
"""Between two looks whether a lost store is back."""
FOLDS = 20
"""Times that old rows are summed up in one round."""

_log = structlog.get_logger(__name__)


class StoredBooks:
    """The books of one store, for one process."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def is_lost(self) -> bool:
        return self._store.is_lost

    def post(
        self, change: Change, *, must: bool = False, undo: Change | None = None
    ) -> asyncio.Future[Posted]:
        """While the store is lost nobody waits for it: the lease tells when it is back."""
        if self.is_lost and not must:
            refused: asyncio.Future[Posted] = asyncio.get_running_loop().create_future()
            refused.set_exception(StoreUnavailable())
            return refused
        return self._store.write(post, change, must=must, undo=undo)

    async def balance(self, account: str) -> int | None:
        def ask(connection: sa.Connection) -> int | None:
            query = sa.select(accounts.c.balance_nano).where(accounts.c.id == account)
            found: int | None = connection.scalar(query)
            return found

        return await self._store.read(ask)

    async def entries(self, account: str, before: int | None, limit: int) -> list[Entry]:
        query = sa.select(entries).where(entries.c.account == account)
        if before is not None:
            query = query.where(entries.c.id < before)
        query = query.order_by(entries.c.id.desc()).limit(limit)

        def ask(connection: sa.Connection) -> list[Entry]:
            rows = (connection.execute(query)).mappings()
            return [Entry(**row) for row in rows]

        return await self._store.read(ask)

    @asynccontextmanager
    async def holding(self, holder: str, lease_s: float, keep_days: float) -> AsyncIterator[None]:
        """The lease of this process, renewed while the block lasts; what processes have left behind
        that are gone, and what is old, is looked after by everybody."""
        lease = Lease(holder, round(lease_s * 1000))
        await self._renew(lease)
        await self._keep_up(keep_days)
        tasks = [  # two: upkeep may take long, and no lease may run out meanwhile
            asyncio.create_task(self._keep(lease, lease_s / RENEWALS), name="lease"),
            asyncio.create_task(
                _every(lease_s / 3, lambda: self._keep_up(keep_days)), name="upkeep"
            ),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(StoreUnavailable):
                await self._store.write(_renew, Lease(holder, 0))

    async def _keep(self, lease: Lease, every_s: float) -> None:
        """Renew it until cancelled; more often while the store is lost, so that its return is
        noticed."""
        while True:
            await asyncio.sleep(min(every_s, RETURN_S) if self.is_lost else every_s)
            await self._renew(lease)

    async def _renew(self, lease: Lease) -> None:
        try:
            await self._store.write(_renew, lease)
        except StoreUnavailable:
            _log.warning("the lease of the reservations cannot be renewed")
        except Exception:  # whatever it was: without a lease, others release what is ours
            _log.exception("the lease of the reservations cannot be renewed")

    async def _keep_up(self, keep_days: float) -> None:
        try:
            await self.sweep()
            await self.tidy(keep_days)
        except StoreUnavailable:
            _log.warning("the books cannot be looked after")
        except Exception:  # the next round may be luckier
            _log.exception("the books cannot be looked after")

    async def sweep(self) -> int:
        """Release what processes have left behind, and tell how many reservations that were."""
        released = 0
        while left := await self._store.read(_left_behind):
            await asyncio.gather(*(self.post(release) for release in left))
            released += len(left)
        if released:
            _log.info("reservations of processes that are gone were released", count=released)
        return released

    async def tidy(self, keep_days: float) -> int:
        """Sum up rows that are older than that, and tell how many: at most 20,000 in a round."""
        await self._store.write(forget, None)
        folded = 0
        for _ in range(FOLDS):
            folded += (some := await self._store.write(fold, Old(keep_days)))
            if some < FOLDED:
                break
        return folded


async def _every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await act()


class Lease(msgspec.Struct, frozen=True):
    holder: str
    ms: int
    """From now, by the store's own clock: those of machines differ."""


def _renew(connection: sa.Connection, leases: Sequence[Lease]) -> list[None]:
    for lease in leases:
        values = {"until_ms": now_ms() + lease.ms}
        change = sa.update(holders).where(holders.c.id == lease.holder).values(values)
        if not (connection.execute(change)).rowcount:
            new = sa.insert(holders).values(id=lease.holder, **values)
            connection.execute(new)
    return [None] * len(leases)


def _left_behind(connection: sa.Connection) -> list[Release]:
    """Reservations whose process has let its lease run out."""
    alive = sa.select(holders.c.id).where(holders.c.until_ms >= now_ms())
    query = (
        sa.select(reservations.c.account, reservations.c.request, now_ms().label("at_ms"))
        .where(reservations.c.holder != "", reservations.c.holder.not_in(alive))
        .limit(SWEEP)
    )
    return [Release(row.account, row.request, row.at_ms) for row in connection.execute(query)]
