"""One request's leave to speak: its rates and its credit, from admission to settlement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

import structlog

from router.accounts.keys import Key
from router.accounts.ledger import Ledger, Reservation, Spoken, named, once_of
from router.accounts.price import NANO, Heard, cost_nano, credits_of, dearest_nano, delivered
from router.accounts.providers import amount_of
from router.accounts.rates import Demand, Granted, Limit, PerDay, Rates, Refused
from router.accounts.refusals import standings
from router.accounts.terms import tariff_of
from router.contract.caller import Ask, Delivered, Receipt, Standings
from router.contract.errors import RateLimited

_log = structlog.get_logger(__name__)

_TOKENS_PER_S = 25
"""The most tokens that a second of audio is billed as: OpenAI's price of gpt-4o-mini-tts, 12
dollars for a million tokens and 0.015 for a minute, makes 21 (2026-11-21)."""


class Admission:
    """Entered, everything is taken or nothing; left, what was heard is charged, the rest is given
    back. A request waits for the commit of its reservation, and for no other."""

    def __init__(
        self,
        ledger: Ledger,
        rates: Rates,
        key: Key,
        limits: Sequence[tuple[Limit, str]],
        ask: Ask,
        *,
        refuse: Callable[[Refused], RateLimited],
    ) -> None:
        """`limits` are all that the request has to pass, each with whose it is; `refuse` makes the
        error for one that is reached."""
        self._refuse = refuse
        self._ledger = ledger
        self._rates = rates
        self._key = key
        self._limits = limits
        self._ask = ask
        self._prices = {(one.provider, one.model): one.price for one in reversed(ask.offers)}
        self._request = named(ask.request_id)
        self._granted: Granted | None = None
        self._reserved: Reservation | None = None
        self._heard: Delivered | None = None
        self.standings = Standings()
        self.charged = 0.0

    async def __aenter__(self) -> Self:
        dearest = dearest_of(self._ask)
        if self._limits:
            await self._take(dearest)
        if self._key.metered and dearest:
            try:
                await self._reserve(dearest)
            except BaseException:
                await self._refund()
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        charged = self._settle()
        if self._granted is not None:
            await self._let_go(self._granted, charged)

    def receipt(self, delivered: Delivered) -> Receipt:
        price = self._prices.get((delivered.provider, delivered.model))
        balance = self._reserved.balance_nano if self._reserved is not None else None
        cost: int | None = None
        if price is None:
            cost = 0
        elif price.credits_per_1k_tokens is None and (
            price.credits_per_audio_s is None or delivered.audio_s is not None
        ):
            cost = self._cost_nano(delivered)
        if cost is not None and self._reserved is not None:
            balance = self._reserved.balance_nano + max(self._reserved.amount_nano - cost, 0)
        return Receipt(
            None if cost is None else credits_of(cost),
            None if balance is None else credits_of(balance),
        )

    def heard(self, delivered: Delivered) -> None:
        self._heard = delivered

    # ---- taking

    async def _take(self, dearest: int) -> None:
        """Take all limits in one step. Raises RateLimited."""
        characters = self._ask.characters
        demands = [
            Demand(limit, subject, amount_of(limit, characters, dearest))
            for limit, subject in self._limits
        ]
        verdict = await self._rates.take(demands)
        if isinstance(verdict, Refused):
            raise self._refuse(verdict)
        self._granted = verdict
        self.standings = standings(verdict.standings)

    async def _reserve(self, dearest: int) -> None:
        """Set aside what the dearest candidate costs. Raises OutOfCredit."""
        once = once_of(*self._ask.once) if self._ask.once is not None else None
        self._reserved = await self._ledger.reserve(self._key.id, self._request, dearest, once=once)

    async def _refund(self) -> None:
        if self._granted is not None:
            await self._rates.refund(self._granted)

    # ---- giving back

    def _settle(self) -> int:
        """Enter in the books what was heard, and tell what it costs. Nothing is waited for."""
        heard, reserved = self._heard, self._reserved
        if heard is None:
            if reserved is not None:
                _watched(self._ledger.release(reserved))
            return 0
        cost = self._cost_nano(heard)
        spoken = self._spoken(heard)
        if reserved is not None:
            _watched(self._ledger.settle(reserved, cost, spoken))
            self.charged = cost / NANO
        else:
            _watched(self._ledger.count(self._key.id, self._request, spoken))
        return cost

    async def _let_go(self, granted: Granted, charged: int) -> None:
        """Give back the slots, and of the day's share what was not used after all."""
        await self._rates.give(granted)  # first: a slot that is kept by mistake is kept for long
        said = self._ask.characters if self._heard is not None else 0
        for demand in granted.demands:
            limit = demand.limit
            if isinstance(limit, PerDay) and limit.measure != "requests":
                used = amount_of(limit, said, charged)
                if used != demand.amount:
                    await self._rates.adjust(granted, demand, used)

    def _cost_nano(self, heard: Delivered) -> int:
        """By the price of who spoke; of several, each counts by its share of the audio."""
        is_paid = self._reserved is not None and not self._reserved.amount_nano
        if is_paid:
            return 0
        weights = {(one.provider, one.model): round(one.audio_s * 1000) for one in heard.shares}
        whole_ms = sum(weights.values())
        if not whole_ms:
            return self._priced_nano((heard.provider, heard.model), heard)
        costs = [self._priced_nano(who, heard) * audio_ms for who, audio_ms in weights.items()]
        return -(-sum(costs) // whole_ms)

    def _priced_nano(self, who: tuple[str, str], heard: Delivered) -> int:
        price = self._prices.get(who)
        return 0 if price is None else cost_nano(tariff_of(price), _part(heard))

    def _spoken(self, heard: Delivered) -> Spoken:
        part = _part(heard)
        return Spoken(
            model=self._ask.model,
            provider=heard.provider,
            characters=part.characters,
            audio_ms=part.audio_ms,
            tokens=part.tokens or 0,
        )


def dearest_of(ask: Ask) -> int:
    """Nano-credits that the dearest candidate of the plan can cost."""
    most_ms = round(ask.most_audio_s * 1000)
    most_tokens = 4 * ask.characters + round(ask.most_audio_s * _TOKENS_PER_S)
    return max(
        (
            dearest_nano(
                tariff_of(offer.price),
                ask.characters,
                most_audio_ms=most_ms,
                most_tokens=most_tokens,
            )
            for offer in ask.offers
        ),
        default=0,
    )


def _part(heard: Delivered) -> Heard:
    """What was delivered, as the price sees it."""
    audio_ms = round((heard.audio_s or 0.0) * 1000)
    whole = Heard(
        characters=heard.characters,
        audio_ms=audio_ms if heard.is_whole else round((heard.whole_s or 0.0) * 1000),
        tokens=heard.tokens,
        cached=heard.cached,
    )
    return whole if heard.is_whole else delivered(whole, audio_ms)


def _watched(entry: Awaitable[object]) -> None:
    """The entry is made whether anybody waits or not; that it failed must be seen."""
    asyncio.ensure_future(entry).add_done_callback(_look)


def _look(entry: asyncio.Future[object]) -> None:
    if not entry.cancelled() and (error := entry.exception()) is not None:
        _log.error("an entry in the books failed", error=type(error).__name__)
