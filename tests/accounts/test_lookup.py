"""What was looked up is kept for a moment, and is never older than that."""

from __future__ import annotations

import asyncio

import pytest

from router.accounts.lookup import Lookup


class Source:
    """Tells how often it was asked; what it answers can be changed, and held back."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: str | None = "first"
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, name: str) -> str | None:
        self.asked += 1
        answer = self.answer
        await self.gate.wait()
        if answer == "broken":
            raise OSError(name)
        return answer


async def test_an_answer_is_kept_for_its_time_and_no_longer() -> None:
    source = Source()
    lookup = Lookup(source.ask, kept_s=0.1, most=10)
    assert [await lookup.find("a") for _ in range(3)] == ["first"] * 3
    source.answer = "second"
    await asyncio.sleep(0.11)
    assert await lookup.find("a") == "second"
    assert source.asked == 2


async def test_what_is_not_there_is_asked_for_every_time() -> None:
    source = Source()
    source.answer = None
    lookup = Lookup(source.ask, kept_s=60, most=10)
    assert [await lookup.find("a") for _ in range(3)] == [None] * 3
    assert source.asked == 3


async def test_no_more_are_kept_than_may_be() -> None:
    source = Source()
    lookup = Lookup(source.ask, kept_s=60, most=2)
    for name in ("a", "b", "c", "b", "c", "a"):
        await lookup.find(name)
    assert source.asked == 4


async def test_an_answer_to_a_question_from_before_is_not_kept_after_forgetting() -> None:
    source = Source()
    lookup = Lookup(source.ask, kept_s=60, most=10)
    source.gate.clear()
    early = asyncio.create_task(lookup.find("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    lookup.forget()
    source.answer = "second"
    source.gate.set()
    assert await early == "first"
    assert await lookup.find("a") == "second"


async def test_who_leaves_takes_nobody_along_and_an_error_is_everybodys() -> None:
    source = Source()
    source.answer = "broken"
    source.gate.clear()
    lookup = Lookup(source.ask, kept_s=60, most=10)
    leaves, stays = (asyncio.create_task(lookup.find("a")) for _ in range(2))
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.sleep(0)
    source.gate.set()
    with pytest.raises(OSError, match="a"):
        await stays
    assert leaves.cancelled()
    assert source.asked == 1
    source.answer = "well again"
    assert await lookup.find("a") == "well again"
