"""A local HTTP server that misbehaves on purpose, for tests of remote providers.

    async with misbehaving(breaks_off(WAV, after=100)) as upstream:
        ...                                  # a provider whose base URL is `upstream.url + "/v1"`
    assert upstream.requests[0].json()["model"] == "tts-1"

It writes to the socket itself, so that it can do what no HTTP server would. A script is one
behaviour; or several, one for each request, the last for all that follow; or a mapping from paths
to either. It listens on 127.0.0.1 only, and its end ends everything that it began.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Framing = Literal["chunked", "length", "none"]
"""How a body's end is told: by a last chunk, by `Content-Length`, or by closing alone."""

Behaviour = Callable[["Exchange"], Awaitable[None]]
Script = Behaviour | Sequence[Behaviour] | Mapping[str, Behaviour | Sequence[Behaviour]]

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes closing a reset."""


class ClientLeft(Exception):
    """The client closed its connection; raised inside a behaviour, and the end of it."""


@dataclass(frozen=True)
class Part:
    """One part of a form."""

    file_name: str | None
    media_type: str | None
    data: bytes


@dataclass(eq=False)
class Request:
    """A request as it was seen. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    connection: int
    """Which connection brought it, counted from 1."""
    gone: asyncio.Event = field(repr=False, default_factory=asyncio.Event)
    """Set when the client has closed the connection."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, Part]:
        """The parts of a `multipart/form-data` body by name."""
        boundary = self.headers["content-type"].partition("boundary=")[2].strip('"')
        parts = {}
        for raw in (b"\r\n" + self.body).split(b"\r\n--" + boundary.encode())[1:-1]:
            head, _, data = raw.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            headers = _headers(head.decode())
            said = dict(
                pair.strip().split("=", 1) for pair in headers["content-disposition"].split(";")[1:]
            )
            name = said["name"].strip('"')
            file_name = said["filename"].strip('"') if "filename" in said else None
            parts[name] = Part(file_name, headers.get("content-type"), data)
        return parts

    async def left(self, within_s: float = 1.0) -> float:
        """Wait until the client has closed the connection; the seconds that it took.

        Raises:
            TimeoutError: it is still there.
        """
        began = time.perf_counter()
        async with asyncio.timeout(within_s):
            await self.gone.wait()
        return time.perf_counter() - began


class Exchange:
    """One request and the means to answer it, well or badly."""

    def __init__(self, request: Request, writer: asyncio.StreamWriter, url: str) -> None:
        self.request = request
        self.url = url
        self.keep = False
        """Whether the connection may serve another request; a whole framed answer sets it."""
        self._writer = writer
        self._framing: Framing = "none"

    async def send(self, data: bytes) -> None:
        """Put bytes on the wire as they are.

        Raises:
            ClientLeft: nobody takes them.
        """
        if self.request.gone.is_set():
            raise ClientLeft
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as error:
            self.request.gone.set()
            raise ClientLeft from error

    async def begin(
        self,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        framing: Framing = "chunked",
        length: int = 0,
    ) -> None:
        """Send the head of an answer; `length` counts for the framing of that name."""
        self._framing = framing
        told = {
            "chunked": "transfer-encoding: chunked",
            "length": f"content-length: {length}",
            "none": "connection: close",
        }[framing]
        lines = [f"HTTP/1.1 {status} Whatever", told, *map(": ".join, (headers or {}).items())]
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def give(self, data: bytes) -> None:
        """Send a piece of the body."""
        if self._framing == "chunked":
            data = b"%x\r\n%b\r\n" % (len(data), data)
        await self.send(data)

    async def end(self) -> None:
        """End the body as its framing says."""
        if self._framing == "chunked":
            await self.send(b"0\r\n\r\n")
        self.keep = self._framing != "none"

    async def rest(self, seconds: float | None = None) -> None:
        """Do nothing for a while, or for ever.

        Raises:
            ClientLeft: the client lost its patience.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.request.gone.wait()
        except TimeoutError:
            return
        raise ClientLeft

    def reset(self) -> None:
        """Close with a reset instead of an end."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()


# ------------------------------------------------------------------------------------------------
# behaviours


def speaks(
    body: bytes,
    *,
    media_type: str | None = "audio/wav",
    status: int = 200,
    framing: Framing = "chunked",
    piece_bytes: int = 4096,
    every_s: float = 0.0,
    headers: Mapping[str, str] | None = None,
) -> Behaviour:
    """Answer well: `body` in pieces, one `every_s` seconds."""

    async def behave(exchange: Exchange) -> None:
        declared = {"content-type": media_type} if media_type else {}
        await exchange.begin(
            status, {**declared, **(headers or {})}, framing=framing, length=len(body)
        )
        for start in range(0, len(body), piece_bytes):
            if every_s:
                await exchange.rest(every_s)
            await exchange.give(body[start : start + piece_bytes])
        await exchange.end()

    return behave


def answers(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Behaviour:
    """Answer with JSON; `{url}` in its strings becomes the server's address."""

    async def behave(exchange: Exchange) -> None:
        body = json.dumps(value).replace("{url}", exchange.url).encode()
        tell = speaks(
            body, media_type="application/json", status=status, framing="length", headers=headers
        )
        await tell(exchange)

    return behave


def refuses(
    status: int, words: str = "not like this", *, headers: Mapping[str, str] | None = None
) -> Behaviour:
    """Answer with an error in OpenAI's envelope."""
    error = {"message": words, "type": "invalid_request_error", "param": None, "code": None}
    return answers({"error": error}, status=status, headers=headers)


def breaks_off(
    body: bytes,
    *,
    after: int,
    media_type: str = "audio/wav",
    framing: Framing = "chunked",
    reset: bool = False,
) -> Behaviour:
    """Close, or reset, when `after` bytes of the body are out."""

    async def behave(exchange: Exchange) -> None:
        await exchange.begin(
            headers={"content-type": media_type}, framing=framing, length=len(body)
        )
        await exchange.give(body[:after])
        if reset:
            # A reset throws away what the client has not read yet: first let it read.
            await exchange.rest(0.05)
            exchange.reset()

    return behave


def falls_silent(
    body: bytes, *, after: int, media_type: str = "audio/wav", framing: Framing = "chunked"
) -> Behaviour:
    """Say nothing more when `after` bytes of the body are out."""

    async def behave(exchange: Exchange) -> None:
        await exchange.begin(
            headers={"content-type": media_type}, framing=framing, length=len(body)
        )
        await exchange.give(body[:after])
        await exchange.rest()

    return behave


def spoils_a_chunk(body: bytes, *, media_type: str = "audio/wav") -> Behaviour:
    """Send a good chunk, then in a packet of its own one whose size cannot be read; then wait."""

    async def behave(exchange: Exchange) -> None:
        await exchange.begin(headers={"content-type": media_type})
        await exchange.give(body)
        await exchange.rest(0.05)
        await exchange.send(b"zz\r\nnot a chunk\r\n")
        await exchange.rest()

    return behave


def says_nothing() -> Behaviour:
    """Take the request and never answer."""
    return Exchange.rest


def hangs_up(*, reset: bool = False) -> Behaviour:
    """Take the request and close, or reset, instead of answering."""

    async def behave(exchange: Exchange) -> None:
        if reset:
            exchange.reset()

    return behave


def babbles() -> Behaviour:
    """Answer with what is not HTTP."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(b"220 mail.example ESMTP ready\r\n\r\n")

    return behave


def tickets(
    audio: bytes,
    *,
    polls: int = 1,
    status: int = 202,
    media_type: str = "audio/wav",
    end: Mapping[str, Any] | None = None,
) -> Script:
    """NanoGPT's tickets under `/api`: `polls` times pending, then the `end`, by default done."""
    ticket = {"status": "pending", "runId": "run-1"}
    done = {"status": "completed", "audioUrl": "{url}/files/run-1", "contentType": media_type}
    issue = answers(ticket, status=status)
    return {
        "/api/v1/audio/speech": issue,
        "/api/v1/speech": issue,
        "/api/tts/status": [*[answers(ticket)] * polls, answers(end or done)],
        "/files/run-1": speaks(audio, media_type=media_type, framing="length"),
    }


# ------------------------------------------------------------------------------------------------
# the server


class Upstream:
    """The server, while it runs."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._closed = False
        self._connected = 0
        self._arrived = asyncio.Condition()
        self.at_work = 0
        """How many requests it is answering now."""
        self.url = ""
        """`http://127.0.0.1:PORT`, without a path."""
        self.requests: list[Request] = []

    async def request(self, number: int = 1, within_s: float = 5.0) -> Request:
        """The request of that number, counted from 1, as soon as it is here.

        Raises:
            TimeoutError: it did not come.
        """
        async with asyncio.timeout(within_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= number)
        return self.requests[number - 1]

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection in a task of our own, which `close` may cancel."""
        if self._closed:
            writer.transport.abort()
            return
        self._connected += 1
        task = asyncio.create_task(self._serve(reader, writer, self._connected))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        """One connection, from its first request to its end."""
        watch = asyncio.ensure_future(reader.read(1))
        try:
            keep = True
            while keep and (request := await _read(watch, reader, number)):
                watch = asyncio.ensure_future(_watched(reader, request.gone))
                keep = await self._answer(request, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass  # the client left within a request, or does not speak HTTP
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def close(self) -> None:
        """End every connection, also one that has not begun to be served."""
        self._closed = True
        connections = dict(self._connections)
        for task, writer in connections.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Behave; whether the connection may serve another."""
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        exchange = Exchange(request, writer, self.url)
        self.at_work += 1
        try:
            await self._behaviour(request)(exchange)
        except ClientLeft:
            return False
        finally:
            self.at_work -= 1
        return exchange.keep

    def _behaviour(self, request: Request) -> Behaviour:
        script, before = self._script, self.requests[:-1]
        if isinstance(script, Mapping):
            if request.path not in script:
                return refuses(404, f"there is no {request.path} here")
            script = script[request.path]
            before = [earlier for earlier in before if earlier.path == request.path]
        if isinstance(script, Sequence):
            return script[min(len(before), len(script) - 1)]
        return script


@asynccontextmanager
async def misbehaving(script: Script) -> AsyncIterator[Upstream]:
    """Run the server on a free port of the loopback."""
    upstream = Upstream(script)
    server = await asyncio.start_server(upstream.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream.url = f"http://127.0.0.1:{port}"
    try:
        yield upstream
    finally:
        server.close()
        await upstream.close()
        await server.wait_closed()


async def _watched(reader: asyncio.StreamReader, gone: asyncio.Event) -> bytes:
    """The first byte of the next request; without one the client is gone."""
    try:
        byte = await reader.read(1)
    except ConnectionError:
        byte = b""
    if not byte:
        gone.set()
    return byte


async def _read(
    watch: asyncio.Future[bytes], reader: asyncio.StreamReader, connection: int
) -> Request | None:
    """The next request of a connection; `None` at its end."""
    first = await watch
    if not first:
        return None
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, _, rest = head.partition("\r\n")
    method, target, _ = start.split(" ")
    headers = _headers(rest)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunked(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body, connection)


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return bytes(body)


def _headers(lines: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines.split("\r\n") if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
