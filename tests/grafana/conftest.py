"""One world for all expressions: what happens in it happens once, and is asked about afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.grafana.server import NO_PROMETHEUS, PROMETHEUS, PROMTOOL
from tests.grafana.story import Told, told
from tests.grafana.world import world
from tests.support.postgres import missing
from tests.support.redis import BINARY, NO_REDIS


@pytest.fixture(scope="package")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Everything that happened; Prometheus still runs, and remembers."""
    if PROMETHEUS is None or PROMTOOL is None:
        pytest.skip(NO_PROMETHEUS)
    if BINARY is None:
        pytest.skip(NO_REDIS)
    if why := missing():
        pytest.skip(why)
    with world(tmp_path_factory.mktemp("world")) as there:
        yield asyncio.run(told(there))
