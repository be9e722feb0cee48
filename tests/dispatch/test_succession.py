"""What is current, and what is still held though it no longer is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from router.dispatch.succession import Succession

LONG_S = 60.0


class Stage:
    """What is open, in the order of its opening."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.changed = asyncio.Event()

    @asynccontextmanager
    async def part(self, name: str) -> AsyncIterator[str]:
        if name == "broken":
            raise RuntimeError(name)
        self.open.append(name)
        try:
            yield name
        finally:
            self.open.remove(name)
            self.changed.set()

    async def closes(self) -> list[str]:
        """What is open after the next has closed."""
        async with asyncio.timeout(5):
            await self.changed.wait()
        self.changed.clear()
        return self.open


async def test_whoever_holds_one_keeps_it_and_the_next_comes_to_the_next() -> None:
    stage, succession = Stage(), Succession[str]()
    await succession.follow(stage.part("first"), LONG_S)
    with succession.holding() as held:
        await succession.follow(stage.part("second"), LONG_S)
        with succession.holding() as new:
            assert (held, new, stage.open) == ("first", "second", ["first", "second"])
    assert await stage.closes() == ["second"]
    await succession.aclose()
    assert stage.open == []


async def test_one_that_nobody_holds_is_closed_when_the_next_is_there() -> None:
    stage, succession = Stage(), Succession[str]()
    await succession.follow(stage.part("first"), LONG_S)
    await succession.follow(stage.part("second"), LONG_S)

    assert await stage.closes() == ["second"]
    await succession.aclose()


async def test_one_that_cannot_be_opened_changes_nothing() -> None:
    stage, succession = Stage(), Succession[str]()
    await succession.follow(stage.part("first"), LONG_S)

    with pytest.raises(RuntimeError):
        await succession.follow(stage.part("broken"), LONG_S)

    assert (succession.current, stage.open) == ("first", ["first"])
    await succession.aclose()


async def test_patience_with_those_who_stay_has_an_end() -> None:
    stage, succession = Stage(), Succession[str]()
    await succession.follow(stage.part("first"), LONG_S)
    with succession.holding():
        await succession.follow(stage.part("second"), 0.05)
        assert await stage.closes() == ["second"]
    await succession.aclose()


async def test_the_end_of_all_waits_moments_for_those_who_leave() -> None:
    stage, succession = Stage(), Succession[str]()
    await succession.follow(stage.part("first"), LONG_S)
    with succession.holding():
        end = asyncio.create_task(succession.aclose())
        await asyncio.sleep(0.05)
        assert stage.open == ["first"]
    await end
    assert stage.open == []
