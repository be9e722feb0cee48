"""One application for all tests of the door."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.jobbed import jobbed
from tests.api.served import Served, served
from tests.support.process import ServerProcess


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def jobs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A process with keys that takes jobs."""
    with jobbed(tmp_path_factory.mktemp("jobs")) as server:
        yield server


@pytest.fixture(scope="package")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The same without keys."""
    with jobbed(tmp_path_factory.mktemp("open"), keyed=False) as server:
        yield server


@pytest.fixture(scope="package")
def idle_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The same, in which nobody speaks them: they wait for ever."""
    with jobbed(tmp_path_factory.mktemp("idle"), workers=0) as server:
        yield server
