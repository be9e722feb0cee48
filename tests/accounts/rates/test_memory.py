"""The memory of one process: bounded, however many subjects come."""

from __future__ import annotations

import subprocess
import sys

from router.accounts.rates import AtOnce, Demand, Granted, PerDay, PerMinute, Refused
from router.accounts.rates.memory import MemoryRates
from tests.accounts.rates.stage import Clock
from tests.support.process import ROOT

PER_MINUTE = PerMinute(scope="address", measure="requests", limit=60, burst=2)
DAILY = PerDay(scope="address", measure="requests", limit=1)
SLOT = AtOnce(scope="address", limit=1)
MOST = 100


def store() -> tuple[MemoryRates, Clock]:
    clock = Clock(None)
    return MemoryRates(MOST, clock=clock.monotonic, wall=clock.wall), clock


async def test_what_is_full_again_is_forgotten_as_others_come() -> None:
    rates, clock = store()
    for number in range(MOST // 2):
        await rates.take([Demand(PER_MINUTE, str(number))])
    clock.turn(2)
    for number in range(MOST // 2):
        await rates.take([Demand(PER_MINUTE, f"new {number}")])
    assert len(rates) == MOST // 2


async def test_a_flood_of_addresses_takes_no_more_than_there_is() -> None:
    rates, _ = store()
    for number in range(10 * MOST):
        await rates.take([Demand(PER_MINUTE, str(number)), Demand(DAILY, str(number))])
    assert len(rates) <= MOST
    assert isinstance(await rates.take([Demand(DAILY, str(10 * MOST - 1))]), Refused)


async def test_a_flood_pushes_out_no_slot_that_is_held() -> None:
    rates, _ = store()
    held = await rates.take([Demand(SLOT, "held")])
    assert isinstance(held, Granted)
    for number in range(10 * MOST):
        await rates.take([Demand(PER_MINUTE, str(number))])
    assert isinstance(await rates.take([Demand(SLOT, "held")]), Refused)
    await rates.give(held)
    assert isinstance(await rates.take([Demand(SLOT, "held")]), Granted)


async def test_a_wall_clock_that_is_set_changes_no_rate() -> None:
    rates, clock = store()
    wall = [0.0]
    rates = MemoryRates(clock=clock.monotonic, wall=lambda: wall[0])
    two = [Demand(PER_MINUTE, "a", 2)]
    assert isinstance(await rates.take(two), Granted)
    for wall[0] in (1e9, 0.0, 86_400.0):
        assert isinstance(await rates.take(two), Refused)
    clock.turn(2)
    assert isinstance(await rates.take(two), Granted)


def test_a_router_without_a_redis_does_not_load_the_library_for_it() -> None:
    code = (
        "import sys; from router.accounts.rates import in_memory; in_memory(); "
        "print({'redis', 'hiredis'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == b"set()\n"
