"""What is answered to a request's demands: all was taken, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from router.accounts.rates.limits import (
    NEVER,
    AtOnce,
    Demand,
    Limit,
    PerDay,
    Weighed,
)

LONG_S = 60.0
"""From here on a wait is not worth telling an SDK: some sleep for whatever they are told, others
give up above it (openai-node 6.26 to 7.3 and openai-python before 2.51, read in their source)."""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How one limit stands after the answer."""

    limit: Limit
    remaining: int
    """Units that would pass now."""
    reset_s: float
    """Seconds until everything is free again; 0 where nobody knows (slots)."""


class Granted(msgspec.Struct, frozen=True):
    """Everything was taken. `give` it back when the speech is over."""

    demands: tuple[Demand, ...]
    standings: tuple[Standing, ...]
    """One for each demand, in their order."""
    day: int
    """The UTC day in which it was counted."""
    lease: str = ""
    """Names its slots in the store."""
    shared: bool = False
    """Counted in the shared store, and not in this process alone."""


class Refused(msgspec.Struct, frozen=True):
    """Nothing was taken. Of several limits that refuse, it tells the one with the longest wait."""

    limit: Limit
    subject: str
    retry_after_s: float | None
    """`None`: never, the request is larger than the limit."""
    standings: tuple[Standing, ...]
    """One for each demand, in their order: as they stand."""

    @property
    def is_useless(self) -> bool:
        """Whether a client should not try again by itself: a day's cap, a long wait, or never."""
        wait_s = self.retry_after_s
        return wait_s is None or wait_s > LONG_S or isinstance(self.limit, PerDay)


Verdict = Granted | Refused


def standings(demands: Sequence[Demand], weighed: Sequence[Weighed]) -> tuple[Standing, ...]:
    return tuple(
        [
            Standing(demand.limit, one.remaining, one.reset_s)
            for demand, one in zip(demands, weighed, strict=True)
        ]
    )


def refused(
    demands: Sequence[Demand], weighed: Sequence[Weighed], stand: tuple[Standing, ...]
) -> Refused:
    """The refusal, by the limit for which one has to wait longest."""
    found, demand = max(zip(weighed, demands, strict=True), key=lambda pair: pair[0].wait_s)
    retry_after_s = None if found.wait_s == NEVER else found.wait_s
    return Refused(demand.limit, demand.subject, retry_after_s, stand)


def slots(demands: Sequence[Demand]) -> tuple[Demand, ...]:
    """Those of which something is held until it is given back."""
    held: tuple[Demand, ...] = ()
    for one in demands:
        if isinstance(one.limit, AtOnce) and one.amount:
            held = (*held, one)
    return held
