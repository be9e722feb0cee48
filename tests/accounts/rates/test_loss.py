"""A shared store that is lost: nobody waits for it, what holds meanwhile is known, and it comes
back by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from router.accounts.rates import (
    AtOnce,
    Demand,
    Granted,
    OnLoss,
    PerMinute,
    Rates,
    RatesLost,
    Refused,
    StoreState,
    in_redis,
)
from router.contract.errors import Overloaded
from router.testing.watch import becomes
from tests.support.redis import BINARY, NO_REDIS, RedisServer, redis_server

PER_MINUTE = PerMinute(scope="key", measure="requests", limit=60, burst=10)
SLOTS = AtOnce(scope="key", limit=2)
ONE = (Demand(PER_MINUTE, "k"),)
BOUND_S = 0.4
SLACK_S = 0.6
"""What a busy machine may add to a bound."""
BACK_S = 10.0


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that this test may hurt."""
    if BINARY is None:
        pytest.skip(NO_REDIS)
    with redis_server() as server:
        yield server


def opened(
    server: RedisServer, on_loss: OnLoss, heard: list[StoreState] | None = None
) -> AbstractAsyncContextManager[Rates]:
    return in_redis(
        server.url,
        on_loss=on_loss,
        timeout_s=BOUND_S,
        lease_s=4,
        changed=(heard if heard is not None else []).append,
    )


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds + SLACK_S


async def test_closed_nobody_passes_until_it_is_back(own: RedisServer) -> None:
    heard: list[StoreState] = []
    async with opened(own, "closed", heard) as rates:
        assert isinstance(await rates.take(ONE), Granted)
        own.kill()
        for _ in range(3):
            with pytest.raises(RatesLost) as told:
                await rates.take(ONE)
            assert isinstance(told.value, Overloaded), "a 503 with Retry-After"
            assert told.value.retry_after == 1
        assert rates.state == StoreState("redis", "closed", is_lost=True, losses=1)
        assert not rates.state.is_serving
        own.start()
        assert await becomes(lambda: rates.state.is_serving, BACK_S)
        assert isinstance(await rates.take(ONE), Granted)
    assert [state.is_lost for state in heard] == [True, False]


async def test_open_this_process_limits_by_itself_and_knows_what_it_has_let_through(
    own: RedisServer,
) -> None:
    async with opened(own, "open") as rates:
        for _ in range(4):
            assert isinstance(await rates.take(ONE), Granted)
        own.kill()
        verdicts = [await rates.take(ONE) for _ in range(8)]
        assert [isinstance(one, Granted) for one in verdicts] == [True] * 6 + [False] * 2
        assert isinstance(verdicts[-1], Refused)
        assert rates.state.is_lost
        assert rates.state.is_serving
        own.start()
        assert await becomes(lambda: not rates.state.is_lost, BACK_S)
        assert isinstance(await rates.take(ONE), Granted)


async def test_a_store_that_hangs_keeps_nobody_longer_than_the_bound(own: RedisServer) -> None:
    async with opened(own, "closed") as rates:
        await rates.take(ONE)
        own.freeze()
        async with within(BOUND_S):
            found = await asyncio.gather(
                *(rates.take(ONE) for _ in range(50)), return_exceptions=True
            )
        assert all(isinstance(one, RatesLost) for one in found)
        async with within(0):
            with pytest.raises(RatesLost):
                await rates.take(ONE)
        own.thaw()
        assert await becomes(lambda: not rates.state.is_lost, BACK_S)


async def test_giving_back_to_a_store_that_hangs_is_bounded_and_never_fails(
    own: RedisServer,
) -> None:
    async with opened(own, "closed") as rates:
        one = await rates.take([Demand(SLOTS, "k"), *ONE])
        other = await rates.take([Demand(SLOTS, "k"), *ONE])
        assert isinstance(one, Granted)
        assert isinstance(other, Granted)
        own.freeze()
        async with within(BOUND_S):
            await rates.give(one)
        async with within(0):
            await rates.refund(other)
        own.thaw()


async def test_a_server_that_is_not_there_yet_is_a_lost_one(own: RedisServer) -> None:
    own.kill()
    async with opened(own, "closed") as rates:
        assert rates.state.is_lost
        own.start()
        assert await becomes(lambda: not rates.state.is_lost, BACK_S)
        assert isinstance(await rates.take(ONE), Granted)


async def test_a_server_that_was_told_to_forget_its_scripts_is_told_again(own: RedisServer) -> None:
    async with opened(own, "closed") as rates:
        await rates.take(ONE)
        own.ask("SCRIPT", "FLUSH")
        found = await asyncio.gather(*(rates.take(ONE) for _ in range(20)))
        assert sum(isinstance(one, Granted) for one in found) == 9
        assert rates.state.losses == 0


async def test_a_store_that_answers_and_cannot_write_is_lost(own: RedisServer) -> None:
    async with opened(own, "closed") as rates:
        own.ask("CONFIG", "SET", "min-replicas-to-write", "1")
        with pytest.raises(RatesLost):
            await rates.take(ONE)
        await asyncio.sleep(0.2)
        assert rates.state.is_lost, "an answer to a mere question is not enough"
        own.ask("CONFIG", "SET", "min-replicas-to-write", "0")
        assert await becomes(lambda: not rates.state.is_lost, BACK_S)


async def test_slots_that_are_held_outlive_the_loss(own: RedisServer) -> None:
    """Taken before it or during it: when the store is back, with its memory empty, they count."""
    slot = [Demand(SLOTS, "k")]
    async with opened(own, "open") as rates, opened(own, "open") as other:
        before = await rates.take(slot)
        assert isinstance(before, Granted)
        own.kill()
        during = await rates.take(slot)
        assert isinstance(during, Granted)
        assert isinstance(await rates.take(slot), Refused), "this process holds two"
        own.start()
        assert await becomes(lambda: not rates.state.is_lost, BACK_S)
        assert isinstance(await rates.take(slot), Refused)
        await other.take(ONE)
        assert await becomes(lambda: not other.state.is_lost, BACK_S)
        assert isinstance(await other.take(slot), Refused), "and the others know"
        await rates.give(during)
        assert isinstance(await other.take(slot), Granted)


async def test_nothing_is_left_when_it_is_closed_while_lost(own: RedisServer) -> None:
    before = len(asyncio.all_tasks())
    async with opened(own, "closed") as rates:
        own.kill()
        with pytest.raises(RatesLost):
            await rates.take(ONE)
    assert len(asyncio.all_tasks()) == before
