"""Many processes, one Redis, one key: what passes is what the limits say, no less and no more.

First rates: requests and characters are limited at once, and callers use up both. Then slots:
processes are killed at random and replaced, and from what each wrote down it is counted how many
slots were held at once. Needs a redis-server on this machine; it is started and ended here.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from router.accounts.rates import Demand, Granted, in_redis
from tests.accounts.rates.callers import (
    CHARACTERS,
    REQUESTS,
    SLOTS,
    SUBJECT,
    TIMEOUT_S,
    Event,
    Orders,
)
from tests.support.process import ROOT
from tests.support.redis import redis_server

SECONDS = 30.0
PROCESSES = 8
TASKS = 32
TOLERANCE = 0.01
LEASE_S = 4.0
_CALM_S = 1.0
"""Between the end and the end of the last lease of a process that was killed."""
_END_S = 30.0
_decode = msgspec.json.Decoder(Event).decode


class Passed(msgspec.Struct, frozen=True):
    """What came through, and what should have."""

    seconds: float
    """From the first that passed to the last."""
    requests: int
    characters: int
    refused: int

    @property
    def requests_due(self) -> float:
        return REQUESTS.size + self.seconds / REQUESTS.unit_s

    @property
    def characters_due(self) -> float:
        return CHARACTERS.size + self.seconds / CHARACTERS.unit_s

    @property
    def off(self) -> float:
        """The share by which it is not what is due."""
        requests, characters = self.requests, self.characters
        return max(abs(requests / self.requests_due - 1), abs(characters / self.characters_due - 1))


class HeldAtOnce(msgspec.Struct, frozen=True):
    """How many slots were held at once, by what the processes wrote down."""

    taken: int
    killed: int
    lost: int
    """Slots that somebody held who was killed."""
    most: int
    free: int
    """Slots that could be taken when all was over."""


class _Caller:
    """One process of callers."""

    def __init__(self, orders: Orders) -> None:
        self.file = Path(orders.file)
        self.killed_s: float | None = None
        command = (sys.executable, "-m", "tests.accounts.rates.callers")
        self._process = subprocess.Popen(
            [*command, msgspec.json.encode(orders).decode()],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def go(self, until_s: float) -> None:
        """Once it is ready."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self._process.stdin.write(f"{until_s}\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """It surely held until now what it had not given back."""
        self.killed_s = time.monotonic()
        self.end()

    def done(self) -> None:
        """It ends by itself, and well."""
        assert self._process.wait(_END_S) == 0

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def events(self) -> list[Event]:
        return [_decode(line) for line in self.file.read_bytes().splitlines()]


class Crowd:
    """The processes, and those that have been."""

    def __init__(self, url: str, folder: Path, kind: str, tasks: int, lease_s: float) -> None:
        self._orders = Orders(url, "exact", tasks, kind, lease_s, "", 0)
        self._folder = folder
        self.all: list[_Caller] = []

    def come(self) -> _Caller:
        number = len(self.all) + 1
        file = str(self._folder / f"{self._orders.kind}-{number}")
        caller = _Caller(msgspec.structs.replace(self._orders, file=file, seed=number))
        self.all.append(caller)
        return caller

    async def free(self) -> int:
        """How many slots somebody who comes now can have."""
        orders = self._orders
        async with in_redis(orders.url, prefix=orders.prefix, timeout_s=TIMEOUT_S) as rates:
            tries = [await rates.take([Demand(SLOTS, SUBJECT)]) for _ in range(SLOTS.limit + 1)]
            return sum(isinstance(one, Granted) for one in tries)


@contextmanager
def crowd(kind: str, tasks: int, lease_s: float) -> Iterator[Crowd]:
    """A Redis for them alone; all have ended when the block is left."""
    with tempfile.TemporaryDirectory() as folder, redis_server() as server:
        found = Crowd(server.url, Path(folder), kind, tasks, lease_s)
        try:
            yield found
        finally:
            for caller in found.all:
                caller.end()


def hurry(seconds: float, processes: int = PROCESSES, tasks: int = TASKS) -> Passed:
    """Everybody wants more than there is."""
    with crowd("rates", tasks, LEASE_S) as people:
        callers = [people.come() for _ in range(processes)]
        _begin(callers, seconds)
        for caller in callers:
            caller.done()
        events = [event for caller in callers for event in caller.events()]
    passed = [event for event in events if event.what == "passed"]
    times = [event.at_s for event in passed]
    return Passed(
        seconds=max(times) - min(times),
        requests=len(passed),
        characters=sum(event.characters for event in passed),
        refused=sum(event.count for event in events),
    )


def hold(
    seconds: float, processes: int = PROCESSES, tasks: int = TASKS, lease_s: float = LEASE_S
) -> HeldAtOnce:
    """Slots are wanted by more than there are, and every now and then a process is killed."""
    dice = random.Random(1)
    with crowd("slots", tasks, lease_s) as people:
        callers = [people.come() for _ in range(processes)]
        until_s = _begin(callers, seconds)
        last_s = until_s - lease_s - _CALM_S
        while time.monotonic() + (nap_s := lease_s * dice.uniform(0.25, 0.75)) < last_s:
            time.sleep(nap_s)
            victim = callers.pop(dice.randrange(len(callers)))
            victim.kill()
            callers.append(people.come())
            callers[-1].go(until_s)
        for caller in callers:
            caller.done()
        return _counted(people.all, free=asyncio.run(people.free()))


def _begin(callers: Sequence[_Caller], seconds: float) -> float:
    """All at once, when the slowest is ready; until when."""
    until_s = 0.0
    for caller in callers:
        until_s = time.monotonic() + seconds
        caller.go(until_s)
    return until_s


def _counted(callers: Sequence[_Caller], free: int) -> HeldAtOnce:
    changes: list[tuple[float, int]] = []
    taken = lost = 0
    for caller in callers:
        opened: dict[int, float] = {}
        for event in caller.events():
            if event.what == "took":
                opened[event.slot] = event.at_s
            elif event.what == "gave":
                changes += [(opened.pop(event.slot), 1), (event.at_s, -1)]
                taken += 1
        for began_s in opened.values():
            assert caller.killed_s is not None, "a slot was never given back"
            changes += [(began_s, 1), (max(began_s, caller.killed_s), -1)]
            lost += 1
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    killed = sum(caller.killed_s is not None for caller in callers)
    return HeldAtOnce(taken, killed, lost, most, free)


def check(passed: Passed, held: HeldAtOnce, tolerance: float = TOLERANCE) -> None:
    """Exact, as far as time can be told; never a slot too many, and none lost for good."""
    assert passed.off <= tolerance, passed
    assert passed.refused > passed.requests / 10, "they did not want more than there is"
    assert held.most == SLOTS.limit, held
    assert held.killed, "nobody was killed"
    assert held.lost, "nobody who was killed held anything"
    assert held.free == SLOTS.limit, held


def main(seconds: float = SECONDS) -> None:
    passed = hurry(seconds)
    print(f"{PROCESSES} processes of {TASKS} tasks, one key, {passed.seconds:.2f} s")
    for what, count, due in (
        ("requests", passed.requests, passed.requests_due),
        ("characters", passed.characters, passed.characters_due),
    ):
        print(f"{what:10}  passed {count:7}  due {due:9.1f}  {count / due - 1:+.3%}")
    print(f"refused {passed.refused}")
    held = hold(seconds)
    print(f"slots {SLOTS.limit}: taken {held.taken} times, held at once at most {held.most}")
    print(f"processes killed {held.killed}, with {held.lost} slots; free in the end {held.free}")
    check(passed, held)
