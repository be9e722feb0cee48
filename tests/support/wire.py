"""A bare HTTP/1.1 line: nothing is sent, read or closed before the test says so.

Clients read ahead, pool and repeat; what hangs up, stalls or looks at the end mark must not.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec

_AT_ONCE = 65_536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, with a reset


class Head(msgspec.Struct, frozen=True):
    """A status line and its headers, names in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def length(self) -> int | None:
        return int(self.headers["content-length"]) if "content-length" in self.headers else None

    @property
    def is_chunked(self) -> bool:
        return self.headers.get("transfer-encoding") == "chunked"


class Answer(msgspec.Struct, frozen=True):
    """All that came; `whole` is whether it ended as its own framing says."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The envelope's inside."""
        error: dict[str, Any] = self.json["error"]
        return error


class Line:
    """One connection. It is closed when its block is left."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        self._socket = connection
        self._host = host
        self._held = bytearray()
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a request; a body that is not bytes goes as JSON."""
        await self.send(request(path, body, method=method, host=self._host, headers=headers))

    async def head(self) -> Head:
        """Wait for the status line and the headers. Raises EOFError when none comes."""
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if not await self._more():
                raise EOFError
        first, *lines = self._take(end + 4).decode("latin-1").split("\r\n")[:-2]
        pairs = (line.split(":", 1) for line in lines)
        return Head(int(first.split()[1]), {name.lower(): text.strip() for name, text in pairs})

    async def piece(self, head: Head) -> bytes | None:
        """The next chunk of a chunked body; empty is its end mark, `None` an end without one."""
        assert head.is_chunked
        while (end := self._held.find(b"\r\n")) < 0:
            if not await self._more():
                return None
        size = int(self._held[:end], 16)
        while len(self._held) < end + 2 + size + 2:
            if not await self._more():
                return None
        return self._take(end + 2 + size + 2)[end + 2 : -2]

    async def rest(self, head: Head, *, has_body: bool = True) -> Answer:
        """The body, or what is left of it."""
        if not has_body:
            return Answer(head.status, head.headers, b"", True)
        if head.is_chunked:
            body = bytearray()
            while piece := await self.piece(head):
                body += piece
            return Answer(head.status, head.headers, bytes(body), piece is not None)
        length = head.length or 0
        while len(self._held) < length:
            if not await self._more():
                return Answer(head.status, head.headers, bytes(self._held), False)
        return Answer(head.status, head.headers, self._take(length), True)

    async def answer(self, *, has_body: bool = True) -> Answer:
        """Wait for a whole answer, or for what there is of it."""
        return await self.rest(await self.head(), has_body=has_body)

    async def is_over(self) -> bool:
        """Wait for the other side to close; false if it says something more instead."""
        return not self._held and not await self._more()

    def finish(self) -> None:
        """Say with a FIN that nothing more will be sent, and stay."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave with an RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        self._socket.close()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    async def _more(self) -> bool:
        try:
            data = await self._loop.sock_recv(self._socket, _AT_ONCE)
        except ConnectionError:
            return False
        self._held += data
        return bool(data)


def request(
    path: str,
    body: Any = None,
    *,
    method: str | None = None,
    host: str = "localhost",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a request; a body that is not bytes goes as JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    fields = {"Host": host}
    if body is not None:
        fields |= {"Content-Length": str(len(data)), "Content-Type": "application/json"}
    fields |= headers or {}
    verb = method or ("GET" if body is None else "POST")
    lines = [f"{verb} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + data


@asynccontextmanager
async def connected(url: str, *, receive_bytes: int | None = None) -> AsyncIterator[Line]:
    """A line to the server at `url`; `receive_bytes` makes its kernel buffer that small."""
    address = urlsplit(url)
    assert address.hostname is not None
    connection = socket.socket()
    connection.setblocking(False)
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    line = Line(connection, address.netloc)
    try:
        there = (address.hostname, address.port)
        await asyncio.get_running_loop().sock_connect(connection, there)
        yield line
    finally:
        line.close()


async def exchange(
    url: str,
    path: str,
    body: Any = None,
    *,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request on a line of its own, and its answer."""
    async with connected(url) as line:
        await line.ask(path, body, method=method, headers=headers)
        return await line.answer(has_body=method != "HEAD")
