"""A store of keys and credit that is gone: who is told so, how soon, and that it comes back."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from router.accounts import books
from router.store import opening as stores
from router.store import writer
from router.testing.scripted import Scripted
from tests.support.inside import Inside, serving_inside
from tests.support.postgres import Postgres
from tests.support.scripts import SPEECH, TEXT, asking, models
from tests.support.stores import postgres_server
from tests.support.wire import Answer, exchange

__all__ = ["postgres_server"]

METERED, FREE = "sk-who-pays-0123456789", "sk-who-does-not-0123456789"
PATIENCE_S = 0.5
LOST = "the store of keys and credit does not answer"
ADMIN = "the-key-of-the-admin"
AS_ADMIN = {"Authorization": f"Bearer {ADMIN}"}


def config(store: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    given = models({"it": ("voice",)})
    given["it"]["price"] = {"credits_per_1k_chars": 1.0}
    accounts = {"store": store, "keys": keys, "admin_key": ADMIN}
    return {"models": given, "accounts": accounts}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (writer, stores):
        monkeypatch.setattr(room, "PATIENCE_S", PATIENCE_S)
    monkeypatch.setattr(books, "RETURN_S", 0.1)
    monkeypatch.setattr(books, "RENEWALS", 60)


@asynccontextmanager
async def without_its_store(postgres: Postgres) -> AsyncIterator[None]:
    await asyncio.to_thread(postgres.stop, signal.SIGQUIT)
    try:
        yield
    finally:
        await asyncio.to_thread(postgres.start)


async def ask(inside: Inside, key: str) -> Answer:
    return await exchange(inside.url, SPEECH, asking(), headers={"X-API-Key": key})


async def ready(inside: Inside) -> Answer:
    return await exchange(inside.url, "/health/ready")


async def until_it_tells(inside: Inside, reasons: list[str]) -> Answer:
    for _ in range(200):
        if (told := await ready(inside)).json["reasons"] == reasons:
            break
        await asyncio.sleep(0.05)
    assert told.json["reasons"] == reasons
    return told


async def lost_by_metrics(inside: Inside) -> str:
    told = (await exchange(inside.url, "/metrics", headers=AS_ADMIN)).body.decode()
    return next(line for line in told.splitlines() if line.startswith("tts_books_lost "))


async def test_while_nobody_asks_readiness_and_metrics_tell_that_it_is_lost_and_is_back(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    url = await asyncio.to_thread(postgres_server.emptied)
    own = config(url, {"pays": {"key": METERED, "credits": 1}})
    async with serving_inside(own, tmp_path, voice=Scripted()) as inside:
        assert (await ready(inside)).status == 200
        async with without_its_store(postgres_server):
            told = await until_it_tells(inside, [LOST])
            assert told.status == 503, "nobody could speak"
            assert await lost_by_metrics(inside) == "tts_books_lost 1.0"
        assert (await until_it_tells(inside, [])).status == 200
        assert await lost_by_metrics(inside) == "tts_books_lost 0.0"
        assert (await ask(inside, METERED)).status == 200


async def test_who_needs_no_books_speaks_on_and_the_others_are_refused_at_once(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    url = await asyncio.to_thread(postgres_server.emptied)
    own = config(url, {"pays": {"key": METERED, "credits": 1}, "free": {"key": FREE}})
    async with serving_inside(own, tmp_path, voice=Scripted()) as inside:
        assert (await ready(inside)).status == 200
        async with without_its_store(postgres_server):
            told = await until_it_tells(inside, [LOST])
            assert told.status == 200, "who pays nothing can speak"
            began = time.monotonic()
            answers = [await ask(inside, METERED) for _ in range(4)]
            assert time.monotonic() - began < 4 * PATIENCE_S / 2
            assert [answer.status for answer in answers] == [503] * 4
            assert {answer.headers["retry-after"] for answer in answers} == {"2"}
            assert (await ask(inside, FREE)).status == 200
        await until_it_tells(inside, [])
        assert (await ask(inside, METERED)).status == 200
        usage = (await exchange(inside.url, "/admin/v1/usage", headers=AS_ADMIN)).json["data"]
        assert sorted((row["account"], row["requests"]) for row in usage) == [
            ("config:free", 1),  # while it was gone: written when it came back
            ("config:pays", 1),
        ]
        balance = await exchange(inside.url, "/v1/credits", headers={"X-API-Key": METERED})
        assert float(balance.json["balance"]) == pytest.approx(1 - len(TEXT) / 1000)
