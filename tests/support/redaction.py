"""A pytest plugin that watches the whole suite: what callers send is in nothing that is told.

It takes down what the tests' clients send (texts, voice samples, keys) and every secret that is
made, and looks for them at the end of each test in all that was told meanwhile: stdout and stderr,
log lines of this process and of the servers that were started, records and events, expositions of
metrics, pages and health. A test after which something is found there is an error.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import wraps
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import httpx2
import pytest
import structlog

from router.contract.provider import Secret
from router.dispatch.observers import Observers
from router.telemetry import logs
from tests.support import process, wire
from tests.support.watch import Watch

NOT_OURS = "/api/v1/query"
"""What is asked of Prometheus names metrics, which are told everywhere."""
TOLD_AT = ("/metrics", "/health/ready", "/")
"""What is read by others than the caller."""


# ---- where it listens


def _listen(watch: Watch) -> Iterator[Callable[[], None]]:
    """Hook it into the clients, the observers and the logs; each thing given puts one back."""
    for library in (httpx, httpx2):
        yield _before(library.Client, "send", lambda _self, request, **_: _sent(watch, request))
        yield _before(
            library.AsyncClient, "send", lambda _self, request, **_: _sent(watch, request)
        )
        yield _after(library.Client, "send", lambda answer: _answered(watch, answer))
    yield _before(wire, "request", lambda *given, **named: _asked(watch, *given, **named))
    yield _around_exchange(watch)
    yield _before(Secret, "__init__", lambda _self, value: watch.key(value))
    yield _before(process.Log, "__init__", lambda log, _pipe: watch.log(log))
    yield _before(Observers, "recorded", lambda _self, record: watch.told("a record", repr(record)))
    yield _before(Observers, "noticed", lambda _self, event: watch.told("an event", repr(event)))


def _before(owner: Any, name: str, hear: Callable[..., None]) -> Callable[[], None]:
    """Have a function's arguments heard."""
    known = getattr(owner, name)

    @wraps(known)
    def heard(*given: Any, **named: Any) -> Any:
        hear(*given, **named)
        return known(*given, **named)

    setattr(owner, name, heard)
    return lambda: setattr(owner, name, known)


def _after(owner: Any, name: str, hear: Callable[[Any], None]) -> Callable[[], None]:
    """Have what a function gives heard."""
    known = getattr(owner, name)

    @wraps(known)
    def heard(*given: Any, **named: Any) -> Any:
        answer = known(*given, **named)
        hear(answer)
        return answer

    setattr(owner, name, heard)
    return lambda: setattr(owner, name, known)


def _around_exchange(watch: Watch) -> Callable[[], None]:
    """Have the answers of our own lines heard."""
    known = wire.exchange

    @wraps(known)
    async def heard(url: str, path: str, *given: Any, **named: Any) -> wire.Answer:
        answer = await known(url, path, *given, **named)
        if path in TOLD_AT:
            watch.told(f"GET {path}", answer.body.decode("utf-8", "replace"))
        return answer

    wire.exchange = heard

    def undo() -> None:
        wire.exchange = known

    return undo


def _sent(watch: Watch, request: httpx.Request) -> None:
    """A request of httpx. A form is read as it will be sent; what streams in is not touched."""
    body = b""
    if request.url.path.startswith(NOT_OURS):
        return
    if "multipart" in request.headers.get("content-type", ""):
        body = b"".join(request.stream) if hasattr(request.stream, "__iter__") else b""
    elif hasattr(request, "_content"):
        body = request.content
    watch.request(dict(request.headers), body)


def _answered(watch: Watch, answer: httpx.Response) -> None:
    if answer.request.url.path in TOLD_AT and answer.is_stream_consumed:
        watch.told(f"GET {answer.request.url.path}", answer.text)


def _asked(
    watch: Watch,
    path: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    **_: Any,
) -> None:
    """A request of our own lines."""
    if path.startswith(NOT_OURS):
        return
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    watch.request(headers or {}, data)
    for _name, value in parse_qsl(urlsplit(path).query):
        watch.text(value)


class _Lines(logging.Handler):
    """The libraries' log lines, as a server would write them."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch
        self.setFormatter(logs.formatter(json=True))

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.told("a log line", self.format(record))


class _Plugin:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._handler = _Lines(watch)
        self._undo: list[Callable[[], None]] = []

    def start(self) -> None:
        self._undo = list(_listen(self._watch))
        logging.getLogger().addHandler(self._handler)

    @pytest.hookimpl
    def pytest_unconfigure(self) -> None:
        logging.getLogger().removeHandler(self._handler)
        for undo in reversed(self._undo):
            undo()

    @pytest.fixture(autouse=True)
    def _logs_as_a_server_has_them(self) -> None:
        """What structlog prints by default has the values of local names in it."""
        structlog.configure(
            processors=logs.processors(json=True),
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
            cache_logger_on_first_use=False,
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "teardown":
            for name, text in report.sections:
                if "stdout" in name or "stderr" in name:
                    self._watch.told(name, text)
            if found := self._watch.found():
                report.outcome = "failed"
                report.longrepr = "\n".join(
                    [f"{item.nodeid} tells what is not to be told:", *found]
                )
        return report


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch, before any test is imported."""
    plugin = _Plugin(Watch())
    plugin.start()
    config.pluginmanager.register(plugin, "redaction")
