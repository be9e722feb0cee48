"""A store that does not answer: who asks is kept waiting once, and nobody after that."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest
import sqlalchemy as sa

from router.contract.provider import Secret
from router.store import opening, writer
from router.store.errors import StoreUnavailable
from router.store.opening import opened
from router.testing.watch import becomes
from tests.store.test_writer import at_work, note
from tests.support.postgres import Postgres

PATIENCE_S = 1.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PATIENCE_S", PATIENCE_S)
    monkeypatch.setattr(opening, "PATIENCE_S", PATIENCE_S)


async def test_a_store_is_lost_when_a_change_was_tried_for_longer_than_anybody_waits(
    impatient: None, store_url: Secret
) -> None:
    async with at_work(store_url) as (changes, spy, _):
        assert not changes.is_lost
        spy.is_down = True
        given_up = changes.write(note, 1)
        assert await becomes(lambda: spy.transactions >= 2, 5)
        assert not changes.is_lost, "it may be a restart"
        with pytest.raises(StoreUnavailable):
            await given_up
        assert await becomes(lambda: changes.is_lost, 5)
        spy.is_down = False
        assert await changes.write(note, 2) == 2
        assert not changes.is_lost


async def test_a_store_that_hangs_is_lost_as_well(impatient: None, store_url: Secret) -> None:
    async with at_work(store_url) as (changes, spy, _):
        spy.gate.clear()
        with pytest.raises(StoreUnavailable):
            await changes.write(note, 1)
        assert await becomes(lambda: changes.is_lost, 5)
        spy.gate.set()
        assert await changes.write(note, 2) == 2
        assert not changes.is_lost


async def test_a_change_that_cannot_be_made_is_no_loss(impatient: None, store_url: Secret) -> None:
    async with at_work(store_url) as (changes, _, _read):
        with pytest.raises(sa.exc.SQLAlchemyError):
            await changes.write(note, 2_000)
        await asyncio.sleep(PATIENCE_S)
        assert not changes.is_lost


async def test_of_many_questions_in_vain_one_is_waited_for_at_a_time(
    impatient: None, postgres_server: Postgres
) -> None:
    url = Secret(await asyncio.to_thread(postgres_server.emptied))
    async with opened(url) as store:
        assert await store.read(_one) == 1
        await asyncio.to_thread(postgres_server.stop, signal.SIGQUIT)
        try:
            first = [await _in_vain(store)]
            waits = await asyncio.gather(*(_in_vain(store) for _ in range(5)))
        finally:
            await asyncio.to_thread(postgres_server.start)
        assert [wait_s >= PATIENCE_S for wait_s in (*first, *sorted(waits))] == [
            *(True, False, False, False, False, True)
        ]
        assert await store.read(_one) == 1
        assert await asyncio.gather(*(store.read(_one) for _ in range(5))) == [1] * 5


def _one(line: sa.Connection) -> int | None:
    return line.scalar(sa.select(1))


async def _in_vain(store: opening.Store) -> float:
    """The seconds until it is told that there is no answer."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.read(_one)
    return time.monotonic() - began
