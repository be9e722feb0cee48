"""One child process, seen from the router: it does one order at a time."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from router.contract.errors import Broken, ProviderError, Refused, TimedOut

_LENGTH = struct.Struct("<I")
_HEADER = struct.Struct("<cI")
_STOP = _LENGTH.pack(0)
_LONGEST_FRAME = 1 << 20

_POLITE_S = 0.2
"""How long a child may take to stop; a healthy one takes 4 ms at most."""
_START_S = 20.0
"""How long a child may take to start: espeak-ng 20 ms, the reader of kanji 2 s."""

_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that a child inherits: where a Python built with a shared library finds it. No keys."""

_END, _STOPPED = b"E", b"S"


class Worker:
    """A process that speaks the protocol of `child.py`. Its maker kills and reaps it."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start the process: a fork and an exec, about a millisecond.

        Raises:
            Broken: it cannot be started at all.
        """
        self._socket, theirs = socket.socketpair()
        try:
            self._process = _start(command, theirs)
        except OSError as error:
            self._socket.close()
            raise Broken("the espeak-ng process cannot be started") from error
        finally:
            theirs.close()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._header: tuple[bytes, int] | None = None
        self._at_work = False

    @property
    def is_alive(self) -> bool:
        """Whether it can take an order, as far as can be known without asking it."""
        ended = self._reader is None or self._reader.at_eof() or self._reader.exception()
        return not ended and self._process.poll() is None

    async def ready(self) -> None:
        """Wait until it has started.

        Raises:
            Broken: it ended, or took too long.
        """
        self._socket.setblocking(False)
        self._reader, self._writer = await asyncio.open_connection(sock=self._socket)
        try:
            async with asyncio.timeout(_START_S):
                await self._frame()
        except TimeoutError as error:
            raise Broken("the espeak-ng process does not start") from error

    def order(self, order: msgspec.Struct) -> None:
        """Hand it an order; `next` gives what comes of it."""
        frame = msgspec.json.encode(order)
        self._at_work = True
        self._connection().write(_LENGTH.pack(len(frame)) + frame)

    async def next(self) -> bytes | None:
        """What comes next of the order; `None` at its end.

        Raises:
            Refused: there is nothing to say in the text.
            Broken: it failed, or the process ended.
        """
        if not self._at_work:
            return None
        kind, payload = await self._frame()
        if kind == b"A":
            return payload
        self._at_work = False
        if kind == _END:
            return None
        if payload == b"silent":
            raise Refused("espeak-ng finds nothing to say in this text")
        raise Broken("espeak-ng failed")

    async def settle(self) -> bool:
        """Stop what it is doing; whether it is free for the next order now."""
        return not self._at_work or await self._stopped()

    async def check(self) -> None:
        """Ask an idle worker for a sign of life.

        Raises:
            TimedOut: it gives none.
        """
        if not await self._stopped():
            raise TimedOut("the espeak-ng process does not answer")

    def kill(self) -> None:
        """End it without a word; what it has sent is lost. Every read fails from now on."""
        if self._writer is None:
            self._socket.close()
        else:
            self._writer.transport.abort()
        self._process.kill()

    async def reap(self) -> None:
        """Wait for the end of a killed process, which is a matter of milliseconds."""
        await asyncio.to_thread(self._process.wait)
        if self._writer is not None:
            with suppress(OSError):
                await self._writer.wait_closed()

    async def _stopped(self) -> bool:
        """Exactly one S answers each stop; what was under way before it is thrown away."""
        self._at_work = True  # until it has answered
        try:
            async with asyncio.timeout(_POLITE_S):
                self._connection().write(_STOP)
                while (await self._frame())[0] != _STOPPED:
                    pass
        except (TimeoutError, ProviderError, RuntimeError):
            return False  # a RuntimeError: somebody still reads, who must not get what comes next
        self._at_work = False
        return True

    async def _frame(self) -> tuple[bytes, bytes]:
        """The next frame. It may be cancelled anywhere without losing its place."""
        reader = self._reader
        assert reader is not None
        try:
            if self._header is None:
                self._header = _HEADER.unpack(await reader.readexactly(_HEADER.size))
            kind, length = self._header
            if length > _LONGEST_FRAME:
                raise Broken("the espeak-ng process does not keep to its protocol")
            payload = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Broken("the espeak-ng process ended unexpectedly") from error
        self._header = None
        return kind, payload

    def _connection(self) -> asyncio.StreamWriter:
        assert self._writer is not None
        return self._writer


def _start(command: Sequence[str], theirs: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=theirs.fileno(),
        stdout=theirs.fileno(),
        stderr=subprocess.DEVNULL,  # a library may print what it was given
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        cwd="/",
        start_new_session=True,  # Ctrl-C is for the router, which lets its requests end first
    )
