"""Changes of many are written by one task: together, in order, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from router.contract.provider import Secret
from router.store import writer as writers
from router.store.databases import Database
from router.store.errors import StoreUnavailable
from router.store.opening import opened
from router.store.writer import Writer, writing
from router.testing.watch import becomes
from tests.store.test_databases import both
from tests.support.postgres import Postgres

Answer = TypeVar("Answer")

NOTES = sa.Table(
    "notes",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("of", sa.Integer),
)


class Spy:
    """A database that counts its transactions, and fails while it is told to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.transactions = 0
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, work: Callable[[sa.Connection], Answer]) -> Answer:
        await self.gate.wait()
        self.transactions += 1
        if self.is_down:
            raise OperationalError("", None, Exception("the line broke"))
        return await self._database.run(work)

    async def close(self) -> None:
        """Whoever made it closes it."""


def note(connection: sa.Connection, numbers: Sequence[int]) -> list[int | Exception]:
    """Write numbers down; one below zero is refused, one above 1,000 makes it all fail."""
    connection.execute(sa.insert(NOTES), [{"of": number} for number in numbers if number >= 0])
    if any(number > 1_000 for number in numbers):
        connection.execute(sa.text("SELECT no_such_column FROM notes"))
    return [number if number >= 0 else ValueError(number) for number in numbers]


def undone(connection: sa.Connection, numbers: Sequence[int]) -> list[int]:
    connection.execute(sa.insert(NOTES), [{"of": number} for number in numbers])
    return list(numbers)


def noted(connection: sa.Connection) -> list[int]:
    return list(connection.scalars(sa.select(NOTES.c.of).order_by(NOTES.c.id)))


@asynccontextmanager
async def at_work(url: Secret) -> AsyncIterator[tuple[Writer, Spy, Database]]:
    async with both(url) as (write, read):
        await write.run(NOTES.create)
        spy = Spy(write)
        async with writing(spy) as writer:
            yield writer, spy, read


async def test_what_queues_while_another_commits_goes_together(store_url: Secret) -> None:
    async with at_work(store_url) as (writer, spy, read):
        answers = await asyncio.gather(*(writer.write(note, number) for number in range(200)))
        assert answers == list(range(200))
        assert spy.transactions <= 2
        assert await read.run(noted) == list(range(200))


async def test_who_is_refused_hears_it_and_the_others_are_written(store_url: Secret) -> None:
    async with at_work(store_url) as (writer, _, read):
        good, bad = writer.write(note, 1), writer.write(note, -1)
        assert await good == 1
        with pytest.raises(ValueError, match="-1"):
            await bad
        assert await read.run(noted) == [1]


async def test_a_change_that_cannot_be_made_fails_alone(store_url: Secret) -> None:
    async with at_work(store_url) as (writer, _, read):
        changes = [writer.write(note, number) for number in (1, 2_000, 2)]
        ends = await asyncio.gather(*changes, return_exceptions=True)
        assert ends[0] == 1
        assert isinstance(ends[1], Exception)
        assert ends[2] == 2
        assert await read.run(noted) == [1, 2]


async def test_a_change_waits_for_a_store_that_comes_back(store_url: Secret) -> None:
    async with at_work(store_url) as (writer, spy, read):
        spy.is_down = True
        change = writer.write(note, 1)
        assert await becomes(lambda: spy.transactions >= 2, 5)
        spy.is_down = False
        assert await change == 1
        assert await read.run(noted) == [1]


async def test_patience_ends_and_only_what_must_be_is_still_made(
    store_url: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "PATIENCE_S", 0.2)
    async with at_work(store_url) as (writer, spy, read):
        spy.is_down = True
        may, must = writer.write(note, 1), writer.write(note, 2, must=True)
        for change in (may, must):
            with pytest.raises(StoreUnavailable):
                await change
        spy.is_down = False
        monkeypatch.undo()
        assert await writer.write(note, 3) == 3
        assert await read.run(noted) == [2, 3]


async def test_who_leaves_before_the_work_begins_takes_the_change_along(
    store_url: Secret,
) -> None:
    async with at_work(store_url) as (writer, spy, read):
        spy.gate.clear()
        first = writer.write(note, 1)
        await asyncio.sleep(0)
        may, must = writer.write(note, 2), writer.write(note, 3, must=True)
        may.cancel()
        must.cancel()
        spy.gate.set()
        assert await first == 1
        assert await writer.write(note, 4) == 4
        assert await read.run(noted) == [1, 3, 4]


async def test_who_leaves_while_the_work_is_done_has_it_undone_after(store_url: Secret) -> None:
    async with at_work(store_url) as (writer, spy, read):
        spy.gate.clear()
        left, stays = writer.write(undone, 1, undo=-1), writer.write(undone, 2, undo=-2)
        await asyncio.sleep(0)
        left.cancel()
        later = writer.write(undone, 3, undo=-3)
        later.cancel()  # before it was begun: there is nothing to undo
        spy.gate.set()
        assert await stays == 2
        assert await writer.write(undone, 4) == 4
        assert sorted(await read.run(noted)) == [-1, 1, 2, 4]


async def test_what_may_have_been_made_is_undone_when_patience_ends(
    store_url: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "PATIENCE_S", 0.2)
    async with at_work(store_url) as (writer, spy, read):
        spy.is_down = True
        begun = writer.write(undone, 1, undo=-1)
        await asyncio.sleep(0)
        queued = writer.write(undone, 2, undo=-2)
        for change in (begun, queued):
            with pytest.raises(StoreUnavailable):
                await change
        spy.is_down = False
        monkeypatch.undo()
        assert await writer.write(undone, 3) == 3
        assert sorted(await read.run(noted)) == [-1, 3]


async def test_the_queue_has_an_end_save_for_what_must_be(
    store_url: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "QUEUE", 3)
    async with at_work(store_url) as (writer, spy, _):
        spy.gate.clear()
        first = writer.write(note, 0)
        await asyncio.sleep(0)
        queued = [writer.write(note, number) for number in (1, 2, 3)]
        with pytest.raises(StoreUnavailable):
            await writer.write(note, 4)
        queued.append(writer.write(note, 5, must=True))
        spy.gate.set()
        assert await asyncio.gather(first, *queued) == [0, 1, 2, 3, 5]


async def test_what_is_queued_at_the_end_is_written(store_url: Secret) -> None:
    async with both(store_url) as (write, read):
        await write.run(NOTES.create)
        async with writing(write) as writer:
            changes = [writer.write(note, number) for number in range(600)]
        assert await read.run(noted) == list(range(600))
        assert all(change.done() for change in changes)
        with pytest.raises(StoreUnavailable):
            await writer.write(note, 1)


async def test_changes_and_questions_wait_for_a_server_that_restarts(
    postgres_server: Postgres,
) -> None:
    url = Secret(await asyncio.to_thread(postgres_server.emptied))
    async with both(url) as (write, _):
        await write.run(NOTES.create)
    async with opened(url) as store:
        await store.write(note, 1)
        assert await store.read(noted) == [1]
        restart = asyncio.create_task(asyncio.to_thread(postgres_server.crash))
        for number in range(2, 40):
            assert await store.write(note, number) == number
            assert len(await store.read(noted)) == number
            await asyncio.sleep(0.01)
        await restart
        assert await store.write(note, 40) == 40
        assert await store.read(noted) == list(range(1, 41))
