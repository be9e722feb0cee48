"""How fast, how much a day, how many at once: all limits of a request, in one atomic step.

    rates = in_memory()                                    # or: async with in_redis(url) as rates
    per_minute = PerMinute(scope="key", measure="characters", limit=20_000, burst=8_192)
    at_once = AtOnce(scope="key", limit=4)

    verdict = await rates.take([Demand(per_minute, key.id, 412), Demand(at_once, key.id)])
    if isinstance(verdict, Refused):
        ...                                                # nothing was taken; `retry_after_s`
    ...                                                    # speak
    await rates.give(verdict)                              # its slots

Limits are made once, from the config; demands with each request. `refund` undoes a grant of which
another check thought otherwise, `adjust` says what a day's credits came to in the end. An amount of
0 takes nothing and tells how the limit stands. `rates.state` is for readiness and metrics.
"""

from router.accounts.rates.limits import AtOnce, Demand, Limit, PerDay, PerMinute, Scope
from router.accounts.rates.opening import in_memory, in_redis
from router.accounts.rates.store import OnLoss, Rates, RatesLost, StoreState
from router.accounts.rates.verdict import Granted, Refused, Standing, Verdict

__all__ = [
    "AtOnce",
    "Demand",
    "Granted",
    "Limit",
    "OnLoss",
    "PerDay",
    "PerMinute",
    "Rates",
    "RatesLost",
    "Refused",
    "Scope",
    "Standing",
    "StoreState",
    "Verdict",
    "in_memory",
    "in_redis",
]
