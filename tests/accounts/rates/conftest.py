"""A real Redis for the whole run, and each promise once for every store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.accounts.rates.stage import Stage, Store, staged
from tests.support.redis import BINARY, NO_REDIS, RedisServer, redis_server


@pytest.fixture(scope="package")
def redis() -> Iterator[RedisServer]:
    """One that all tests share: they do not hurt it, and each has a prefix of its own."""
    if BINARY is None:
        pytest.skip(NO_REDIS)
    with redis_server() as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Store:
    chosen: Store = request.param
    return chosen


@pytest.fixture
def server(store: Store, request: pytest.FixtureRequest) -> RedisServer | None:
    """The server of the store, where it has one."""
    found: RedisServer | None = None
    if store == "redis":
        found = request.getfixturevalue("redis")
    return found


@pytest.fixture
async def stage(store: Store, server: RedisServer | None) -> AsyncIterator[Stage]:
    async with staged(store, server) as found:
        yield found
