"""A process full of callers, for `tests.soak.exactness`: `python -m tests.accounts.rates.callers`.

It says `ready`, reads from its stdin until when it is to call (monotonic seconds, one clock for
all processes of a machine), and writes what happened into a file, a line at a time.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable

import msgspec

from router.accounts.rates import (
    AtOnce,
    Demand,
    Granted,
    PerMinute,
    Rates,
    Refused,
    in_redis,
)

REQUESTS = PerMinute(scope="key", measure="requests", limit=6_000, burst=100)
CHARACTERS = PerMinute(scope="key", measure="characters", limit=600_000, burst=20_000)
SLOTS = AtOnce(scope="key", limit=20)
SUBJECT = "one key"
TIMEOUT_S = 10.0
"""A machine that is busy with the callers themselves is not a store that is lost."""
_LONGEST_NAP_S = 0.05
"""Who is refused comes again soon: what is free is taken at once."""
_SPEAKING_S = 0.1, 0.4


class Orders(msgspec.Struct, frozen=True):
    """What the process is told."""

    url: str
    prefix: str
    tasks: int
    kind: str
    """`rates` or `slots`."""
    lease_s: float
    file: str
    seed: int


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: `passed`, `refused` (counted at the end), `took` a slot or `gave` it."""

    what: str
    at_s: float
    characters: int = 0
    slot: int = 0
    count: int = 0


class Callers:
    """The tasks of one process."""

    def __init__(self, orders: Orders, rates: Rates, until_s: float) -> None:
        self._rates = rates
        self._until_s = until_s
        self._dice = random.Random(orders.seed)
        self._file = os.open(orders.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._slots = 0
        self._refused = 0

    async def run(self, tasks: int, kind: str) -> None:
        call: Callable[[int], Awaitable[None]] = self._hurry if kind == "rates" else self._hold
        async with asyncio.TaskGroup() as group:
            for number in range(tasks):
                group.create_task(self._repeat(call, number))
        self._tell(Event("refused", time.monotonic(), count=self._refused))

    async def _repeat(self, call: Callable[[int], Awaitable[None]], number: int) -> None:
        while time.monotonic() < self._until_s:
            await call(number)

    async def _hurry(self, number: int) -> None:
        """Short texts use the requests up, long ones the characters."""
        characters = self._dice.randint(1, 20 if number % 2 else 800)
        demands = [Demand(REQUESTS, SUBJECT), Demand(CHARACTERS, SUBJECT, characters)]
        verdict = await self._rates.take(demands)
        if isinstance(verdict, Granted):
            self._tell(Event("passed", time.monotonic(), characters=characters))
        else:
            await self._nap(verdict)

    async def _hold(self, number: int) -> None:
        """What is written down lies within the time in which the slot is held."""
        verdict = await self._rates.take([Demand(SLOTS, SUBJECT)])
        if isinstance(verdict, Refused):
            await self._nap(verdict)
            return
        self._slots += 1
        slot = self._slots
        self._tell(Event("took", time.monotonic(), slot=slot))
        await asyncio.sleep(self._dice.uniform(*_SPEAKING_S))
        self._tell(Event("gave", time.monotonic(), slot=slot))
        await self._rates.give(verdict)

    async def _nap(self, refused: Refused) -> None:
        self._refused += 1
        nap_s = min(refused.retry_after_s or _LONGEST_NAP_S, _LONGEST_NAP_S)
        await asyncio.sleep(nap_s * self._dice.uniform(0.5, 1.5))

    def _tell(self, event: Event) -> None:
        """In one write, so that a kill leaves no half of it."""
        os.write(self._file, msgspec.json.encode(event) + b"\n")


async def call(orders: Orders) -> None:
    async with in_redis(
        orders.url, prefix=orders.prefix, lease_s=orders.lease_s, timeout_s=TIMEOUT_S
    ) as rates:
        print("ready", flush=True)
        until_s = float(await asyncio.to_thread(sys.stdin.readline))
        await Callers(orders, rates, until_s).run(orders.tasks, orders.kind)


if __name__ == "__main__":
    asyncio.run(call(msgspec.json.decode(sys.argv[1], type=Orders)))
