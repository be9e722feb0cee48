"""A light HTTP client: one kept connection, one request at a time, and when its bytes came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools

_HEAD_BYTES = 128
_PATIENCE_S = 20.0


class Heard(NamedTuple):
    """One answer."""

    status: int
    body_bytes: int
    head: bytes
    """The first bytes of its body."""
    asked_ns: int
    first_ns: int
    """When the first byte of the body came."""
    last_ns: int


class Caller(asyncio.Protocol):
    """A connection to a server. It is itself the parser's listener."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Heard] | None = None
        self._begin()

    async def ask(self, request: bytes) -> Heard:
        """Send a whole request and wait for its whole answer.

        Raises:
            ConnectionError: the connection broke, or the body broke off.
            TimeoutError: no whole answer within 20 s.
        """
        if self._transport is None:
            raise ConnectionResetError
        self._begin()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(_PATIENCE_S):
            return await self._answer

    def _begin(self) -> None:
        self._head, self._bytes, self._first_ns = b"", 0, 0
        self._asked_ns = time.monotonic_ns()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if not self._bytes:
            self._first_ns = time.monotonic_ns()
        if len(self._head) < _HEAD_BYTES:
            self._head += body[:_HEAD_BYTES]
        self._bytes += len(body)

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            status = self._parser.get_status_code()
            now = time.monotonic_ns()
            self._answer.set_result(
                Heard(status, self._bytes, self._head, self._asked_ns, self._first_ns, now)
            )

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Caller]:
    loop = asyncio.get_running_loop()
    _, caller = await loop.create_connection(Caller, *_address(url))
    try:
        yield caller
    finally:
        caller.close()


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def post(url: str, body: bytes) -> bytes:
    """A request as it goes over the wire."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
