"""The books: no balance below zero, nobody charged twice, and what was set aside comes back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from router.accounts import upkeep
from router.accounts.books import StoredBooks
from router.accounts.errors import NotEnough, UnknownAccount
from router.accounts.ledger import Ledger, Reservation, Spoken, named, once_of
from router.accounts.opening import opened
from router.accounts.price import MOST_NANO
from router.accounts.usage import UsageQuery
from router.contract.errors import IdempotencyConflict
from router.contract.provider import Secret
from router.store.schema import metadata, paid
from tests.store.test_databases import both

SECRET = Secret("the secret of this installation")
SPOKEN = Spoken(model="nano", provider="here", characters=10, audio_ms=900)
ME = "key_me"


@asynccontextmanager
async def having(url: Secret, nano: int) -> AsyncIterator[Ledger]:
    """The books, with so much on one account."""
    async with opened(url, SECRET) as accounts:
        await accounts.ledger.top_up(ME, nano, request="first")
        yield accounts.ledger


def books_of(ledger: Ledger) -> StoredBooks:
    books = ledger._books
    assert isinstance(books, StoredBooks)
    return books


async def told(ledger: Ledger) -> list[tuple[str, int, int]]:
    """The rows of the account in their order."""
    entries = await ledger.entries(ME)
    return [(entry.kind, entry.amount_nano, entry.charged_nano) for entry in reversed(entries)]


async def test_a_speech_is_reserved_settled_and_the_rest_comes_back(store_url: Secret) -> None:
    async with having(store_url, 1_000) as ledger:
        reserved = await ledger.reserve(ME, named("r"), 400)
        assert (reserved.amount_nano, reserved.balance_nano) == (400, 600)
        assert await ledger.balance(ME) == 600
        settled = await ledger.settle(reserved, 150, SPOKEN)
        assert (settled.charged_nano, settled.balance_nano) == (150, 850)
        assert await ledger.balance(ME) == 850
        rows = [("top_up", 1_000, 0), ("reserve", -400, 0), ("settle", 250, 150)]
        assert await told(ledger) == rows


async def test_what_was_not_heard_costs_nothing(store_url: Secret) -> None:
    async with having(store_url, 1_000) as ledger:
        reserved = await ledger.reserve(ME, named("r"), 400)
        ended = await ledger.release(reserved)
        assert (ended.charged_nano, ended.balance_nano) == (0, 1_000)
        assert (await told(ledger))[1:] == [("reserve", -400, 0), ("release", 400, 0)]


async def test_who_has_not_enough_is_told_how_much_and_nothing_is_taken(
    store_url: Secret,
) -> None:
    async with having(store_url, 1_500_000_000) as ledger:
        with pytest.raises(NotEnough, match=r"2 credits; 1\.5 are left") as caught:
            await ledger.reserve(ME, named("r"), 2_000_000_000)
        assert caught.value.required_nano == 2_000_000_000
        assert caught.value.balance_nano == 1_500_000_000
        assert await told(ledger) == [("top_up", 1_500_000_000, 0)]


async def test_who_is_not_metered_has_no_account(store_url: Secret) -> None:
    async with having(store_url, 0) as ledger:
        assert await ledger.balance("nobody") is None
        with pytest.raises(UnknownAccount):
            await ledger.reserve("nobody", named("r"), 1)
        assert await ledger.balance(ME) == 0


async def test_however_many_race_the_balance_stays_above_zero(store_url: Secret) -> None:
    async with (
        having(store_url, 1_000) as here,
        opened(store_url, SECRET) as second,
        opened(store_url, SECRET) as third,
    ):
        ledgers = [here, second.ledger, third.ledger]
        asked = [ledger.reserve(ME, named("r"), 30) for ledger in ledgers for _ in range(40)]
        ends = await asyncio.gather(*asked, return_exceptions=True)
        given = [end for end in ends if isinstance(end, Reservation)]
        assert len(given) == 33
        assert all(isinstance(end, NotEnough) for end in ends if end not in given)
        assert min(end.balance_nano for end in given) == 10
        assert await here.balance(ME) == 10


async def test_repeating_changes_nothing_and_answers_the_same(store_url: Secret) -> None:
    async with having(store_url, 1_000) as ledger:
        request = named("r")
        for _ in range(2):
            assert await ledger.top_up(ME, 500, request="second") == 1_500
        first, again = [await ledger.reserve(ME, request, 400) for _ in range(2)]
        assert first == again
        for cost in (150, 150, 399):
            assert (await ledger.settle(first, cost, SPOKEN)).charged_nano == 150
        ended = await ledger.release(first)
        assert (ended.charged_nano, ended.balance_nano) == (150, 1_350)


async def test_a_cost_above_the_reservation_takes_what_is_there_and_no_more(
    store_url: Secret,
) -> None:
    async with having(store_url, 1_000) as ledger:
        reserved = await ledger.reserve(ME, named("r"), 400)
        assert (await ledger.settle(reserved, 700, SPOKEN)).balance_nano == 300
        reserved = await ledger.reserve(ME, named("r"), 100)
        ended = await ledger.settle(reserved, 5_000, SPOKEN)
        assert (ended.charged_nano, ended.balance_nano) == (300, 0)


async def test_an_idempotency_key_is_charged_once_however_its_requests_overlap(
    store_url: Secret,
) -> None:
    async with having(store_url, 10_000) as ledger:
        once = once_of("retry-1", b"the body")
        both_now = [await ledger.reserve(ME, named("r"), 100, once=once) for _ in range(2)]
        ends = await asyncio.gather(*(ledger.settle(one, 80, SPOKEN) for one in both_now))
        assert sorted(end.charged_nano for end in ends) == [0, 80]
        later = await ledger.reserve(ME, named("r"), 100, once=once)
        assert later.amount_nano == 0
        assert (await ledger.settle(later, 80, SPOKEN)).charged_nano == 0
        assert await ledger.balance(ME) == 10_000 - 80


async def test_an_idempotency_key_that_was_not_charged_is_still_to_be_paid(
    store_url: Secret,
) -> None:
    async with having(store_url, 1_000) as ledger:
        once = once_of("retry-1", b"the body")
        await ledger.release(await ledger.reserve(ME, named("r"), 100, once=once))
        second = await ledger.reserve(ME, named("r"), 100, once=once)
        assert (await ledger.settle(second, 80, SPOKEN)).charged_nano == 80


async def test_an_idempotency_key_is_the_callers_own(store_url: Secret) -> None:
    async with having(store_url, 1_000) as ledger:
        await ledger.top_up("key_you", 1_000, request="yours")
        for account, body in ((ME, b"one"), ("key_you", b"two")):
            reserved = await ledger.reserve(account, named("r"), 50, once=once_of("same", body))
            assert (await ledger.settle(reserved, 50, SPOKEN)).charged_nano == 50


async def test_a_key_that_paid_for_one_body_stands_for_no_other_in_any_process(
    store_url: Secret,
) -> None:
    first, other = once_of("same", b"one"), once_of("same", b"two")
    async with having(store_url, 100) as here, opened(store_url, SECRET) as there:
        reserved = await here.reserve(ME, named("r"), 50, once=first)
        await here.settle(reserved, 50, SPOKEN)
        for ledger in (here, there.ledger):
            with pytest.raises(IdempotencyConflict):
                await ledger.reserve(ME, named("r"), 1_000, once=other)
            assert (await ledger.reserve(ME, named("r"), 50, once=first)).amount_nano == 0
        assert await here.balance(ME) == 50


async def test_bodies_that_overlap_under_one_key_are_charged_each_and_the_first_keeps_it(
    store_url: Secret,
) -> None:
    first, other = once_of("same", b"one"), once_of("same", b"two")
    async with having(store_url, 1_000) as ledger:
        both_now = [await ledger.reserve(ME, named("r"), 50, once=once) for once in (first, other)]
        for reserved in both_now:
            assert (await ledger.settle(reserved, 50, SPOKEN)).charged_nano == 50
        with pytest.raises(IdempotencyConflict):
            await ledger.reserve(ME, named("r"), 50, once=other)
        assert (await ledger.reserve(ME, named("r"), 50, once=first)).amount_nano == 0


async def test_what_was_paid_before_the_contents_were_kept_beside_the_key_stays_paid(
    store_url: Secret,
) -> None:
    once, other = once_of("same", b"one"), once_of("same", b"two")
    before = {"account": ME, "once": once.contents, "at_ms": time.time_ns() // 1_000_000}
    async with having(store_url, 1_000) as ledger, both(store_url) as (write, _):
        await write.run(lambda found: found.execute(sa.insert(paid), before))
        assert (await ledger.reserve(ME, named("r"), 50, once=once)).amount_nano == 0
        assert (await ledger.reserve(ME, named("r"), 50, once=other)).amount_nano == 50


def test_no_key_and_contents_look_like_others() -> None:
    assert once_of("ab", b"c").contents != once_of("a", b"bc").contents
    assert once_of("ab", b"c").key != once_of("a", b"bc").key


async def test_who_is_cancelled_while_reserving_leaves_nothing_set_aside(
    store_url: Secret,
) -> None:
    dice = random.Random(7)
    async with having(store_url, 100_000) as ledger, both(store_url) as (_, read):
        for _ in range(60):
            asked = asyncio.create_task(ledger.reserve(ME, named("r"), 100))
            await asyncio.sleep(dice.random() / 300)
            asked.cancel()
            try:
                reserved = await asked
            except asyncio.CancelledError:
                continue
            await ledger.release(reserved)
        await ledger.top_up(ME, 0, request="behind the last of them")
        assert await ledger.top_up(ME, 0, request="behind what undoes it") == 100_000
        rows = sa.text("SELECT count(*) FROM reservations")
        assert await read.run(lambda found: found.scalar(rows)) == 0


async def test_what_nobody_awaits_is_settled_nevertheless(store_url: Secret) -> None:
    async with having(store_url, 1_000) as ledger:
        reserved = await ledger.reserve(ME, named("r"), 400)
        ledger.settle(reserved, 150, SPOKEN)
        waiting = asyncio.ensure_future(ledger.count("key_free", named("r"), SPOKEN))
        waiting.cancel()
    async with opened(store_url, SECRET) as accounts:
        assert await accounts.ledger.balance(ME) == 850
        page = await accounts.usage.page(UsageQuery())
        assert {row.account for row in page.rows} == {ME, "key_free"}


async def test_what_a_dead_process_has_set_aside_is_released_and_charged_if_it_lives(
    store_url: Secret,
) -> None:
    async with having(store_url, 1_000) as ledger:
        books = books_of(ledger)
        gone = Ledger(books, "a process that never had a lease")
        reserved = await gone.reserve(ME, named("r"), 400)
        assert await books.sweep() == 1
        assert await ledger.balance(ME) == 1_000
        late = await gone.settle(reserved, 150, SPOKEN)
        assert (late.charged_nano, late.balance_nano) == (150, 850)
        rows = [("reserve", -400, 0), ("release", 400, 0), ("settle", -150, 150)]
        assert (await told(ledger))[1:] == rows
        assert await books.sweep() == 0


async def test_a_sweep_has_no_end_before_the_last_of_them(
    store_url: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.accounts.books.SWEEP", 7)
    async with having(store_url, 1_000) as ledger:
        books = books_of(ledger)
        gone = Ledger(books, "a process that never had a lease")
        await asyncio.gather(*(gone.reserve(ME, named("r"), 10) for _ in range(40)))
        assert await ledger.balance(ME) == 600
        assert await books.sweep() == 40
        assert await ledger.balance(ME) == 1_000


async def test_what_a_living_process_has_set_aside_stays(store_url: Secret) -> None:
    async with having(store_url, 1_000) as ledger, opened(store_url, SECRET) as other:
        await ledger.reserve(ME, named("r"), 400)
        assert await books_of(other.ledger).sweep() == 0
        assert await ledger.balance(ME) == 600


async def test_a_living_process_renews_its_lease(store_url: Secret) -> None:
    until = sa.text("SELECT max(until_ms) FROM holders")
    async with opened(store_url, SECRET, lease_s=0.6), both(store_url) as (_, read):
        first = await read.run(lambda found: found.scalar(until))
        async with asyncio.timeout(20):
            later = first
            while later == first:
                await asyncio.sleep(0.05)
                later = await read.run(lambda found: found.scalar(until))
    assert later > first


async def test_old_rows_are_summed_up_and_the_balance_stays(store_url: Secret) -> None:
    async with having(store_url, 1_000) as ledger, both(store_url) as (_, read):
        for _ in range(3):
            ended = await ledger.reserve(ME, named("r"), 100)
            await ledger.settle(ended, 40, SPOKEN)
            await ledger.release(await ledger.reserve(ME, named("r"), 100))
        open_still = await ledger.reserve(ME, named("r"), 100)
        await ledger.count("key_free", named("r"), SPOKEN)
        assert await books_of(ledger).tidy(keep_days=1) == 0
        assert await books_of(ledger).tidy(keep_days=-1) == 13
        await ledger.settle(open_still, 30, SPOKEN)
        assert await books_of(ledger).tidy(keep_days=-1) == 2
        assert await told(ledger) == [("top_up", 1_000, 0), ("carried", -150, 150)]
        assert await ledger.balance(ME) == 850
        rows = sa.text("SELECT sum(amount_nano) FROM entries WHERE account = 'key_me'")
        assert await read.run(lambda found: found.scalar(rows)) == 850


async def test_what_is_old_is_found_by_an_index(store_url: Secret) -> None:
    """The look for it comes every few seconds: it may not read the whole ledger."""
    async with having(store_url, 0) as ledger, both(store_url) as (write, _):
        await asyncio.gather(*(ledger.count("key_free", named("r"), SPOKEN) for _ in range(1_000)))

        def plan(connection: sa.Connection) -> str:
            old = upkeep._OLD.element.params(keep_ms=1_000)
            query = old.compile(connection.engine, compile_kwargs={"literal_binds": True})
            of_sqlite = connection.dialect.name == "sqlite"
            if not of_sqlite:
                connection.execute(sa.text("ANALYZE entries"))
            how = "EXPLAIN QUERY PLAN" if of_sqlite else "EXPLAIN"
            return str(connection.execute(sa.text(f"{how} {query}")).all())

        found = await write.run(plan)
        assert "entries_by_age" in found
        assert "Seq Scan on entries" not in found


async def test_rows_are_told_in_pages_the_newest_first(store_url: Secret) -> None:
    async with having(store_url, 0) as ledger:
        for number in range(5):
            await ledger.top_up(ME, number, request=f"top-up {number}")
        first = await ledger.entries(ME, limit=4)
        rest = await ledger.entries(ME, before=first[-1].id, limit=4)
        assert [entry.amount_nano for entry in (*first, *rest)] == [4, 3, 2, 1, 0, 0]
        assert await ledger.entries("nobody") == []


@pytest.mark.parametrize("wrong", [-1, MOST_NANO + 1])
async def test_an_amount_that_cannot_be_is_refused(store_url: Secret, wrong: int) -> None:
    async with having(store_url, 10) as ledger:
        with pytest.raises(ValueError, match="between 0"):
            await ledger.top_up(ME, wrong, request="wrong")
        with pytest.raises(ValueError, match="between 0"):
            await ledger.reserve(ME, named("r"), wrong)
        with pytest.raises(ValueError, match="above"):
            await ledger.top_up(ME, MOST_NANO, request="too much")
        assert await ledger.balance(ME) == 10


async def test_names_that_are_too_long_are_refused_before_others_wait_for_them(
    store_url: Secret,
) -> None:
    async with having(store_url, 10) as ledger:
        with pytest.raises(ValueError, match="too long"):
            await ledger.reserve(ME, "r" * 161, 1)
        with pytest.raises(ValueError, match="too long"):
            await ledger.top_up("k" * 65, 1, request="r")
        reserved = await ledger.reserve(ME, named("r" * 128), 1)
        long = Spoken(model="m" * 1_000, provider="p" * 1_000)
        assert (await ledger.settle(reserved, 1, long)).charged_nano == 1


async def test_a_name_belongs_to_the_account_that_used_it_first(store_url: Secret) -> None:
    async with having(store_url, 10) as ledger:
        with pytest.raises(ValueError, match="another account's"):
            await ledger.top_up("key_you", 5, request="first")
        assert await ledger.balance(ME) == 10


async def test_a_name_that_no_store_can_hold_is_nobodys(store_url: Secret) -> None:
    async with having(store_url, 10) as ledger:
        assert await ledger.balance("a\0b") is None
        assert await ledger.entries("a\0b") == []
        with pytest.raises(ValueError, match="zero"):
            await ledger.top_up("a\0b", 5, request="r")


def test_no_table_has_a_column_for_texts() -> None:
    columns = {column.name for table in metadata.tables.values() for column in table.columns}
    assert not columns & {"text", "input", "prompt", "credential", "key"}
