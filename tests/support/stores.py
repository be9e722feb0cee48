"""Every store that there is, for one test-suite: a fixture `store_url` of an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.contract.provider import Secret
from tests.support import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    """An empty store: the test runs on each."""
    if request.param == "sqlite":
        return Secret(f"sqlite:///{tmp_path / 'data' / 'store.db'}")
    server: postgres.Postgres = request.getfixturevalue("postgres_server")
    return Secret(server.emptied())
