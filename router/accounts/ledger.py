"""The books: what is reserved, settled and topped up, as rows that sum up to every balance.

A top-up adds to the balance; a reservation takes from it at once, so that no race can spend the
same credit twice; a settlement gives back what was not charged, a release gives back everything.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable
from typing import Protocol

import msgspec

from router.accounts.book import (
    Change,
    Count,
    EntryKind,
    Once,
    Posted,
    Release,
    Reserve,
    Settle,
    Spoken,
    TopUp,
)
from router.accounts.price import MOST_NANO

__all__ = ["Entry", "Ledger", "Posted", "Reservation", "Spoken", "named", "once_of"]

PAGE = 1_000
MOST_ACCOUNT, MOST_REQUEST = 64, 160
"""Characters of the names, as the columns have them."""


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Credit that is set aside for one request."""

    account: str
    request: str
    amount_nano: int
    """Zero where it costs nothing: its Idempotency-Key has been charged already."""
    balance_nano: int
    """What is left, without what is set aside."""
    once: Once | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the ledger. The sum of an account's `amount_nano` is its balance."""

    id: int
    at_ms: int
    account: str
    request: str
    kind: EntryKind
    amount_nano: int
    """What the balance changed by."""
    charged_nano: int
    """What the request cost; only in a `settle`."""


class Books(Protocol):
    """The rows in the store, as the ledger needs them."""

    @property
    def is_lost(self) -> bool:
        """Whether the store does not answer, as far as is known."""
        ...

    def post(
        self, change: Change, *, must: bool = False, undo: Change | None = None
    ) -> asyncio.Future[Posted]:
        """See `router.store.writer.Writer.write`."""
        ...

    async def balance(self, account: str) -> int | None: ...

    async def entries(self, account: str, before: int | None, limit: int) -> list[Entry]: ...


class Ledger:
    """Every method is one unit: its rows and the balance change together, or nothing does. Each may
    be repeated with the same `request` and then answers as it did the first time. No caller's task
    holds a transaction, and whoever is cancelled leaves nothing half done.

    All raise StoreUnavailable (answered like Overloaded) when the store does not answer in time.
    """

    def __init__(self, books: Books, holder: str) -> None:
        self._books = books
        self._holder = holder

    @property
    def is_lost(self) -> bool:
        """Whether the store does not answer, as far as is known."""
        return self._books.is_lost

    async def reserve(
        self, account: str, request: str, amount_nano: int, *, once: Once | None = None
    ) -> Reservation:
        """Set credit aside. `request` is from `named`; `once` is what `once_of` makes of a caller's
        Idempotency-Key: of all requests of the account with the same one, one is charged. Then the
        key stands for that request in every process, for as long as it is kept (`PAID_DAYS`).
        Only what is paid goes through the books: what a caller who is not metered uses a key for is
        known to the process that answered, and to no other.

        If this process dies, the reservation is released when its lease ends. If the caller is
        cancelled here, or the store does not answer in time, it is released behind them.

        Raises:
            NotEnough: nothing was taken.
            IdempotencyConflict: the key was charged for another request.
            UnknownAccount: the key is not metered.
        """
        _check(account, request, amount_nano)
        now_ms = _now_ms()
        change = Reserve(account, request, now_ms, amount_nano, self._holder, once)
        undo = Release(account, request, now_ms)
        posted = self._books.post(change, undo=undo)
        try:
            result = await posted
        except asyncio.CancelledError:
            if not posted.cancelled():  # in the very turn in which the answer came
                self._books.post(undo, must=True)
            raise
        return Reservation(
            account=account,
            request=request,
            amount_nano=result.amount_nano,
            balance_nano=result.balance_nano,
            once=once,
        )

    def settle(self, reserved: Reservation, cost_nano: int, spoken: Spoken) -> Awaitable[Posted]:
        """Charge what was spoken and give back the rest, with the usage of the day.

        The change is queued by the call itself, so it holds also when nobody awaits the answer or
        whoever does is cancelled. A cost above the reservation takes what the balance has and no
        more. A reservation that was released meanwhile (its process was held for dead) is charged
        from the balance.
        """
        account, request = reserved.account, reserved.request
        _check(account, request, cost_nano)
        change = Settle(account, request, _now_ms(), cost_nano, reserved.once, spoken)
        return self._books.post(change, must=True)

    def release(self, reserved: Reservation) -> Awaitable[Posted]:
        """Give everything back: nothing was heard. Queued by the call itself, like `settle`."""
        return self._books.post(Release(reserved.account, reserved.request, _now_ms()), must=True)

    def count(self, account: str, request: str, spoken: Spoken) -> Awaitable[Posted]:
        """The usage of a request that pays nothing (a key that is not metered). Queued by the
        call itself."""
        _check(account, request, 0)
        return self._books.post(Count(account, request, _now_ms(), spoken), must=True)

    async def top_up(self, account: str, amount_nano: int, *, request: str) -> int:
        """Add credit and tell the balance; an account that is new begins here. `request` is a name
        of this top-up's own: the same one adds once, however often it is repeated.

        Raises:
            ValueError: the amount is below zero, the balance would be above 10^9 credits, or the
                name was used for another account.
        """
        _check(account, request, amount_nano)
        change = TopUp(account, request, _now_ms(), amount_nano)
        return (await self._books.post(change)).balance_nano

    async def balance(self, account: str) -> int | None:
        """Nano-credits that can be reserved; `None`: not metered."""
        return None if "\0" in account else await self._books.balance(account)

    async def entries(
        self, account: str, *, before: int | None = None, limit: int = 100
    ) -> list[Entry]:
        """The newest rows of an account first, those with an id below `before`; at most 1,000."""
        if "\0" in account:  # PostgreSQL has no such text
            return []
        return await self._books.entries(account, before, max(1, min(limit, PAGE)))


def named(request_id: str) -> str:
    """A name for one request in the books. The door's id alone will not do: callers may send one,
    and so the same one twice."""
    return f"{request_id}.{os.urandom(8).hex()}"


def once_of(idempotency_key: str, contents: bytes) -> Once:
    """An Idempotency-Key, and what it pays for: the contents of the request, or a hash of them."""
    key = idempotency_key.encode()
    head = len(key).to_bytes(4) + key
    return Once(_hash(b"key" + head), _hash(head + contents))


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _check(account: str, request: str, amount_nano: int) -> None:
    """Nothing that the columns cannot hold reaches the writer, where others would wait for it."""
    if len(account) > MOST_ACCOUNT or len(request) > MOST_REQUEST:
        raise ValueError("the name of an account or a request is too long")
    if "\0" in account + request:
        raise ValueError("a name has no zero characters")
    if not 0 <= amount_nano <= MOST_NANO:
        raise ValueError("an amount lies between 0 and 1000000000 credits")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
