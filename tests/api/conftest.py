"""One application for all tests of the door."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.served import Served, served


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("api")) as found:
        yield found


@pytest.fixture
def api(running: Served) -> Served:
    """The application, with nothing seen yet."""
    running.records.clear()
    for player in (running.able, running.plain):
        player.orders.clear()
        player.formats.clear()
    return running
