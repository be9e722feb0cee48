"""A piece of work is done whole or not at all, whoever else works on the same store."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from router.contract.provider import Secret
from router.store.databases import Database, databases
from router.store.dialects import now_ms
from router.store.errors import StoreUnusable
from router.store.opening import opened
from tests.support.postgres import Postgres

NUMBER = sa.Table("number", sa.MetaData(), sa.Column("value", sa.BigInteger))


@asynccontextmanager
async def both(url: Secret) -> AsyncIterator[tuple[Database, Database]]:
    write, read = databases(url)
    try:
        yield write, read
    finally:
        await write.close()
        await read.close()


def make(connection: sa.Connection) -> None:
    NUMBER.create(connection)
    connection.execute(sa.insert(NUMBER).values(value=0))


def value(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.select(NUMBER.c.value).with_for_update()) or 0)


def value_seen(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.select(NUMBER.c.value)) or 0)


def count_up(connection: sa.Connection) -> None:
    """The way in which updates are lost, if somebody reads before the lock is taken."""
    connection.execute(sa.update(NUMBER).values(value=value(connection) + 1))


async def test_no_update_is_lost_between_eight_that_read_before_they_write(
    store_url: Secret,
) -> None:
    all_of_them = [databases(store_url) for _ in range(8)]
    await all_of_them[0][0].run(make)

    async def work(write: Database) -> None:
        for _ in range(25):
            await write.run(count_up)

    try:
        await asyncio.gather(*(work(write) for write, _ in all_of_them))
        assert await all_of_them[0][1].run(value_seen) == 200
    finally:
        for write, read in all_of_them:
            await write.close()
            await read.close()


async def test_work_that_fails_leaves_nothing_behind(store_url: Secret) -> None:
    def fail(connection: sa.Connection) -> None:
        count_up(connection)
        raise RuntimeError

    async with both(store_url) as (write, read):
        await write.run(make)
        with pytest.raises(RuntimeError):
            await write.run(fail)
        assert await read.run(value_seen) == 0


async def test_who_reads_can_neither_write_nor_wait_for_who_does(store_url: Secret) -> None:
    async with both(store_url) as (write, read), both(store_url) as (other, _):
        await write.run(make)
        with pytest.raises(DBAPIError):
            await read.run(lambda found: found.execute(sa.update(NUMBER).values(value=1)))
        held, go_on = asyncio.Event(), asyncio.Event()
        writing = asyncio.create_task(other.run(holding(held, go_on)))
        await asyncio.wait_for(held.wait(), 10)
        assert await asyncio.wait_for(read.run(value_seen), 5) == 0
        go_on.set()
        await asyncio.wait_for(writing, 10)
        assert await read.run(value_seen) == 1


def holding(held: asyncio.Event, go_on: asyncio.Event) -> Callable[[sa.Connection], None]:
    """Work that keeps its transaction open until it is told to go on."""
    loop = asyncio.get_running_loop()

    def work(connection: sa.Connection) -> None:
        count_up(connection)
        if connection.dialect.name == "sqlite":  # in a thread
            loop.call_soon_threadsafe(held.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        else:  # in a greenlet of the loop
            held.set()
            sa.util.await_only(go_on.wait())

    return work


async def test_the_stores_clock_is_in_unix_milliseconds(store_url: Secret) -> None:
    async with both(store_url) as (_, read):
        found = await read.run(lambda connection: connection.scalar(sa.select(now_ms())))
    assert found == pytest.approx(time.time() * 1000, abs=5_000)


@pytest.mark.parametrize(
    "url", ["mysql://me:hush@host/db", "hush", "", "sqlite://", "sqlite:///:memory:"]
)
async def test_a_store_of_no_known_kind_is_told_without_its_password(url: str) -> None:
    with pytest.raises(StoreUnusable) as caught:
        databases(Secret(url))
    assert "hush" not in str(caught.value)
    assert "sqlite:///" in str(caught.value)


async def test_the_words_of_a_hosts_address_are_understood(postgres_server: Postgres) -> None:
    address = postgres_server.url().replace("postgresql:", "postgres:")
    async with both(Secret(f"{address}?sslmode=disable")) as (write, _):
        assert await write.run(lambda found: found.scalar(sa.text("SELECT 1"))) == 1


async def test_an_sqlite_store_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "store.db"
    async with opened(Secret(f"sqlite:///{file}")):
        modes = {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == {0o600}


async def test_a_file_that_is_no_store_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Buy milk. " * 1_000)
    began = time.monotonic()
    with pytest.raises(StoreUnusable, match="not a database"):
        async with opened(Secret(f"sqlite:///{file}")):
            pass
    assert time.monotonic() - began < 5


async def test_a_database_that_is_not_there_is_told_at_once(postgres_server: Postgres) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnusable, match="does not exist"):
        async with opened(Secret(postgres_server.url("nowhere"))):
            pass
    assert time.monotonic() - began < 5
