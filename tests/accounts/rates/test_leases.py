"""A slot on the shared store is a lease: it lasts as long as its holder, and no longer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap

import msgspec

from router.accounts.rates import (
    AtOnce,
    Demand,
    Granted,
    PerDay,
    PerMinute,
    Rates,
    Refused,
    in_redis,
)
from router.testing.watch import becomes
from tests.support.process import ROOT
from tests.support.redis import RedisServer

LEASE_S = 1.0
SLOT = Demand(AtOnce(scope="key", limit=2), "k")
RATE = Demand(PerMinute(scope="key", measure="requests", limit=60), "k")
DAILY = Demand(PerDay(scope="key", measure="credits", limit=100), "k", 7)

HOLDER = """
    import asyncio, sys
    from router.accounts.rates import AtOnce, Demand, in_redis

    async def hold():
        async with in_redis(sys.argv[1], prefix=sys.argv[2], lease_s=float(sys.argv[3])) as rates:
            for _ in range(2):
                await rates.take([Demand(AtOnce(scope="key", limit=2), "k")])
            print("held", flush=True)
            await asyncio.sleep(60)

    asyncio.run(hold())
"""


async def test_the_slots_of_a_process_that_is_killed_are_free_after_the_lease(
    redis: RedisServer,
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), redis.url, "killed", str(LEASE_S)]
    holder = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        async with in_redis(redis.url, prefix="killed", lease_s=LEASE_S) as rates:
            await asyncio.sleep(LEASE_S * 1.5)
            assert isinstance(await rates.take([SLOT]), Refused), "it is alive, and renews them"
            holder.kill()
            loop = asyncio.get_running_loop()
            began, end = loop.time(), loop.time() + LEASE_S + 5
            while isinstance(await rates.take([SLOT]), Refused):
                assert loop.time() < end, "a dead process keeps its slots"
                await asyncio.sleep(0.05)
            assert loop.time() - began > LEASE_S / 2, "they were free before their lease was over"
    finally:
        if holder.returncode is None:
            holder.kill()
        await holder.wait()


async def test_a_router_that_ends_gives_back_what_it_holds(redis: RedisServer) -> None:
    async with in_redis(redis.url, prefix="ended") as rates:
        for _ in range(2):
            assert isinstance(await rates.take([SLOT]), Granted)
    async with in_redis(redis.url, prefix="ended") as rates:
        for _ in range(2):
            assert isinstance(await rates.take([SLOT]), Granted)


async def test_who_leaves_while_asking_has_taken_nothing(redis: RedisServer) -> None:
    """Wherever in its way the question is when its task is cancelled."""
    demands = (SLOT, RATE, DAILY)
    async with in_redis(redis.url, prefix="left") as rates:
        for turns in range(60):
            task = asyncio.create_task(rates.take(demands))
            for _ in range(turns % 15):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and isinstance(left := task.result(), Granted):
                await rates.refund(left)
        look = [msgspec.structs.replace(one, amount=0) for one in demands]
        for _ in range(2):  # what takes it back is under way in the pipeline after the next
            found = await rates.take(look)
        assert [one.remaining for one in found.standings] == [2, 60, 100]


async def test_who_leaves_in_the_moment_of_the_answer_has_taken_nothing(
    redis: RedisServer,
) -> None:
    async with in_redis(redis.url, prefix="moment") as rates:
        tasks: list[asyncio.Task[object]] = []

        async def first() -> None:
            await rates.take([RATE])
            tasks[1].cancel()  # its answer came with ours, and it has not woken up yet

        tasks += [asyncio.create_task(first()), asyncio.create_task(_take(rates, SLOT, RATE))]
        await asyncio.wait(tasks)
        assert tasks[1].cancelled()
        for _ in range(2):
            found = await rates.take(
                [msgspec.structs.replace(one, amount=0) for one in (SLOT, RATE)]
            )
        assert [one.remaining for one in found.standings] == [2, 59]


async def _take(rates: Rates, *demands: Demand) -> None:
    await rates.take(demands)


async def test_everything_in_the_store_has_the_prefix_one_hash_tag_and_an_end(
    redis: RedisServer,
) -> None:
    async with in_redis(redis.url, prefix="tidy") as rates:
        await rates.take([SLOT, RATE, DAILY])
        names = [word for word in redis.ask("KEYS", "tidy*").split(b"\r\n") if b"tidy" in word]
        assert len(names) == 4, "three counters, and the sign of life"
        for name in names:
            assert name.startswith(b"tidy:{rates}:")
            expires_s = int(redis.ask("TTL", name.decode()).strip(b":\r\n"))
            assert 0 < expires_s <= 86_400 + 60


async def test_a_slot_given_back_by_a_task_that_is_cancelled_is_free(redis: RedisServer) -> None:
    async with in_redis(redis.url, prefix="cancelled") as rates:
        for _ in range(5):
            one = await rates.take([SLOT])
            assert isinstance(one, Granted)
            giving = asyncio.create_task(rates.give(one))
            await asyncio.sleep(0)
            giving.cancel()
            await asyncio.wait([giving])
        assert await becomes(lambda: _slots(redis) == 0, 5)


def _slots(redis: RedisServer) -> int:
    key = "cancelled:{rates}:key:speech:speeches:once:k"
    return int(redis.ask("ZCARD", key).strip(b":\r\n"))
