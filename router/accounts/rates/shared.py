"""Rates in Redis, exact over any number of processes; and what holds while it is lost."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import structlog

from router.accounts.rates.courier import Courier, Lost
from router.accounts.rates.limits import Demand, PerMinute
from router.accounts.rates.memory import MemoryRates
from router.accounts.rates.pipeline import Pipeline
from router.accounts.rates.script import Command, Reply, Script, verdict
from router.accounts.rates.store import RatesLost, StoreState
from router.accounts.rates.verdict import Granted, Verdict, slots

_log = structlog.get_logger(__name__)

_ALIVE = Demand(PerMinute(scope="global", use="alive", measure="requests", limit=60_000))
"""Written with every round of chores: a store that only answers is of no use."""
_RENEWALS = 4
"""In the time of one lease: three may fail."""
_AT_ONCE = 200
"""Leases in one command, which is some 0.3 ms of the server's time."""


class SharedRates:
    """The store of several routers.

    A slot is a lease. This process renews it for as long as it is held, also a slot that was taken
    while Redis was lost; it runs out when nobody renews it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        script: Script,
        *,
        lease_s: float,
        timeout_s: float,
        twin: MemoryRates | None,
        changed: Callable[[StoreState], None],
    ) -> None:
        """`twin` hears of every grant and limits while Redis is lost; without it nobody passes
        then."""
        self.state = StoreState("redis", "closed" if twin is None else "open")
        self.courier = Courier(
            pipeline,
            timeout_s=timeout_s / 2,
            chores=self._chores,
            chores_s=lease_s / _RENEWALS,
            changed=self._noticed,
        )
        self._script = script
        self._twin = twin
        self._changed = changed
        self._held: dict[str, tuple[Demand, ...]] = {}
        self._process = secrets.token_hex(6)
        self._taken = itertools.count(1)

    async def take(self, demands: Sequence[Demand]) -> Verdict:
        lease = f"{self._process}-{next(self._taken)}"

        def undo(reply: Reply) -> Command | None:
            left = verdict(demands, reply, lease)
            return self._script.correct(_all(left), left) if isinstance(left, Granted) else None

        try:
            reply = await self.courier.ask(self._script.take(demands, lease), undo)
        except Lost:
            return self._alone(demands, lease)
        found = verdict(demands, reply, lease)
        if isinstance(found, Granted):
            self._hold(found)
            if self._twin is not None:
                self._twin.mirror(found)
        return found

    async def give(self, granted: Granted) -> None:
        if self._held.pop(granted.lease, None) is None:
            return
        if self._twin is not None:
            self._twin.give_now(granted)
        await self.courier.tell(self._script.correct(_slots(granted), granted))

    async def refund(self, granted: Granted) -> None:
        self._held.pop(granted.lease, None)
        if self._twin is not None:
            self._twin.refund_now(granted)
        changes = _all(granted) if granted.shared else _slots(granted)
        if changes:
            await self.courier.tell(self._script.correct(changes, granted))

    async def adjust(self, granted: Granted, demand: Demand, amount: int) -> None:
        if self._twin is not None:
            self._twin.adjust_now(granted, demand, amount)
        if granted.shared:
            change = (demand, amount - demand.amount)
            await self.courier.tell(self._script.correct([change], granted))

    def leases(self) -> list[Command]:
        """What gives back all that is held: the last words of a router that ends."""
        held = self._held.items()
        given = [Granted(demands, (), 0, lease) for lease, demands in held]
        return [self._script.correct(_slots(one), one) for one in given]

    def _alone(self, demands: Sequence[Demand], lease: str) -> Verdict:
        """The answer without Redis. Raises RatesLost."""
        if self._twin is None:
            raise RatesLost
        found = self._twin.take_now(demands, lease)
        if isinstance(found, Granted):
            self._hold(found)
        return found

    def _hold(self, granted: Granted) -> None:
        if granted.lease:
            self._held[granted.lease] = slots(granted.demands)

    def _chores(self) -> list[Command]:
        leases = [(lease, one) for lease, held in self._held.items() for one in held]
        parts = [leases[at : at + _AT_ONCE] for at in range(0, len(leases), _AT_ONCE)]
        return [self._script.take((_ALIVE,), ""), *map(self._script.renew, parts)]

    def _noticed(self, is_lost: bool) -> None:
        losses = self.state.losses + is_lost
        self.state = msgspec.structs.replace(self.state, is_lost=is_lost, losses=losses)
        try:
            self._changed(self.state)
        except Exception:  # it is not ours, and the rates go on
            _log.exception("who hears of the shared store has failed")


def _all(granted: Granted) -> list[tuple[Demand, int]]:
    return [(one, -one.amount) for one in granted.demands]


def _slots(granted: Granted) -> list[tuple[Demand, int]]:
    return [(one, -one.amount) for one in slots(granted.demands)]


@asynccontextmanager
async def connected(
    pipeline: Pipeline,
    script: Script,
    *,
    lease_s: float,
    timeout_s: float,
    twin: MemoryRates | None,
    changed: Callable[[StoreState], None],
) -> AsyncIterator[SharedRates]:
    """The store with its task. A server that is not there yet is a lost one, and no failure;
    what is still held at the end is given back."""
    rates = SharedRates(
        pipeline, script, lease_s=lease_s, timeout_s=timeout_s, twin=twin, changed=changed
    )
    try:
        await rates.courier.visit()
        carrying = asyncio.create_task(rates.courier.run(), name="rates")
        try:
            yield rates
        finally:
            carrying.cancel()
            await asyncio.wait([carrying])
            await rates.courier.finish(rates.leases())
    finally:
        await pipeline.close()
