"""A proxy on the loopback: what stands between it and an upstream goes wrong as it is told.

    async with fault_proxy(upstream.url) as proxy:
        proxy.fault = cuts(4_000)         # every answer from now on
        proxy.chooses = lambda number: HEALTHY if number % 2 else stalls(0)
        await proxy.refuse()              # connections are refused, until `await proxy.listen()`

It knows of HTTP only where an answer's head ends. Everything that it begins ends with its block,
and no connection lives longer than `LIFE_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.support.faults import AT_ONCE, HEALTHY, Fault, length_of, miscounted

LIFE_S = 600.0
MOST_CONNECTIONS = 1_024
_LONGEST_HEAD = 65_536
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes closing a reset."""


class FaultProxy:
    """The proxy, while it runs."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._lines: set[asyncio.Task[None]] = set()
        self.fault = HEALTHY
        self.chooses: Callable[[int], Fault] | None = None
        """The fault of each answer by its number, counted from 1; `None`: `fault`."""
        self.answers = 0
        self.connections = 0
        self.spoiled = 0
        """Answers that did not come through as they were sent."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def open(self) -> int:
        """Connections that are there now."""
        return len(self._lines)

    async def listen(self) -> None:
        """Take connections (again), on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse connections, and end those that are there."""
        if self._server is not None:
            self._server.close()
            self._server = None
        lines = set(self._lines)
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)

    @asynccontextmanager
    async def flapping(self, up_s: float, down_s: float) -> AsyncIterator[None]:
        """Up and down in turn while the block lasts; up after it."""

        async def flap() -> None:
            while True:
                await asyncio.sleep(up_s)
                await self.refuse()
                await asyncio.sleep(down_s)
                await self.listen()

        flapping = asyncio.create_task(flap(), name="flap")
        try:
            yield
        finally:
            flapping.cancel()
            await asyncio.gather(flapping, return_exceptions=True)
            await self.listen()

    def heal(self) -> None:
        self.fault, self.chooses = HEALTHY, None

    def next_fault(self) -> Fault:
        self.answers += 1
        return self.chooses(self.answers) if self.chooses is not None else self.fault

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None or len(self._lines) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self.connections += 1
        task = asyncio.create_task(self._carry(reader, writer), name="fault proxy")
        self._lines.add(task)
        task.add_done_callback(self._lines.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side or a fault ends it."""
        there: asyncio.StreamWriter | None = None
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(LIFE_S):
                    back, there = await asyncio.open_connection(*self._upstream)
                    await _Line(self, reader, writer, back, there).carry()
        finally:
            for side in (writer, there):
                if side is not None:
                    await _closed(side)


class _Line:
    """The two directions of one connection."""

    def __init__(
        self,
        proxy: FaultProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        there: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer, self._back, self._there = reader, writer, back, there
        self._is_asked = False
        """Whether a request has gone up since the last answer began."""

    async def carry(self) -> None:
        up = asyncio.create_task(self._up(), name="up")
        down = asyncio.create_task(self._down(), name="down")
        try:
            done, _ = await asyncio.wait({up, down}, return_when="FIRST_COMPLETED")
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        for task in done:
            task.result()

    async def _up(self) -> None:
        while data := await self._reader.read(AT_ONCE):
            self._is_asked = True
            self._there.write(data)
            await self._there.drain()

    async def _down(self) -> None:
        """Answer after answer."""
        data = await self._back.read(AT_ONCE)
        while data:
            self._is_asked = False
            fault = self._proxy.next_fault()
            self._proxy.spoiled += fault.after is not None or bool(fault.more)
            data = await self._answer(fault, data)

    async def _answer(self, fault: Fault, data: bytes) -> bytes:
        """One answer, whose beginning is here; gives the beginning of the next, empty at an end."""
        await asyncio.sleep(fault.latency_s)
        while b"\r\n\r\n" not in data and len(data) < _LONGEST_HEAD:
            if not (chunk := await self._back.read(AT_ONCE)):
                break
            data += chunk
        head, mark, body = data.partition(b"\r\n\r\n")
        if fault.after == -1:
            return await self._end(fault)
        given, left = miscounted(head, fault), fault.after
        await self._give(given + mark, HEALTHY)
        until = length_of(head) if fault.more else None
        while True:
            if left is not None and len(body) >= left:
                await self._give(body[:left], fault)
                return await self._end(fault)
            await self._give(body, fault)
            left = None if left is None else left - len(body)
            until = None if until is None else until - len(body)
            if until is not None and until <= 0:
                return b""
            if not (body := await self._back.read(AT_ONCE)) or self._is_asked:
                return body

    async def _give(self, data: bytes, fault: Fault) -> None:
        for at in range(0, len(data), fault.at_once):
            self._writer.write(data[at : at + fault.at_once])
            await self._writer.drain()
            if fault.every_s:
                await asyncio.sleep(fault.every_s)

    async def _end(self, fault: Fault) -> bytes:
        if fault.end == "stall":
            await asyncio.get_running_loop().create_future()  # until the other side has enough
        if fault.end == "reset":
            await asyncio.sleep(0.01)  # a reset throws away what has not been read yet
            line = self._writer.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._writer.transport.abort()
        return b""


async def _closed(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.close()
        async with asyncio.timeout(1):
            await writer.wait_closed()


@asynccontextmanager
async def fault_proxy(url: str) -> AsyncIterator[FaultProxy]:
    """A proxy in front of `url`, on a free port of the loopback."""
    address = urlsplit(url)
    assert address.hostname == "127.0.0.1"
    assert address.port is not None
    proxy = FaultProxy(address.hostname, address.port)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.refuse()
