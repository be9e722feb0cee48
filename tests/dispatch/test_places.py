"""Places: never more than there are, first come first served, and none is ever lost."""

from __future__ import annotations

import asyncio
import random
from collections import deque

import pytest

from router.contract.speech import Priority
from router.dispatch.limits import Full, Hold, Places

PRIORITIES: tuple[Priority, ...] = ("live", "live", "batch")


async def settled() -> None:
    """Let everybody who can go on go on."""
    for _ in range(4):
        await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(60))
async def test_no_place_is_lost_or_given_twice_however_people_come_and_go(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.randint(1, 3)
    places = Places(size, queue=4)
    holds: list[Hold] = []
    turned_away = 0
    coming: deque[asyncio.Task[Hold]] = deque()

    def sort_out() -> None:
        nonlocal turned_away
        for task in [task for task in coming if task.done()]:
            coming.remove(task)
            if task.cancelled():
                continue
            error = task.exception()
            if error is None:
                holds.append(task.result())
            else:
                assert isinstance(error, Full), error
                turned_away += 1

    for _ in range(120):
        act = chance.random()
        if act < 0.4:
            priority = chance.choice(PRIORITIES)
            take = places.take(chance.choice([0, 60]), priority=priority)
            coming.append(asyncio.create_task(take))
        elif act < 0.65 and holds:
            holds.pop(chance.randrange(len(holds))).release()
        elif act < 0.9 and coming:
            chance.choice(coming).cancel()
        else:
            await settled()
        if chance.random() < 0.5:  # else several things happen in one turn of the loop
            await settled()
        sort_out()
        assert len(holds) <= size
        assert 0 <= places.free <= size
    while coming or holds:
        await settled()
        sort_out()
        while holds:
            holds.pop().release()
    assert places.free == size
    assert places.waiting == 0
    assert turned_away or seed


async def test_a_place_that_is_given_while_its_taker_leaves_goes_to_the_next() -> None:
    places = Places(1, queue=2)
    hold = await places.take(0)
    first, second = (asyncio.create_task(places.take(60)) for _ in range(2))
    await settled()
    hold.release()
    first.cancel()  # in the very turn in which it was given the place
    await settled()
    assert first.cancelled()
    (await second).release()
    assert places.free == 1


async def test_a_waiter_who_leaves_in_the_turn_of_a_release_is_simply_gone() -> None:
    places = Places(1, queue=2)
    hold = await places.take(0)
    waiter = asyncio.create_task(places.take(60))
    await settled()
    waiter.cancel()  # first the waiter leaves …
    hold.release()  # … and then, before it has run again, the place becomes free
    await asyncio.gather(waiter, return_exceptions=True)
    assert waiter.cancelled()
    assert places.free == 1


async def test_places_are_given_in_the_order_of_coming() -> None:
    places = Places(1, queue=10)
    hold = await places.take(0)
    order: list[int] = []

    async def come(number: int) -> None:
        own = await places.take(60)
        order.append(number)
        own.release()

    tasks = [asyncio.create_task(come(number)) for number in range(10)]
    await settled()
    assert places.waiting == 10
    hold.release()
    await asyncio.gather(*tasks)
    assert order == list(range(10))


async def test_nobody_waits_longer_than_the_patience_or_in_a_full_queue() -> None:
    places = Places(1, queue=1)
    hold = await places.take(0)
    with pytest.raises(Full):
        await places.take(0)
    with pytest.raises(Full):
        await places.take(0.01)
    assert places.waiting == 0
    waiter = asyncio.create_task(places.take(60))
    await settled()
    with pytest.raises(Full):
        await places.take(60)
    hold.release()
    (await waiter).release()


async def test_letting_go_twice_gives_one_place_back() -> None:
    places = Places(2, queue=0)
    hold = await places.take(0)
    hold.release()
    hold.release()
    assert places.free == 2


# ---- what is expected


async def test_who_needs_little_overtakes_who_needs_much() -> None:
    places = Places(1, queue=10)
    hold = await places.take(0, size_s=1)
    order: list[str] = []

    async def come(name: str, size_s: float) -> None:
        own = await places.take(1_000, size_s)
        order.append(name)
        own.release()

    sizes = {"book": 300.0, "page": 20.0, "word": 0.5, "line": 2.0}
    tasks = [asyncio.create_task(come(name, size)) for name, size in sizes.items()]
    await settled()
    hold.release()
    await asyncio.gather(*tasks)
    assert order == ["word", "line", "page", "book"]


async def test_who_needs_much_is_not_overtaken_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("router.dispatch.limits._now", lambda: clock[0])
    places = Places(1, queue=50)
    hold = await places.take(0)
    book = asyncio.create_task(places.take(60, size_s=10))
    await settled()
    before = 0
    while not book.done():
        word = asyncio.create_task(places.take(60, size_s=1))
        await settled()
        hold.release()
        await settled()
        if not book.done():
            hold = await word
            before += 1
            clock[0] += 1
        else:
            word.cancel()
    assert before in (9, 10), "one for each second that it needs more"


async def test_the_wait_is_told_before_anybody_waits() -> None:
    places = Places(2, queue=10)
    holds = [await places.take(0, size_s=10), await places.take(0, size_s=4)]
    assert places.wait_s() == pytest.approx(4, abs=0.1)
    waiting = asyncio.create_task(places.take(60, size_s=2))
    await settled()
    assert places.wait_s(size_s=30) == pytest.approx(6, abs=0.1)
    assert places.wait_s(size_s=1) == pytest.approx(4, abs=0.1)
    with pytest.raises(Full) as caught:
        await places.take(3, size_s=30)  # at once: it would be in vain
    assert caught.value.wait_s == pytest.approx(6, abs=0.1)
    holds[1].release()
    (await waiting).release()
    assert places.wait_s() == 0


async def test_what_is_overdue_is_expected_at_any_moment() -> None:
    places = Places(1, queue=1)
    hold = await places.take(0, size_s=0.0)
    assert places.wait_s() == pytest.approx(0, abs=0.01)
    waiting = asyncio.create_task(places.take(60))
    await settled()
    hold.release()
    (await waiting).release()


# ---- jobs go behind those who listen


async def test_jobs_never_take_the_last_of_several_places() -> None:
    places = Places(3, queue=3)
    for _ in range(2):
        await places.take(0, priority="batch")
    with pytest.raises(Full):
        await places.take(0, priority="batch")

    (await places.take(0)).release()

    assert places.free == 1


async def test_a_job_may_have_the_only_place() -> None:
    places = Places(1, queue=1)

    (await places.take(0, priority="batch")).release()

    assert places.free == 1


async def test_a_job_waits_while_anybody_waits_who_listens() -> None:
    places = Places(1, queue=10)
    hold = await places.take(0)
    order: list[str] = []

    async def come(name: str, priority: Priority) -> None:
        own = await places.take(60, priority=priority)
        order.append(name)
        own.release()

    tasks = []
    for name, priority in (("job", "batch"), ("one", "live"), ("other", "live")):
        tasks.append(asyncio.create_task(come(name, priority)))  # type: ignore[arg-type]  # a word of it
        await settled()
    hold.release()
    await asyncio.gather(*tasks)
    assert order == ["one", "other", "job"]


async def test_who_listens_passes_jobs_that_wait_for_a_place_but_the_last() -> None:
    places = Places(2, queue=2)
    job = await places.take(0, priority="batch")
    waiting = asyncio.create_task(places.take(60, priority="batch"))
    await settled()
    assert not waiting.done()

    live = await places.take(0)

    job.release()
    await settled()
    assert not waiting.done()  # the free one is the last
    live.release()
    (await waiting).release()
    assert places.free == 2


async def test_jobs_that_wait_take_nobodys_place_in_the_queue() -> None:
    places = Places(1, queue=1)
    hold = await places.take(0)
    job = asyncio.create_task(places.take(60, priority="batch"))
    await settled()
    live = asyncio.create_task(places.take(60))
    await settled()
    with pytest.raises(Full):
        await places.take(60, priority="batch")

    hold.release()
    (await live).release()
    (await job).release()
