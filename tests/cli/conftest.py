"""The verbs set up the logs of the whole process: here they are put back after each test."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cached logger would keep writing to the stream of the test that used it first."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    uncached = partial(_without_cache, structlog.configure)
    monkeypatch.setattr(structlog, "configure", uncached)
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def _without_cache(configure: object, **settings: object) -> None:
    assert callable(configure)
    configure(**{**settings, "cache_logger_on_first_use": False})
