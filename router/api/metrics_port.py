"""`/metrics` on a port of its own, where nothing else is answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager

import structlog
import uvicorn
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from router.api.door import Door, bearer
from router.api.errors import NoSuchPath, WrongMethod, answer
from router.api.guard import Guard
from router.api.metrics import check_key, scraped
from router.api.response import header, plain
from router.contract.errors import SpeechError
from router.jobs.office import Office
from router.settings.metrics import Metrics
from router.settings.structs import Server
from router.telemetry.exposition import Exposition

_log = structlog.get_logger(__name__)

_END_S = 2
"""For scrapes under way when the server stops."""

Holding = Callable[[], AbstractContextManager[tuple[Door, Office | None]]]
"""The door of the present config, which stays open while the block lasts, and where jobs are
taken."""


@asynccontextmanager
async def listening(
    wanted: Metrics, server: Server, exposition: Exposition, holding: Holding
) -> AsyncIterator[None]:
    """Answer scrapes on a port of their own while the block lasts, where one is wanted.

    Raises:
        OSError: nobody can listen there.
    """
    if not wanted.enabled or wanted.port is None:
        yield
        return
    with contextlib.closing(_listener(wanted.host, wanted.port)) as listener:
        guarded = Guard(_answers(exposition, holding), server, keyed=wanted.key is not None)
        serving = _Server(
            uvicorn.Config(
                guarded,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_END_S,
            )
        )
        task = asyncio.create_task(serving.serve(sockets=[listener]), name="metrics port")
        host, port = listener.getsockname()[:2]
        _log.info("metrics have a port", host=host, port=port)
        try:
            yield
        finally:
            serving.should_exit = True
            await asyncio.gather(task, return_exceptions=True)


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the server beside it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _answers(exposition: Exposition, holding: Holding) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            return
        try:
            if scope["path"].rstrip("/") != "/metrics":
                raise NoSuchPath("There is nothing here but /metrics.")
            if scope["method"] != "GET":
                raise WrongMethod("This path takes GET.")
            with holding() as (door, office):
                if (key := door.settings.metrics.key) is not None:
                    check_key(bearer(header(scope, b"authorization") or ""), key)
                text = await scraped(door, office, exposition, header(scope, b"accept") or "")
        except SpeechError as error:
            await answer(error, "openai", os.urandom(16).hex())(scope, receive, send)
            return
        headers = [(b"content-type", text.media_type.encode())]
        await plain(200, headers, text.body)(scope, receive, send)

    return app


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen()
    except OSError as error:
        listener.close()
        _log.error("metrics cannot have their port", host=host, port=port, error=error.strerror)
        raise
    return listener
