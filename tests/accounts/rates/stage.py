"""Both stores of rates, with a clock that the test turns."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from router.accounts.rates import Rates, in_redis
from router.accounts.rates.memory import MemoryRates
from tests.support.redis import RedisServer

Store = Literal["memory", "redis"]
NOON = 1_790_000_000 - 1_790_000_000 % 86_400 + 43_200
"""A noon in UTC, in 2026."""

_numbers = itertools.count(1)


class Clock:
    """Stands still until it is turned; on Redis it is what the script reads."""

    def __init__(self, server: RedisServer | None) -> None:
        self.ms = NOON * 1000
        self._server = server
        self.key = f"clock-{next(_numbers)}"
        self.turn(0)

    def turn(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)
        if self._server is not None:
            seconds_at, ms = divmod(self.ms, 1000)
            self._server.ask("HSET", self.key, "s", str(seconds_at), "us", str(ms * 1000))

    def monotonic(self) -> float:
        """It began an hour before noon, and cannot be set."""
        return (self.ms - NOON * 1000) / 1000 + 3600

    def wall(self) -> float:
        return self.ms / 1000


class Stage:
    """One store, and its clock."""

    def __init__(self, rates: Rates, clock: Clock) -> None:
        self.rates = rates
        self.clock = clock


@asynccontextmanager
async def staged(store: Store, server: RedisServer | None) -> AsyncIterator[Stage]:
    """A store in which nothing has been taken yet. Leases outlast any test."""
    if store == "memory":
        clock = Clock(None)
        yield Stage(MemoryRates(clock=clock.monotonic, wall=clock.wall), clock)
        return
    assert server is not None
    clock = Clock(server)
    time = f"redis.call('HMGET', '{clock.key}', 's', 'us')"
    async with in_redis(
        server.url, prefix=clock.key, lease_s=10_000_000, timeout_s=10, clock=time
    ) as rates:
        yield Stage(rates, clock)
