"""What a change does to the books, decided in memory: no store, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from router.accounts.errors import NotEnough, UnknownAccount
from router.accounts.price import MOST_NANO
from router.contract.errors import IdempotencyConflict

EntryKind = Literal["top_up", "reserve", "settle", "release", "count", "carried"]
"""`count` is a request that pays nothing, `carried` the sum of rows that were too old to keep."""


class Spoken(msgspec.Struct, frozen=True, kw_only=True):
    """What a request was given, for the usage of its day; no text is in it."""

    model: str
    """The public model."""
    provider: str = ""
    """The instance that spoke; empty: nobody or the cache."""
    characters: int = 0
    audio_ms: int = 0
    tokens: int = 0


class Once(msgspec.Struct, frozen=True):
    """A caller's Idempotency-Key and what it stands for, as hashes."""

    key: str
    contents: str
    """Of the key and the contents together."""


class TopUp(msgspec.Struct, frozen=True):
    account: str
    request: str
    at_ms: int
    amount_nano: int


class Reserve(msgspec.Struct, frozen=True):
    account: str
    request: str
    at_ms: int
    amount_nano: int
    holder: str
    """The process that answers for it; empty: nobody, and it never expires."""
    once: Once | None


class Settle(msgspec.Struct, frozen=True):
    account: str
    request: str
    at_ms: int
    cost_nano: int
    once: Once | None
    spoken: Spoken


class Release(msgspec.Struct, frozen=True):
    account: str
    request: str
    at_ms: int


class Count(msgspec.Struct, frozen=True):
    account: str
    request: str
    at_ms: int
    spoken: Spoken


Change = TopUp | Reserve | Settle | Release | Count


class Posted(msgspec.Struct, frozen=True):
    """What became of a change."""

    amount_nano: int
    """What was set aside; only of a `Reserve`."""
    charged_nano: int
    """What the request cost in the end."""
    balance_nano: int


class Row(msgspec.Struct, frozen=True):
    """A row of the ledger, still without its number."""

    at_ms: int
    account: str
    request: str
    kind: EntryKind
    amount_nano: int
    charged_nano: int


class Held(msgspec.Struct, frozen=True):
    """The row of credit that is set aside."""

    request: str
    account: str
    amount_nano: int
    holder: str


class Book:
    """The pages of the books that some changes need, as they were found and as they will be.

    `balances`, `held`, `past`, `owners` and `paid` are filled with what the store has, `post` is
    called for each change in turn, and what is new or gone is written back in the same transaction.
    """

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.held: dict[str, int] = {}
        """What is set aside, by request."""
        self.past: dict[tuple[str, EntryKind], tuple[int, int]] = {}
        """Rows that a request has: (amount, charged)."""
        self.owners: dict[str, str] = {}
        """The account that a request's name belongs to."""
        self.paid: dict[tuple[str, str], str | None] = {}
        """What keys have paid for, by account and key; `None`: the row is its own contents."""
        self.changed: set[str] = set()
        """Accounts with another balance than before."""
        self.rows: list[Row] = []
        self.new_held: dict[str, Held] = {}
        self.gone: set[str] = set()
        """Requests whose reservation the store still has."""
        self.new_paid: dict[tuple[str, str], tuple[int, str]] = {}
        """(at_ms, contents)."""
        self.used: list[tuple[int, str, Spoken, int]] = []
        """(at_ms, account, what, charged) for the usage."""

    def post(self, change: Change) -> Posted:
        """Enter one change. It may come again, and then answers as it did the first time.

        Raises:
            UnknownAccount, NotEnough, IdempotencyConflict, ValueError: nothing was changed.
        """
        if self.owners.setdefault(change.request, change.account) != change.account:
            raise ValueError("this name is another account's")
        if isinstance(change, Count):
            return self._count(change)
        if change.account not in self.balances:
            raise UnknownAccount("this key is not metered: top it up to open its account")
        if isinstance(change, Reserve):
            return self._reserve(change)
        if isinstance(change, Settle):
            return self._settle(change)
        if isinstance(change, Release):
            return self._release(change)
        return self._top_up(change)

    def _top_up(self, change: TopUp) -> Posted:
        if (change.request, "top_up") not in self.past:
            if self.balances[change.account] + change.amount_nano > MOST_NANO:
                raise ValueError("the balance would be above 1000000000 credits")
            self._enter(change, "top_up", change.amount_nano)
        return self._result(change)

    def _reserve(self, change: Reserve) -> Posted:
        if before := self.past.get((change.request, "reserve")):
            return self._result(change, amount=-before[0])
        self._check_same(change.account, change.once)
        amount = 0 if self._is_paid(change.account, change.once) else change.amount_nano
        balance = self.balances[change.account]
        if amount > balance:
            raise NotEnough(required_nano=amount, balance_nano=balance)
        self._enter(change, "reserve", -amount)
        self.held[change.request] = amount
        self.new_held[change.request] = Held(change.request, change.account, amount, change.holder)
        return self._result(change, amount=amount)

    def _settle(self, change: Settle) -> Posted:
        if before := self.past.get((change.request, "settle")):
            return self._result(change, charged=before[1])
        if (change.request, "reserve") not in self.past:
            raise ValueError("nothing was reserved for this request")
        held = self._let_go(change.request)
        is_free = self._is_paid(change.account, change.once)
        charged = 0 if is_free else min(change.cost_nano, held + self.balances[change.account])
        self._enter(change, "settle", held - charged, charged)
        if change.once and charged and (change.account, change.once.key) not in self.paid:
            self.paid[change.account, change.once.key] = change.once.contents
            self.new_paid[change.account, change.once.key] = change.at_ms, change.once.contents
        self.used.append((change.at_ms, change.account, change.spoken, charged))
        return self._result(change, charged=charged)

    def _release(self, change: Release) -> Posted:
        if change.request in self.held:
            self._enter(change, "release", self._let_go(change.request))
        return self._result(change, charged=self.past.get((change.request, "settle"), (0, 0))[1])

    def _count(self, change: Count) -> Posted:
        if (change.request, "count") not in self.past:
            self._row(change, "count", 0, 0)
            self.used.append((change.at_ms, change.account, change.spoken, 0))
        return Posted(0, 0, self.balances.get(change.account, 0))

    def _let_go(self, request: str) -> int:
        """What was set aside for a request; nothing if it was released already."""
        held = self.held.pop(request, None)
        if held is None:
            return 0
        if self.new_held.pop(request, None) is None:
            self.gone.add(request)
        return held

    def _enter(self, change: Change, kind: EntryKind, amount: int, charged: int = 0) -> None:
        self._row(change, kind, amount, charged)
        if amount:
            self.balances[change.account] += amount
            self.changed.add(change.account)

    def _row(self, change: Change, kind: EntryKind, amount: int, charged: int) -> None:
        self.past[change.request, kind] = (amount, charged)
        row = Row(change.at_ms, change.account, change.request, kind, amount, charged)
        self.rows.append(row)

    def _is_paid(self, account: str, once: Once | None) -> bool:
        return once is not None and (
            self.paid.get((account, once.key)) == once.contents
            or (account, once.contents) in self.paid
        )

    def _check_same(self, account: str, once: Once | None) -> None:
        """See that the key has not paid for something else. Raises IdempotencyConflict."""
        if once is not None and self.paid.get((account, once.key)) not in (None, once.contents):
            raise IdempotencyConflict(
                "This Idempotency-Key was used for another request. Use a new one for each speech."
            )

    def _result(self, change: Change, *, amount: int = 0, charged: int = 0) -> Posted:
        return Posted(amount, charged, self.balances[change.account])


def names(changes: Iterable[Change]) -> tuple[list[str], list[str], list[str]]:
    """The accounts (in the order in which they are locked), the requests, and the Idempotency-Keys
    that the changes speak of."""
    accounts, requests, once = set[str](), set[str](), set[str]()
    for change in changes:
        accounts.add(change.account)
        requests.add(change.request)
        if isinstance(change, Reserve | Settle) and change.once:
            once.update({change.once.key, change.once.contents})
    return sorted(accounts), sorted(requests), sorted(once)
