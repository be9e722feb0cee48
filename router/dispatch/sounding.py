"""A provider that has begun to sound, and what is held of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from typing import Protocol

from router.audio.pipeline import Pipeline
from router.contract.audio import AudioFormat, AudioStream
from router.contract.caller import Share, Turn
from router.dispatch.limits import Hold


class Sounding:
    """A provider that has begun to sound. Closing it, at any moment, lets go of everything."""

    def __init__(
        self,
        stack: AsyncExitStack,
        stream: AudioStream,
        body: AsyncIterator[bytes],
        pipeline: Pipeline,
        held: Held,
    ) -> None:
        self._stack = stack
        self._pipeline = pipeline
        self._held = held
        self._stream = stream
        self.body = body
        self.length: int | None = None

    @property
    def format(self) -> AudioFormat:
        return self._pipeline.format

    @property
    def seconds(self) -> float | None:
        return self._pipeline.seconds

    @property
    def ended(self) -> bool:
        """Whether the provider has said all of it (or was let go)."""
        return self._held.released

    @property
    def voice(self) -> str | None:
        return self._stream.voice

    @property
    def framed(self) -> bool:
        return self._stream.framed

    @property
    def upstream_id(self) -> str | None:
        return self._stream.upstream_id

    @property
    def tokens(self) -> int | None:
        return self._stream.tokens

    @property
    def shares(self) -> tuple[Share, ...]:
        return ()

    def exact(self, body: bytearray) -> None:
        self._pipeline.exact(body)

    async def aclose(self) -> None:
        await self._stack.aclose()


class Held:
    """What is held of a provider until it has said all, or is let go."""

    def __init__(self, slot: Hold) -> None:
        self._slot = slot
        self.turn: Turn | None = None
        self.released = False

    def release(self) -> None:
        self.released = True
        self._slot.release()
        if self.turn is not None:
            self.turn.done()


async def fed(pipeline: Pipeline, chunk: bytes) -> bytes:
    """Feed a chunk, in a thread where that takes long."""
    if not pipeline.is_heavy(chunk):
        return pipeline.feed(chunk)
    return await asyncio.to_thread(pipeline.feed, chunk)


class _Whole(Protocol):
    """What can be held whole."""

    body: AsyncIterator[bytes]
    length: int | None

    def exact(self, body: bytearray) -> None: ...


async def held_whole(sound: _Whole, most: int) -> None:
    """Hold all of a sound, unless it grows beyond `most` bytes: then it streams on from there."""
    body = bytearray()
    async for chunk in sound.body:
        body += chunk
        if len(body) > most:
            sound.body = _chain(bytes(body), sound.body)
            return
    sound.exact(body)
    sound.length = len(body)
    sound.body = one(bytes(body))


async def one(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
