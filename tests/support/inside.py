"""A server inside the test, on a real socket: what it holds can be counted from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from router.app.server import create_app
from router.contract.record import Event, SpeechRecord
from router.dispatch.speaker import Speaker
from router.registry import Kinds
from router.settings.load import parse
from router.testing.scripted import Scripted, kind_of
from tests.support.scripts import UNJUDGED

_BACKLOG = 128
_SEND_BYTES = 65_536
"""The kernel's buffer for each connection: a reader who stalls is soon felt."""


class Inside:
    """What the test sees of the server: its address, its voices and its records."""

    def __init__(self, url: str, voices: Mapping[str, Scripted]) -> None:
        self.url = url
        self.voices = voices
        self.records: list[SpeechRecord] = []
        self.held_at_return: list[int] = []
        """For each request that the application has returned from: the speeches that its providers
        still held in that moment."""
        self._changed = asyncio.Event()

    def recorded(self, record: SpeechRecord) -> None:
        self.records.append(record)

    def noticed(self, event: Event) -> None:
        """Events are told by the records' attempts, too."""

    async def until(self, condition: Callable[[Inside], bool]) -> None:
        """Wait for what becomes true with the return of the application."""
        while not condition(self):
            self._changed.clear()
            await self._changed.wait()

    def watched(self, app: ASGIApp) -> ASGIApp:
        """The application, seen from where the server calls it."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await app(scope, receive, send)
            finally:
                if scope["type"] == ScopeType.HTTP:
                    self.held_at_return.append(sum(v.open for v in self.voices.values()))
                    self._changed.set()

        return call


@contextlib.asynccontextmanager
async def serving_inside(
    config: Mapping[str, Any], folder: Path, **voices: Scripted
) -> AsyncIterator[Inside]:
    """Serve this config; each voice is a provider, and a kind, under its own name.

    Unless the config says otherwise, nobody judges whether what they give is speech.
    """
    kinds = Kinds({name: kind_of(name, voice) for name, voice in voices.items()}, {}, {})
    places = {"data_dir": str(folder / "data"), "cache_dir": str(folder / "cache")}
    whole = {
        "integrity": UNJUDGED,
        "providers": {name: {"kind": name} for name in voices},
        **config,
        "server": {**config.get("server", {}), **places},
    }
    settings = parse(json.dumps(whole), kinds.providers)  # JSON is YAML
    with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        inside = Inside(f"http://127.0.0.1:{listener.getsockname()[1]}", voices)

        def started(speaker: Speaker) -> None:
            speaker.observers.join(inside)

        app = inside.watched(create_app(settings, kinds, started=started))
        server = _Server(
            uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1)
        )
        task = asyncio.create_task(server.serve(sockets=[listener]), name="server")
        try:
            yield inside  # whoever connects before it has started waits in the backlog
        finally:
            server.should_exit = True
            await task


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the test's own stay."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
