"""Usage is counted by day, key, model and provider, and read in pages."""

from __future__ import annotations

import csv
import io
import time

import pytest

from router.accounts import ledger as ledger_module
from router.accounts.ledger import Spoken, named
from router.accounts.opening import Accounts, opened
from router.accounts.usage import COLUMNS, UsageQuery, UsageRow, csv_of, shown
from router.contract.provider import Secret

SECRET = Secret("the secret of this installation")
DAY_MS = 86_400_000
NOON_MS = 1_763_726_400_000
"""2025-11-21 at noon, in UTC."""


async def speak(
    accounts: Accounts, key: str, model: str, provider: str, *, characters: int, cost: int = 0
) -> None:
    spoken = Spoken(model=model, provider=provider, characters=characters, audio_ms=1_500, tokens=7)
    reserved = await accounts.ledger.reserve(key, named("r"), cost)
    await accounts.ledger.settle(reserved, cost, spoken)


async def test_requests_of_one_day_key_model_and_provider_are_summed_up(
    store_url: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(store_url, SECRET) as accounts:
        await accounts.ledger.top_up("a", 10**9, request="1")
        await accounts.ledger.top_up("b", 10**9, request="2")
        monkeypatch.setattr(ledger_module, "_now_ms", lambda: NOON_MS)
        await speak(accounts, "a", "nano", "here", characters=10, cost=5)
        await speak(accounts, "a", "nano", "here", characters=20, cost=7)
        await speak(accounts, "a", "nano", "there", characters=1)
        await speak(accounts, "b", "nano", "here", characters=2)
        monkeypatch.setattr(ledger_module, "_now_ms", lambda: NOON_MS + DAY_MS // 2)
        await speak(accounts, "a", "nano", "here", characters=3)
        rows = (await accounts.usage.page(UsageQuery())).rows
    found = [(r.day, r.account, r.provider, r.requests, r.characters, r.charged_nano) for r in rows]
    assert found == [
        ("2025-11-21", "a", "here", 2, 30, 12),
        ("2025-11-21", "a", "there", 1, 1, 0),
        ("2025-11-21", "b", "here", 1, 2, 0),
        ("2025-11-22", "a", "here", 1, 3, 0),
    ]
    assert (rows[0].audio_ms, rows[0].tokens) == (3_000, 14)


async def test_what_was_released_is_no_usage_and_what_is_free_is_counted(
    store_url: Secret,
) -> None:
    async with opened(store_url, SECRET) as accounts:
        await accounts.ledger.top_up("a", 100, request="1")
        await accounts.ledger.release(await accounts.ledger.reserve("a", named("r"), 10))
        spoken = Spoken(model="nano", provider="here", characters=4)
        await accounts.ledger.count("free", named("r"), spoken)
        (row,) = (await accounts.usage.page(UsageQuery())).rows
    assert (row.account, row.requests, row.characters, row.charged_nano) == ("free", 1, 4, 0)
    assert row.day == time.strftime("%Y-%m-%d", time.gmtime())


async def test_pages_hold_every_row_once_and_the_last_says_so(store_url: Secret) -> None:
    async with opened(store_url, SECRET) as accounts:
        for key in "abc":
            for model in ("nano", "large"):
                for provider in ("here", "there"):
                    spoken = Spoken(model=model, provider=provider)
                    await accounts.ledger.count(key, named("r"), spoken)
        whole = (await accounts.usage.page(UsageQuery())).rows
        pages, cursor = [], ""
        while True:
            page = await accounts.usage.page(UsageQuery(), cursor=cursor, limit=5)
            pages.append(page.rows)
            if page.next is None:
                break
            cursor = page.next
        assert [len(page) for page in pages] == [5, 5, 2]
        assert [row for page in pages for row in page] == whole
        assert sum([len(page.rows) async for page in accounts.usage.pages(UsageQuery())]) == 12


async def test_rows_are_chosen_by_day_account_model_and_provider(
    store_url: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(store_url, SECRET) as accounts:
        for day in range(3):
            monkeypatch.setattr(ledger_module, "_now_ms", lambda day=day: NOON_MS + day * DAY_MS)
            for key, model in (("a", "nano"), ("b", "large"), ("a'; DROP TABLE usage --", "nano")):
                spoken = Spoken(model=model, provider="here")
                await accounts.ledger.count(key, named("r"), spoken)

        async def count(**chosen: str) -> int:
            return len((await accounts.usage.page(UsageQuery(**chosen))).rows)

        assert await count() == 9
        assert await count(first_day="2025-11-22") == 6
        assert await count(last_day="2025-11-21") == 3
        assert await count(account="a") == 3
        assert await count(model="large", first_day="2025-11-23") == 1
        assert await count(provider="nobody") == 0
        assert await count(provider="a\0b") == 0
        assert await count(account="a'; DROP TABLE usage --") == 3


@pytest.mark.parametrize(
    "cursor", ["x", "W10=", "é", "'; --", "bnVsbA==", "WyJhXHUwMDAwIiwiYiIsImMiLCJkIl0="]
)
async def test_a_cursor_that_is_not_ours_is_refused(store_url: Secret, cursor: str) -> None:
    async with opened(store_url, SECRET) as accounts:
        with pytest.raises(ValueError, match="cursor"):
            await accounts.usage.page(UsageQuery(), cursor=cursor)


def test_rows_are_shown_with_exact_credits_and_read_back_from_csv() -> None:
    row = UsageRow(
        day="2025-11-21",
        account="key_1",
        model='a "model", with signs',
        provider="here",
        requests=2,
        characters=30,
        audio_ms=2_500,
        tokens=0,
        charged_nano=150_000,
    )
    assert tuple(shown(row)) == COLUMNS
    assert shown(row)["credits"] == "0.00015"
    (read,) = csv.DictReader(io.StringIO(csv_of([row])))
    assert read == {name: str(value) for name, value in shown(row).items()}
    assert csv_of([row], head=False).count("\r\n") == 1
