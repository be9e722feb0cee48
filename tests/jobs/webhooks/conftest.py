"""The stores of this machine, open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from router.contract.provider import Secret
from router.store.opening import Store, opened
from tests.support.stores import postgres_server, store_url

__all__ = ["postgres_server", "store_url"]


@pytest.fixture
async def store(store_url: Secret) -> AsyncIterator[Store]:
    async with opened(store_url) as open_store:
        yield open_store
