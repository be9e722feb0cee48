"""Receivers of webhooks on this machine, and names that lead to them."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

Answers = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Heard:
    """What a receiver was told."""

    def __init__(self) -> None:
        self.headers: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.url = ""
        self.port = 0
        self.answers: Answers = fine

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers in self.headers]


async def fine(_: web.Request) -> web.StreamResponse:
    return web.Response(text="thank you")


def saying(status: int, **headers: str) -> Answers:
    """Always this status, with these headers (`_` for `-`)."""

    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, headers=named)

    return answer


@asynccontextmanager
async def receiving(answers: Answers = fine, *, host: str = "127.0.0.1") -> AsyncIterator[Heard]:
    """A receiver at an address of this machine while the block lasts."""
    heard = Heard()
    heard.answers = answers

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        heard.headers.append(dict(request.headers))
        heard.bodies.append(body)
        heard.paths.append(request.path_qs)
        return await heard.answers(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        heard.port = runner.addresses[0][1]
        heard.url = f"http://{host}:{heard.port}/hook"
        yield heard
    finally:
        await runner.cleanup()


class Names(AbstractResolver):
    """A name server of the test's own: each question gets the next answer, the last one for ever.
    Every name is known."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in answer
        ]

    async def close(self) -> None:
        """It has nothing."""
