"""Several routers as one: limits in one Redis, keys and credit in one store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import ServerProcess, serving
from tests.support.redis import BINARY, NO_REDIS, RedisServer, redis_server
from tests.support.scripts import SCRIPTED, SPEECH, UNJUDGED, asking, models, scripted
from tests.support.wire import Answer, exchange

KEY = "sk-of-a-caller-0123456789"
WITH_KEY = {"X-API-Key": KEY}
pytestmark = pytest.mark.skipif(BINARY is None, reason=NO_REDIS)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def config(redis: RedisServer, store: Path, **accounts: Any) -> dict[str, Any]:
    given = models({"it": ("voice",)})
    given["it"]["price"] = {"credits_per_1k_chars": 1.0}
    own = {
        "store": f"sqlite:///{store}",
        "redis": redis.url,
        "keys": {"caller": {"key": KEY, "credits": 0.5}},
    }
    return {
        "server": {"secret": "one-for-all-of-them"},
        "integrity": UNJUDGED,
        "accounts": {**own, **accounts},
        "providers": {"voice": scripted(seconds=0.2)},
        "models": given,
    }


@contextmanager
def two(config: dict[str, Any], folder: Path) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Two routers with the same config, each with folders of its own."""
    folders = [folder / name for name in ("one", "other")]
    for each in folders:
        each.mkdir()
    with (
        serving(config, folders[0], plugins=[SCRIPTED]) as one,
        serving(config, folders[1], plugins=[SCRIPTED]) as other,
    ):
        yield one, other


async def _ask(server: ServerProcess, **fields: Any) -> Answer:
    return await exchange(server.url, SPEECH, asking(**fields), headers=WITH_KEY)


async def test_a_limit_and_a_balance_hold_over_two_routers(
    redis: RedisServer, tmp_path: Path
) -> None:
    limits = {"key": {"requests_per_day": 8}}
    own = config(redis, tmp_path / "store.db", limits=limits)
    with two(own, tmp_path) as routers:
        text = "x" * 100
        answers = await asyncio.gather(*(_ask(routers[turn % 2], input=text) for turn in range(12)))
        told = [answer.error["code"] for answer in answers if answer.status == 429]
        # Credit for five; who is refused for it gives back their share of the day.
        assert [answer.status for answer in answers].count(200) == 5
        assert set(told) <= {"insufficient_quota", "daily_rpd_limit_exceeded"}
        assert len(told) == 7

        for router in routers:
            credits = await exchange(router.url, "/v1/credits", headers=WITH_KEY)
            assert credits.json["balance"] == "0"
        free = [await _ask(routers[turn % 2], input="…") for turn in range(4)]
        assert [answer.status for answer in free] == [200, 200, 200, 429]
        assert free[-1].error["code"] == "daily_rpd_limit_exceeded"


@pytest.mark.parametrize(("on_loss", "status", "ready"), [("closed", 503, 503), ("open", 200, 200)])
async def test_without_the_shared_store_it_is_closed_or_open_as_the_config_says(
    on_loss: str, status: int, ready: int, redis: RedisServer, tmp_path: Path
) -> None:
    limits = {"key": {"requests_per_minute": 100}}
    own = config(redis, tmp_path / "store.db", on_loss=on_loss, limits=limits)
    with serving(own, tmp_path, plugins=[SCRIPTED]) as server:
        assert (await _ask(server)).status == 200
        redis.kill()

        answer = await _ask(server)
        assert answer.status == status
        if status == 503:
            assert answer.headers["retry-after"] == "1"
        health = await exchange(server.url, "/health/ready")
        assert health.status == ready
        assert any("store of limits is lost" in reason for reason in health.json["reasons"])
        assert (await exchange(server.url, "/v1/models")).status == 200

        redis.start()
        for _ in range(100):
            if not (await exchange(server.url, "/health/ready")).json["reasons"]:
                break
            await asyncio.sleep(0.1)
        assert (await _ask(server)).status == 200
