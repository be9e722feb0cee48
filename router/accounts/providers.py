"""What may be asked of each provider, over all callers: its own limits, taken at each attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import ClassVar

from router.accounts.rates import Demand, Granted, Limit, Rates, RatesLost
from router.accounts.rates import Refused as NotTaken
from router.accounts.terms import limits_of
from router.contract.caller import FREE, Ask, Trouble, Turn
from router.contract.errors import Busy, Refused
from router.contract.record import Event, LimitRefused
from router.settings.structs import Provider


class LimitReached(Busy):
    """We do not ask it now: its own fault it is not, so its health is not marked."""

    marks: ClassVar[bool] = False


class Turns:
    """The limits of all providers, all or nothing of one at a time."""

    def __init__(
        self,
        rates: Rates,
        providers: Mapping[str, Provider],
        publish: Callable[[Event], None],
    ) -> None:
        """`publish` hears of every limit that is reached."""
        self._rates = rates
        self._publish = publish
        self._limits: dict[str, tuple[Limit, ...]] = {
            name: limits
            for name, provider in providers.items()
            if (limits := limits_of("provider", provider.entry.limits))
        }
        self._giving: set[asyncio.Task[None]] = set()

    async def take(self, provider: str, ask: Ask) -> Turn:
        """Take what a request needs.

        Raises:
            LimitReached: it has to wait.
            Refused: the request is larger than a limit, and never passes.
        """
        limits = self._limits.get(provider)
        if limits is None:
            return FREE
        demands = [Demand(one, provider, amount_of(one, ask.characters)) for one in limits]
        try:
            verdict = await self._rates.take(demands)
        except RatesLost as error:
            message = "its limits cannot be checked at the moment"
            raise LimitReached(message, retry_after=error.retry_after) from error
        if isinstance(verdict, NotTaken):
            what = verdict.limit.measure
            self._publish(LimitRefused(verdict.limit.scope, what, verdict.limit.use))
            if verdict.retry_after_s is None:
                raise Refused(f"The text is longer than its limit of {what} allows.")
            message = f"its limit of {what} is reached"
            raise LimitReached(message, retry_after=verdict.retry_after_s)
        return _Taken(self, verdict) if verdict.lease else FREE

    def give(self, granted: Granted) -> None:
        """Have its slots given back, without a wait."""
        task = asyncio.create_task(self._rates.give(granted), name="turn")
        self._giving.add(task)
        task.add_done_callback(self._giving.discard)

    def troubles(self) -> list[Trouble]:
        """Whether the limits can be kept."""
        state = self._rates.state
        if not state.is_lost:
            return []
        if state.is_serving:
            what = "the shared store of limits is lost: this router counts for itself"
            return [Trouble(what, stops=False)]
        return [Trouble("the shared store of limits is lost", stops=True)]

    async def close(self) -> None:
        """Wait for what is still given back; each has a limit of its own."""
        await asyncio.gather(*self._giving)


class _Taken:
    """A turn with slots."""

    def __init__(self, turns: Turns, granted: Granted) -> None:
        self._turns = turns
        self._granted: Granted | None = granted

    def done(self) -> None:
        granted, self._granted = self._granted, None
        if granted is not None:
            self._turns.give(granted)


def amount_of(limit: Limit, characters: int, nano: int = 0) -> int:
    """What a request takes of a limit."""
    return {"characters": characters, "credits": nano}.get(limit.measure, 1)


@asynccontextmanager
async def turns(
    rates: Rates, providers: Mapping[str, Provider], publish: Callable[[Event], None]
) -> AsyncIterator[Turns]:
    """The limits of all providers; what is still to be given back at the end is."""
    made = Turns(rates, providers, publish)
    try:
        yield made
    finally:
        await made.close()
