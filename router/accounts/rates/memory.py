"""Rates in the memory of one process."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

from router.accounts.rates.kept import Kept, Key
from router.accounts.rates.limits import DAY_S, PASSES, AtOnce, Demand, Level, Now, Weighed
from router.accounts.rates.store import StoreState
from router.accounts.rates.verdict import Granted, Standing, Verdict, refused, slots, standings

SUBJECTS = 100_000
"""Counters that are kept, at some 300 bytes each."""


class MemoryRates:
    """The store of a router that runs alone, and the twin of a shared one that may be lost.

    Rates are timed by a clock that nobody sets; days begin when the wall clock says so. A call is
    one atomic step because nothing in it waits; the `_now` forms are the same without `await`.
    """

    def __init__(
        self,
        subjects: int = SUBJECTS,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.state = StoreState("memory")
        self._kept = Kept(subjects)
        self._clock = clock
        self._wall = wall
        self._held: dict[str, tuple[Demand, ...]] = {}
        self._leases = itertools.count(1)
        self._day = self._midnight = 0

    def __len__(self) -> int:
        """Counters that are kept."""
        return len(self._kept)

    async def take(self, demands: Sequence[Demand]) -> Verdict:
        return self.take_now(demands)

    async def give(self, granted: Granted) -> None:
        self.give_now(granted)

    async def refund(self, granted: Granted) -> None:
        self.refund_now(granted)

    async def adjust(self, granted: Granted, demand: Demand, amount: int) -> None:
        self.adjust_now(granted, demand, amount)

    def take_now(self, demands: Sequence[Demand], lease: str = "") -> Verdict:
        """`lease` names the slots, where somebody else has a name for them."""
        now = self._now()
        get = self._kept.get
        counted: list[tuple[Key, Level]] = []
        stand: list[Standing] = []
        for one in demands:
            limit = one.limit
            key = (limit.name, one.subject)
            found = limit.weigh(get(key), one.amount, now)
            if found.wait_s != PASSES:
                return self._refused(demands, now)
            if one.amount:
                counted.append((key, found.level))
            stand.append(Standing(limit, found.remaining, found.reset_s))
        for key, level in counted:
            self._kept.put(key, level, now.s)
        if held := slots(demands):
            lease = lease or str(next(self._leases))
            self._held[lease] = held
        return Granted(tuple(demands), tuple(stand), now.day, lease if held else "")

    def mirror(self, granted: Granted) -> None:
        """Count what was granted elsewhere, whether it would pass here or not."""
        now = self._now()
        for one in granted.demands:
            if one.amount:
                level = self._weighed(one, one.amount, now).level
                self._kept.put((one.limit.name, one.subject), level, now.s)
        if granted.lease:
            self._held[granted.lease] = slots(granted.demands)

    def give_now(self, granted: Granted) -> None:
        for one in self._held.pop(granted.lease, ()):
            self._correct(one, -one.amount, granted.day)

    def refund_now(self, granted: Granted) -> None:
        self.give_now(granted)
        for one in granted.demands:
            if not isinstance(one.limit, AtOnce):
                self._correct(one, -one.amount, granted.day)

    def adjust_now(self, granted: Granted, demand: Demand, amount: int) -> None:
        self._correct(demand, amount - demand.amount, granted.day)

    def _refused(self, demands: Sequence[Demand], now: Now) -> Verdict:
        weighed = [self._weighed(one, one.amount, now) for one in demands]
        as_is = [self._weighed(one, 0, now) for one in demands]
        return refused(demands, weighed, standings(demands, as_is))

    def _weighed(self, one: Demand, amount: int, now: Now) -> Weighed:
        level = self._kept.get((one.limit.name, one.subject))
        return one.limit.weigh(level, amount, now)

    def _correct(self, demand: Demand, by: int, day: int) -> None:
        key = demand.limit.name, demand.subject
        level = self._kept.get(key)
        if level is None:
            return
        level = demand.limit.corrected(level, by, day)
        if isinstance(demand.limit, AtOnce) and not level.used:
            self._kept.drop(key)
        else:
            self._kept.put(key, level, self._clock())

    def _now(self) -> Now:
        wall = self._wall()
        if not 0 < self._midnight - wall <= DAY_S:
            self._day = int(wall // DAY_S)
            self._midnight = (self._day + 1) * DAY_S
        return Now(self._clock(), self._day, self._midnight - wall)
