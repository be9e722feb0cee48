"""The outbox: a message is there with what it tells of, taken by one, and never lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping

import pytest
import sqlalchemy as sa

from router.contract.provider import Secret
from router.jobs.webhooks.delivery import Outcome
from router.jobs.webhooks.outbox import (
    Claim,
    End,
    Taken,
    claim,
    drop,
    enqueue,
    finish,
    forget,
    is_due,
    retry,
)
from router.jobs.webhooks.schedule import after, wait_s
from router.store.opening import Store, opened
from router.store.schema import outbox
from tests.jobs.webhooks.messages import found, let_pass, notice, put

DAY_MS = 86_400_000
FINE, BAD = Outcome(ok=True, word=""), Outcome(ok=False, word="http_500")


async def taken(
    store: Store,
    holder: str,
    *,
    most: int = 100,
    of_host: int = 100,
    busy: Mapping[str, int] | None = None,
) -> list[Taken]:
    wanted = Claim(holder=holder, lease_ms=60_000, most=most, of_host=of_host, busy=busy or {})
    return await store.write(claim, wanted)


async def test_a_message_is_there_if_and_only_if_its_transaction_is(store: Store) -> None:
    def ends_and_fails(connection: sa.Connection, asked: object) -> list[None]:
        enqueue(connection, notice("run_1"))
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # it is ours
        await store.write(ends_and_fails, None)
    assert await found(store) == {}
    for _ in range(2):  # a transaction whose commit was not heard of comes again
        await put(store, notice("run_1"))
    assert list(await found(store)) == ["run_1"]


async def test_the_longest_waiting_are_taken_first_and_each_once(store: Store) -> None:
    for number in range(5):
        await put(store, notice(f"run_{number}"))
        await let_pass(store, 1)
    first = await taken(store, "one", most=2)
    second = await taken(store, "two")
    assert [one.job for one in first] == ["run_0", "run_1"]
    assert [one.job for one in second] == ["run_2", "run_3", "run_4"]
    assert {one.attempts for one in first + second} == {1}
    assert not await store.read(is_due)
    assert await taken(store, "three") == []


async def test_a_claim_whose_answer_was_lost_is_answered_again(store: Store) -> None:
    await put(store, notice("run_1"), notice("run_2"))
    first = await taken(store, "one", most=1)
    assert await taken(store, "one", most=1) == first


async def test_no_receiver_takes_all_places(store: Store) -> None:
    many = [notice(f"run_{number}", "https://slow.example/") for number in range(300)]
    await put(store, *many)
    await let_pass(store, 1)
    await put(store, notice("run_other", "https://other.example/"))
    first = await taken(store, "one", of_host=4)
    assert Counter(one.host for one in first) == {"slow.example:443": 4}
    second = await taken(store, "two", of_host=4, busy={"slow.example:443": 4})
    assert [one.job for one in second] == ["run_other"]
    third = await taken(store, "three", of_host=4, busy={"slow.example:443": 3})
    assert len(third) == 1


async def test_processes_that_claim_at_once_take_different_messages(store_url: Secret) -> None:
    async with opened(store_url) as one, opened(store_url) as two, opened(store_url) as three:
        await put(one, *(notice(f"run_{number}") for number in range(60)))
        claims = [
            taken(store, f"{at}.{number}", most=4)
            for number in range(8)
            for at, store in enumerate((one, two, three))
        ]
        jobs = [one.job for some in await asyncio.gather(*claims) for one in some]
        assert len(jobs) == len(set(jobs))
        assert len(jobs) <= 60
        left = [one.job for one in await taken(one, "last")]
        assert sorted(jobs + left) == sorted(f"run_{number}" for number in range(60))


async def test_what_a_dead_process_had_taken_comes_again_and_its_word_counts_no_more(
    store: Store,
) -> None:
    await put(store, notice("run_1"))
    (dead,) = await taken(store, "one")
    await let_pass(store, 59)
    assert await taken(store, "two") == []
    await let_pass(store, 1)
    (again,) = await taken(store, "two")
    assert (again.id, again.attempts) == (dead.id, 2)
    assert await store.write(finish, End(dead, FINE, DAY_MS)) is None
    assert (await found(store))["run_1"].state == "waiting"
    then = await store.write(finish, End(again, FINE, DAY_MS))
    assert then is not None
    assert then.state == "delivered"
    assert await store.write(finish, End(again, BAD, DAY_MS)) is None
    assert (await found(store))["run_1"].state == "delivered"


async def test_what_was_delivered_keeps_neither_address_nor_body(store: Store) -> None:
    await put(store, notice("run_1"))
    (one,) = await taken(store, "one")
    await store.write(finish, End(one, FINE, DAY_MS))
    kept = await store.read(
        lambda connection: connection.execute(sa.select(outbox.c.url, outbox.c.body)).one()
    )
    assert tuple(kept) == ("", b"")


async def test_what_ended_is_forgotten_a_day_later_and_the_dead_after_a_month(
    store: Store,
) -> None:
    await put(store, *(notice(f"run_{number}") for number in range(3)))
    fine, dead, _ = sorted(await taken(store, "one"), key=lambda one: one.job)
    gone = Outcome(ok=False, word="http_410", is_final=True)
    await store.write(finish, End(fine, FINE, DAY_MS))
    await store.write(finish, End(dead, gone, DAY_MS))
    assert await store.write(forget, None) == 0
    await let_pass(store, 86_400)
    assert await store.write(forget, None) == 1
    assert sorted(await found(store)) == ["run_1", "run_2"]
    await let_pass(store, 29 * 86_400)
    assert await store.write(forget, None) == 1
    assert list(await found(store)) == ["run_2"], "what waits is never forgotten"


async def test_the_dead_are_tried_for_another_day_by_somebody_s_wish(store: Store) -> None:
    await put(store, *(notice(f"run_{number}") for number in range(3)))
    one, two, _ = sorted(await taken(store, "one"), key=lambda taken: taken.job)
    await let_pass(store, 86_401)
    for dead in (one, two):
        old = End(dead, BAD, 0)
        then = await store.write(finish, old)
        assert then is not None
        assert then.state == "dead"
    assert await store.write(retry, [one.id, "msg_nobody"]) == [one.id]
    assert (await found(store))["run_0"].attempts == 0
    assert await store.write(retry, None) == [two.id]
    assert {letter.state for letter in (await found(store)).values()} == {"waiting"}
    assert {again.job for again in await taken(store, "two")} >= {"run_0", "run_1"}


async def test_what_is_dropped_is_gone_and_what_was_delivered_is_not_sent_again(
    store: Store,
) -> None:
    await put(store, notice("run_1"), notice("run_2"))
    one, two = sorted(await taken(store, "one"), key=lambda taken: taken.job)
    await store.write(finish, End(one, FINE, DAY_MS))
    assert await store.write(retry, [one.id]) == []
    assert await store.write(drop, None) == []
    assert await store.write(drop, [two.id]) == [two.id]
    assert list(await found(store)) == ["run_1"]


def test_waits_double_from_seconds_to_an_hour_with_half_of_it_by_chance() -> None:
    dice = random.Random(1)
    for attempts, most_s in [(1, 5), (2, 10), (5, 80), (9, 1280), (11, 3600), (500, 3600)]:
        waits = [wait_s(attempts, dice) for _ in range(200)]
        assert most_s / 2 <= min(waits) < most_s * 0.6
        assert most_s * 0.9 < max(waits) <= most_s


def test_the_last_try_is_made_when_the_day_is_over() -> None:
    dice, times = random.Random(1), [0]
    while True:
        attempts, now_ms = len(times), times[-1]
        then = after(BAD, attempts=attempts, now_ms=now_ms, end_ms=DAY_MS, dice=dice)
        if then.state == "dead":
            break
        times.append(then.at_ms)
    assert times[-1] == DAY_MS
    assert 30 <= len(times) <= 60
    assert sum(at < 60_000 for at in times) >= 4, "most trouble is over soon"


def test_who_asks_to_be_left_alone_is() -> None:
    busy = Outcome(ok=False, word="http_429", wait_s=900)
    then = after(busy, attempts=1, now_ms=0, end_ms=DAY_MS, dice=random.Random(1))
    assert (then.state, then.at_ms) == ("waiting", 900_000)
