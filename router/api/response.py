"""Sends a journey: enters it with the caller's hang-up already watched, and leaves it before
returning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Generic, TypeVar

import structlog
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from router.contract.errors import Draining, SpeechError
from router.dispatch.house import RETRY_S

_log = structlog.get_logger(__name__)

_Entered = TypeVar("_Entered")

Headers = Sequence[tuple[bytes, bytes]]

_YIELD_EVERY_S = 0.002
"""`send` to a caller who is gone returns at once and never yields: without this, nobody would
notice."""
_SLICE = 262_144
"""Bytes given to `send` at once: a reader who takes none of them for a while is too slow."""


class JourneyResponse(Generic[_Entered]):
    """An ASGI application for one answer: speech, a file, events, or what somebody waited for.

    Before the status line an error becomes `refuse(error)`. After it, a body that breaks off ends
    without its last chunk, so that no client can take it for whole.
    """

    def __init__(
        self,
        journey: AbstractAsyncContextManager[_Entered],
        head: Callable[[_Entered], Headers],
        body: Callable[[_Entered], AsyncGenerator[bytes, None]],
        refuse: Callable[[Exception], ASGIApp],
        slow_reader_s: float,
        *,
        status: Callable[[_Entered], int] = lambda _: 200,
    ) -> None:
        self._journey = journey
        self._status = status
        self._head = head
        self._body = body
        self._refuse = refuse
        self._slow_reader_s = slow_reader_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = asyncio.timeout(None)
        """Expires when the caller has hung up or does not read: that cancels everything below."""
        reader = _Reader(send, caller, self._slow_reader_s)
        try:
            async with caller:
                watcher = asyncio.create_task(_watch(receive, caller), name="hang-up")
                try:
                    async with self._journey as entered:
                        await reader.start(self._status(entered), self._head(entered))
                        async with aclosing(self._body(entered)) as body:
                            async for chunk in body:
                                await reader.take(chunk)
                    await reader.end()
                finally:
                    reader.close()
                    watcher.cancel()
                    await asyncio.gather(watcher, return_exceptions=True)
        except asyncio.CancelledError:
            if not reader.started:  # the server is going down, and its patience is over
                await self._refuse(Draining("The server is going down.", retry_after=RETRY_S))(
                    scope, receive, send
                )
            raise
        except TimeoutError as error:
            if not caller.expired():
                await self._failed(error, reader, scope, receive, send)
        except Exception as error:  # every failure has its answer, or breaks off the one under way
            await self._failed(error, reader, scope, receive, send)

    async def _failed(
        self, error: Exception, reader: _Reader, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if not isinstance(error, SpeechError):
            _log.exception("a request failed unexpectedly", error=type(error).__name__)
        if not reader.started:
            await self._refuse(error)(scope, receive, send)


class _Reader:
    """The caller as somebody who takes bytes, or does not."""

    def __init__(self, send: Send, caller: asyncio.Timeout, slow_reader_s: float) -> None:
        self.started = False
        self._send = send
        self._caller = caller
        self._limit_s = slow_reader_s
        self._loop = asyncio.get_running_loop()
        self._sending_since: float | None = None
        self._yielded = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, status: int, headers: Headers) -> None:
        self.started = True
        self._timer = self._loop.call_later(self._limit_s, self._check)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def take(self, chunk: bytes) -> None:
        for at in range(0, len(chunk), _SLICE):
            body = chunk if len(chunk) <= _SLICE else chunk[at : at + _SLICE]
            self._sending_since = self._loop.time()
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            self._sending_since = None
            if self._loop.time() - self._yielded > _YIELD_EVERY_S:
                await asyncio.sleep(0)
                self._yielded = self._loop.time()

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        now = self._loop.time()
        waits = now - self._sending_since if self._sending_since is not None else 0.0
        if waits >= self._limit_s:
            self._caller.reschedule(now)
        else:
            self._timer = self._loop.call_later(self._limit_s - waits, self._check)


async def _watch(receive: Receive, caller: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    caller.reschedule(asyncio.get_running_loop().time())


def plain(status: int, headers: Headers, body: bytes) -> ASGIApp:
    """A whole answer that is already known."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        head = [*headers, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return answer


def bare(status: int, headers: Headers) -> ASGIApp:
    """An answer that has no body by its nature, and tells no length of one."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return answer


def header(scope: HTTPScope, name: bytes) -> str | None:
    """A request header's last value as it came; `None` when it is absent or empty."""
    values = every(scope, name)
    return values[-1] or None if values else None


def every(scope: HTTPScope, name: bytes) -> list[str]:
    """All values of a request header, as they came."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
