"""What a rate check costs beside the `limits` library: `python -m tests.bench.limits [--rounds N]`.

Both in memory and on one Redis, which is started and ended here, in turn in every round; the best
of the rounds is told. In memory one task asks; on Redis many do at once, and processor time is that
of this process, which is the router's part of the work. All ask of one hot key whose limits are
high, so that everything passes, except in the row that says so.

`limits` knows one limit at a time: where two are asked of it, that is two steps, and what the first
took is not given back when the second refuses.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import limits
import msgspec
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter as AsyncMovingWindow
from limits.aio.strategies import SlidingWindowCounterRateLimiter as AsyncSlidingCounter

from router.accounts.rates import (
    AtOnce,
    Demand,
    Granted,
    PerDay,
    PerMinute,
    Rates,
    in_memory,
    in_redis,
)
from tests.support.redis import redis_server

ROUNDS = 5
CHECKS_IN_MEMORY = 50_000
CHECKS_ON_REDIS = 10_000
TASKS = 32
HIGH = 10_000_000
_CHARACTERS = 200

Check = Callable[[], Awaitable[bool]]
"""One check; whether it passed."""


class Cost(msgspec.Struct, frozen=True):
    """What one check took."""

    rate: float
    """Checks a second."""
    cpu_us: float


class Contender(msgspec.Struct, frozen=True):
    name: str
    check: Check
    passes: bool = True


async def measured(contender: Contender, checks: int, tasks: int) -> Cost:
    """So many checks by so many tasks."""
    each = checks // tasks

    async def ask() -> None:
        check = contender.check
        for _ in range(each):
            if await check() is not contender.passes:
                raise RuntimeError(f"{contender.name}: the answer is wrong")

    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(ask() for _ in range(tasks)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(each * tasks / wall, cpu / (each * tasks) * 1e6)


def ours(rates: Rates) -> list[Contender]:
    """One limit, two, and all that a request may have."""
    requests = PerMinute(scope="key", measure="requests", limit=HIGH)
    characters = PerMinute(scope="key", measure="characters", limit=HIGH * _CHARACTERS)
    whole = [
        Demand(requests, "a"),
        Demand(characters, "a", _CHARACTERS),
        Demand(PerDay(scope="key", measure="credits", limit=2**53), "a", 1_000),
        Demand(PerMinute(scope="global", measure="requests", limit=HIGH)),
        Demand(PerMinute(scope="address", measure="requests", limit=HIGH), "127.0.0.1"),
    ]
    slot = Demand(AtOnce(scope="key", limit=TASKS), "a")
    full = PerMinute(scope="key", use="full", measure="requests", limit=1)

    async def pair() -> bool:
        granted = await rates.take([*whole, slot])
        assert isinstance(granted, Granted)
        await rates.give(granted)
        return True

    return [
        Contender("ours: one limit", _taking(rates, whole[:1])),
        Contender("ours: requests and characters", _taking(rates, whole[:2])),
        Contender("ours: five limits", _taking(rates, whole)),
        Contender("ours: five and a slot, given back", pair),
        Contender("ours: one limit, refused", _taking(rates, [Demand(full, "a", 2)]), passes=False),
    ]


def _taking(rates: Rates, demands: Sequence[Demand]) -> Check:
    async def check() -> bool:
        return isinstance(await rates.take(demands), Granted)

    return check


def theirs_in_memory() -> list[Contender]:
    one, other = _items()
    found = []
    for strategy in (
        limits.strategies.FixedWindowRateLimiter,
        limits.strategies.SlidingWindowCounterRateLimiter,
    ):
        limiter = strategy(limits.storage.MemoryStorage())

        async def single(limiter: limits.strategies.RateLimiter = limiter) -> bool:
            return limiter.hit(one, "a")

        async def double(limiter: limits.strategies.RateLimiter = limiter) -> bool:
            return limiter.hit(one, "a") and limiter.hit(other, "a", cost=_CHARACTERS)

        name = strategy.__name__.removesuffix("RateLimiter")
        found += [
            Contender(f"limits {name}: one limit", single),
            Contender(f"limits {name}: two, in two steps", double),
        ]
    return found


def theirs_on_redis(storage: RedisStorage) -> list[Contender]:
    one, other = _items()
    found = []
    for limiter in (AsyncSlidingCounter(storage), AsyncMovingWindow(storage)):

        async def single(limiter: AsyncSlidingCounter | AsyncMovingWindow = limiter) -> bool:
            return await limiter.hit(one, "a")

        name = type(limiter).__name__.removesuffix("RateLimiter")
        found.append(Contender(f"limits {name}: one limit", single))
    counter = AsyncSlidingCounter(storage)

    async def double() -> bool:
        return await counter.hit(one, "a") and await counter.hit(other, "a", cost=_CHARACTERS)

    found.insert(1, Contender("limits SlidingWindowCounter: two, in two steps", double))
    return found


def _items() -> tuple[limits.RateLimitItem, limits.RateLimitItem]:
    requests = limits.RateLimitItemPerMinute(HIGH, namespace="requests")
    return requests, limits.RateLimitItemPerMinute(HIGH * _CHARACTERS, namespace="characters")


@asynccontextmanager
async def on_redis() -> AsyncIterator[list[Contender]]:
    """All contenders before one server."""
    with redis_server() as server:
        storage = RedisStorage(f"async+{server.url}", implementation="redispy")
        async with in_redis(server.url, timeout_s=10) as rates:
            yield [*ours(rates), *theirs_on_redis(storage)]
            client: Any = storage.bridge
            await client.storage.aclose()


async def best(
    contenders: Sequence[Contender], rounds: int, checks: int, tasks: int
) -> dict[str, Cost]:
    """Each at its quickest, one after the other in each round."""
    found: dict[str, Cost] = {}
    for _ in range(rounds):
        for contender in contenders:
            cost = await measured(contender, checks, tasks)
            known = found.get(contender.name)
            if known is None or cost.cpu_us < known.cpu_us:
                found[contender.name] = cost
    return found


async def measure(rounds: int) -> AsyncIterator[str]:
    """The tables, row by row."""
    memory = [*ours(in_memory()), *theirs_in_memory()]
    for line in _table("in memory, one task", await best(memory, rounds, CHECKS_IN_MEMORY, 1)):
        yield line
    async with on_redis() as contenders:
        found = await best(contenders, rounds, CHECKS_ON_REDIS, TASKS)
        alone = await best(contenders, rounds, CHECKS_ON_REDIS // 10, 1)
    for line in _table(f"on Redis, {TASKS} tasks", found):
        yield line
    for line in _table("on Redis, one task alone", alone):
        yield line


def _table(title: str, costs: dict[str, Cost]) -> Iterator[str]:
    yield f"{title:48}  {'checks/s':>10}  {'CPU us':>7}"
    for name, cost in costs.items():
        yield f"{name:48}  {cost.rate:10,.0f}  {cost.cpu_us:7.2f}"
    yield ""


async def show(rounds: int) -> None:
    async for line in measure(rounds):
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.bench.limits", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    libraries = ", ".join(f"{name} {version(name)}" for name in ("limits", "redis", "hiredis"))
    print(f"{len(os.sched_getaffinity(0))} cores, load before {busy}; {libraries}\n")
    asyncio.run(show(asked.rounds))


if __name__ == "__main__":
    main()
