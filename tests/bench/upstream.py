"""A mock of OpenAI's speech API that costs next to nothing: `python -m tests.bench.upstream`.

Under `/v1` it answers 64 KiB of audio at once. Under `/slow/v1` it sends the head at once, then
4 KiB every 20 ms, and writes into the first of them when that was sent.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

import uvloop

BODY_BYTES = 65_536
SLICE_BYTES = 4_096
SLICES = 4
EVERY_S = 0.02
_STAMP = slice(64, 72)
"""Where the time of sending stands: `time.monotonic_ns()`, one clock for the whole machine."""

MP3 = (b"\xff\xfb\x90\x00" + bytes(413)) * (BODY_BYTES // 417 + 1)
"""Silent frames of MPEG-1 layer III: 128 kbit/s, 44.1 kHz, stereo (ISO/IEC 11172-3, 2.4.1)."""


def sent_at_ns(head: bytes) -> int:
    """When the upstream sent the slow stream that begins like this."""
    return int.from_bytes(head[_STAMP], "big")


def _head(media_type: str, framing: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\n{framing}\r\n\r\n".encode()


PCM = bytes(range(256)) * (BODY_BYTES // 256)
"""A loud sound of 1.4 s at 24 kHz: silence would not be taken for speech."""

_AT_ONCE = f"content-length: {BODY_BYTES}"
_ANSWER_MP3 = _head("audio/mpeg", _AT_ONCE) + MP3[:BODY_BYTES]
_ANSWER_PCM = _head("audio/pcm", _AT_ONCE) + PCM
_SLOW_HEAD = _head("audio/mpeg", "transfer-encoding: chunked")


class Mock(asyncio.Protocol):
    """One connection. Requests come one after the other, each with a `Content-Length`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self._speaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._speaking is not None:
            self._speaking.cancel()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, end, body = self._unread.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return
        self._unread = b""
        assert self._transport is not None
        if b" /slow/" in head[:20]:
            self._speaking = asyncio.ensure_future(self._speak_slowly())
        else:
            self._transport.write(_ANSWER_PCM if b'"pcm"' in body else _ANSWER_MP3)

    async def _speak_slowly(self) -> None:
        self._write(_SLOW_HEAD)
        for index in range(SLICES):
            await asyncio.sleep(EVERY_S)
            audio = bytearray(MP3[:SLICE_BYTES])
            if index == 0:
                audio[_STAMP] = time.monotonic_ns().to_bytes(8, "big")
            self._write(b"%x\r\n%b\r\n" % (SLICE_BYTES, bytes(audio)))
        self._write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
