"""What jobs take when they are handed in: their rates at once, and a name in the books for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from router.accounts.admission import dearest_of
from router.accounts.book import Change, Count, Release, Reserve, Settle, Spoken
from router.accounts.keys import Key
from router.accounts.ledger import named
from router.accounts.price import Heard, cost_nano
from router.accounts.providers import amount_of
from router.accounts.rates import AtOnce, Demand, Granted, Limit, PerMinute, Rates, Refused
from router.accounts.refusals import standings
from router.accounts.terms import tariff_of
from router.contract.caller import Ask, Offer, Standings
from router.contract.errors import RateLimited


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """One job in the books: it pays once, when it has ended, whichever process ends it."""

    account: str
    billed_as: str
    """Its name there."""
    dearest_nano: int
    """What is set aside for it; 0 where it pays nothing."""
    metered: bool
    """Whether it pays; else what it used is counted."""

    def reserve(self, at_ms: int) -> Reserve | None:
        """Belongs into the transaction that takes the job in. Nobody answers for it but the job, so
        no process that dies gives it back."""
        if not self.metered:
            return None
        return Reserve(self.account, self.billed_as, at_ms, self.dearest_nano, "", None)


class Entry:
    """Jobs that may come in, with what was taken for them."""

    def __init__(
        self,
        dues: Sequence[Due | None],
        rates: Rates | None = None,
        granted: Granted | None = None,
    ) -> None:
        """`dues` has one for each job; `None`: there are no books."""
        self.dues = dues
        self._rates = rates
        self._granted = granted
        self.standings = standings(granted.standings) if granted is not None else Standings()

    async def refund(self) -> None:
        """They have not come in after all."""
        if self._rates is not None and self._granted is not None:
            await self._rates.refund(self._granted)


def due_of(key: Key, ask: Ask) -> Due:
    """What one job is to pay by."""
    return Due(
        account=key.id,
        billed_as=named(ask.request_id),
        dearest_nano=dearest_of(ask) if key.metered else 0,
        metered=key.metered,
    )


async def taken(
    rates: Rates,
    passed: Iterable[tuple[Ask, Sequence[tuple[Limit, str]]]],
    refusal: Callable[[Refused], RateLimited],
) -> Granted | None:
    """Take all limits of all jobs in one step, save those on speeches at once: jobs wait for their
    turn anyway. Raises RateLimited, RatesLost."""
    demands: dict[tuple[str, str], Demand] = {}
    for ask, limits in passed:
        for limit, subject in limits:
            if isinstance(limit, AtOnce):
                continue
            key = (limit.name, subject)
            amount = amount_of(limit, ask.characters, dearest_of(ask))
            before = demands[key].amount if key in demands else 0
            demands[key] = Demand(limit, subject, _passable(limit, before + amount))
    if not demands:
        return None
    verdict = await rates.take(list(demands.values()))
    if isinstance(verdict, Refused):
        raise refusal(verdict)
    return verdict


def _passable(limit: Limit, amount: int) -> int:
    """A text that is longer than the characters of a minute takes all of them: it is not spoken
    within that minute."""
    if isinstance(limit, PerMinute) and limit.measure == "characters":
        return min(amount, limit.size)
    return amount


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider's model has spoken of a job."""

    provider: str
    model: str
    """The upstream's."""
    characters: int
    audio_ms: int
    tokens: int | None


def closing(
    account: str,
    billed_as: str,
    at_ms: int,
    *,
    metered: bool,
    model: str,
    spent: Sequence[Spent],
    offers: Sequence[Offer],
) -> list[Change]:
    """The entries that end a job in the books: by what was delivered, which is all or nothing.

    The provider that has spoken most pays for all of it; what others spoke is counted as theirs.
    """
    if not spent:
        return [Release(account, billed_as, at_ms)] if metered else []
    main, *others = sorted(spent, key=lambda one: -one.characters)
    changes: list[Change] = [
        Count(account, f"{billed_as}.{number}", at_ms, _spoken(model, one))
        for number, one in enumerate(others)
    ]
    if metered:
        cost = sum(cost_of(one, offers) for one in spent)
        return [Settle(account, billed_as, at_ms, cost, None, _spoken(model, main)), *changes]
    return [Count(account, billed_as, at_ms, _spoken(model, main)), *changes]


def cost_of(spent: Spent, offers: Sequence[Offer]) -> int:
    """Nano-credits, by the prices that held when the job was handed in."""
    prices = {(one.provider, one.model): one.price for one in reversed(offers)}
    price = prices.get((spent.provider, spent.model))
    if price is None:
        return 0
    heard = Heard(characters=spent.characters, audio_ms=spent.audio_ms, tokens=spent.tokens)
    return cost_nano(tariff_of(price), heard)


def _spoken(model: str, spent: Spent) -> Spoken:
    return Spoken(
        model=model,
        provider=spent.provider,
        characters=spent.characters,
        audio_ms=spent.audio_ms,
        tokens=spent.tokens or 0,
    )
