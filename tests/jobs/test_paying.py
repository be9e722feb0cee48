"""Credit is set aside when a job comes in, and settled once, by what was delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from router.accounts.price import NANO
from router.contract.caller import Caller
from router.contract.errors import Broken, Forbidden, OutOfCredit, RateLimited, Refused
from router.contract.provider import Secret
from router.store.schema import accounts, entries, reservations, usage
from router.testing.script import Raise, Script, Tone, in_turn
from router.testing.scripted import Scripted
from tests.jobs.desk import Desk, book, desk, in_store, submission
from tests.support.scripts import NO_REST

KEY = Secret("sk-of-a-caller-0123456789")
POOR = Secret("sk-of-another-0123456789")
PRICED = {"price": {"credits_per_1k_chars": 1.0}}
SPOKEN = Script(speaking=(Tone(0.5),))


@asynccontextmanager
async def paying(
    folder: Path,
    store: Secret,
    *,
    credits: float | None = 10.0,
    limits: Mapping[str, Any] | None = None,
    jobs: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
    **voices: Scripted,
) -> AsyncIterator[Desk]:
    """An office whose callers have keys."""
    keys = {
        "caller": {"key": KEY.reveal(), "credits": credits},
        "poor": {"key": POOR.reveal(), "credits": 0.001},
    }
    config = {
        "accounts": {"store": store.reveal(), "keys": keys, "limits": limits or {}},
        "server": {"secret": "one-for-all-tests"},
        "model": {**PRICED, **(model or {})},
        "jobs": jobs or {},
        "outlook": NO_REST,
        "timeouts": {"retry_pause_s": 0},
    }
    async with desk(folder, config, **voices) as at:
        at.caller = await at.speaker.gate.identify(KEY, "192.0.2.1")
        yield at


class Books:
    """What is in the books of a store."""

    def __init__(self, connection: sa.Connection) -> None:
        self.balances: dict[str, float] = {
            row.id: row.balance_nano / NANO for row in connection.execute(sa.select(accounts))
        }
        self.held = sum(connection.scalars(sa.select(reservations.c.amount_nano))) / NANO
        self.kinds = list(
            connection.scalars(
                sa.select(entries.c.kind)
                .where(entries.c.account == "config:caller", entries.c.kind != "top_up")
                .order_by(entries.c.id)
            )
        )
        self.usage = {
            row.provider: (row.requests, row.characters, row.charged_nano / NANO)
            for row in connection.execute(sa.select(usage))
        }
        sums = sa.select(entries.c.account, sa.func.sum(entries.c.amount_nano))
        self.balanced = all(
            float(total) / NANO == self.balances[account]
            for account, total in connection.execute(sums.group_by(entries.c.account))
            if account in self.balances
        )

    @property
    def balance(self) -> float:
        return self.balances["config:caller"]


async def test_credit_is_set_aside_at_submission_and_settled_at_the_end(
    store_url: Secret, tmp_path: Path
) -> None:
    text = book(3)
    cost = len(text) / 1000
    async with paying(tmp_path, store_url, jobs={"workers": 0}, voice=Scripted()) as at:
        await at.submit(text)
        books = await in_store(store_url, Books)
        assert books.held == pytest.approx(cost)
        assert books.balance == pytest.approx(10 - cost)

    # Nobody gives it back while the job waits, although its process has gone.
    async with paying(tmp_path, store_url, voice=Scripted(SPOKEN)) as at:
        [job] = (await at.office.page(at.caller)).jobs
        ended = await at.ended(job.id)
        assert ended.state == "completed"
        assert ended.cost == f"{cost:.3f}".rstrip("0")
        books = await in_store(store_url, Books)
        assert books.held == 0
        assert books.balance == pytest.approx(10 - cost)
        assert books.kinds == ["reserve", "settle"]
        assert books.usage["voice"] == (1, len(text), pytest.approx(cost))
        assert books.balanced


async def test_what_is_cancelled_or_fails_costs_nothing(store_url: Secret, tmp_path: Path) -> None:
    voice = Scripted(Script(entering=(Raise(Refused("No.")),)))
    async with paying(tmp_path, store_url, jobs={"workers": 0}, voice=Scripted()) as at:
        await at.cancelled((await at.submit(book(2))).id)
    async with paying(tmp_path, store_url, voice=voice) as at:
        failed = await at.ended((await at.submit(book(2))).id)

        assert (failed.state, failed.cost) == ("error", "0")
        books = await in_store(store_url, Books)
        assert (books.held, books.balance) == (0, 10)
        assert books.kinds == ["reserve", "release"] * 2
        assert books.balanced


async def test_each_provider_is_paid_for_what_it_has_spoken(
    store_url: Secret, tmp_path: Path
) -> None:
    failing = Script(entering=(Raise(Broken("500")),))
    first = Scripted(in_turn(SPOKEN, SPOKEN, failing))
    second = Scripted(SPOKEN)
    routes = [
        {"provider": "first", "price": {"credits_per_1k_chars": 1.0}},
        {"provider": "second", "price": {"credits_per_1k_chars": 0.1}},
    ]
    model = {"routes": routes, "voice_change": "any"}
    async with paying(tmp_path, store_url, model=model, first=first, second=second) as at:
        text = book(4)
        job = await at.ended((await at.submit(text)).id)

        assert job.state == "completed", job.error
        books = await in_store(store_url, Books)
        one, other = books.usage["first"][1], books.usage["second"][1]
        assert one + other == len(text)
        assert books.balance == pytest.approx(10 - one / 1000 - other / 10_000)
        assert books.balanced


async def test_who_cannot_pay_for_all_of_a_batch_hands_in_none_of_it(
    store_url: Secret, tmp_path: Path
) -> None:
    async with paying(tmp_path, store_url, jobs={"workers": 0}, voice=Scripted()) as at:
        batch = [submission("x" * 100 + str(n)) for n in range(100)]
        with pytest.raises(OutOfCredit, match=r"up to 10\.19 credits; 10 are left"):
            await at.office.submit(batch, at.caller)

        books = await in_store(store_url, Books)
        assert (books.held, books.balance, books.kinds) == (0, 10, [])
        assert (await at.office.page(at.caller)).jobs == []


async def test_a_key_that_pays_nothing_is_counted(store_url: Secret, tmp_path: Path) -> None:
    async with paying(tmp_path, store_url, credits=None, voice=Scripted(SPOKEN)) as at:
        job = await at.ended((await at.submit(book(2))).id)

        assert job.cost is None
        books = await in_store(store_url, Books)
        assert books.usage["voice"] == (1, len(book(2)), 0)


async def test_rates_apply_at_submission_and_not_to_its_pieces(
    store_url: Secret, tmp_path: Path
) -> None:
    limits = {"key": {"requests_per_day": 2, "concurrent": 1, "characters_per_minute": 100}}
    voice = Scripted(SPOKEN)
    async with paying(tmp_path, store_url, limits=limits, voice=voice) as at:
        job = await at.ended((await at.submit(book(3))).id)  # longer than a minute's characters

        assert job.state == "completed"
        assert voice.entered == 3
        with pytest.raises(RateLimited):
            await at.submit("one more, within the same minute")
        assert await at.office.find(job.id, at.caller) == job


async def test_a_batch_counts_as_many_requests_as_it_has_items(
    store_url: Secret, tmp_path: Path
) -> None:
    limits = {"key": {"requests_per_day": 5}}
    jobs = {"workers": 0}
    async with paying(tmp_path, store_url, limits=limits, jobs=jobs, voice=Scripted()) as at:
        with pytest.raises(RateLimited):
            await at.office.submit([submission(f"{n}") for n in range(6)], at.caller)
        await at.office.submit([submission(f"{n}") for n in range(5)], at.caller)
        with pytest.raises(RateLimited):
            await at.submit()


async def test_what_is_not_taken_in_gives_its_rates_back(store_url: Secret, tmp_path: Path) -> None:
    limits = {"key": {"requests_per_day": 1}}
    async with paying(tmp_path, store_url, limits=limits, voice=Scripted(SPOKEN)) as at:
        at.caller = await at.speaker.gate.identify(POOR, "192.0.2.1")
        for _ in range(3):
            with pytest.raises(OutOfCredit):
                await at.submit("far too long for so little credit")

        key = ("key", b"the same")
        at.caller = await at.speaker.gate.identify(KEY, "192.0.2.1")
        first = await at.office.submit([submission("hi")], at.caller, once=key)
        again = await at.office.submit([submission("hi")], at.caller, once=key)
        assert [job.id for job in first] == [job.id for job in again]


async def test_a_job_is_spoken_by_those_whom_its_key_may_use(
    store_url: Secret, tmp_path: Path
) -> None:
    async with paying(tmp_path, store_url, voice=Scripted(SPOKEN), other=Scripted(SPOKEN)) as at:
        whole = at.caller
        only = Caller(whole.id, whole.name, None, frozenset({"other"}), account=whole.account)
        nothing = Caller(whole.id, whole.name, frozenset({"else"}), None, account=whole.account)

        at.caller = only
        job = await at.ended((await at.submit("Hello.")).id)
        assert job.provider == "other"
        with pytest.raises(Forbidden):
            await at.office.submit([submission()], nothing)
