"""Speech under way: what the caller is told of it, and its bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from router.contract.audio import AudioFormat

INLINE_BYTES = 65_536
"""What a server's own write buffer takes before a slow reader is felt (uvicorn's high-water
mark)."""
RUN_AHEAD_BYTES = 8_388_608


class Speech:
    """Iterate `chunks` once, to the end: then `complete` is true. Its journey closes it."""

    def __init__(
        self,
        *,
        chunks: AsyncIterator[bytes],
        format: AudioFormat,
        length: int | None,
        model: str,
        provider: str,
        upstream_model: str,
        voice: str,
        fallback: str,
        ignored: tuple[str, ...],
        warnings: tuple[str, ...],
        characters: int,
        upstream_id: str | None,
        seconds: Callable[[], float | None],
    ) -> None:
        self._chunks = chunks
        self.format = format
        self.length = length
        """Exact bytes of the whole body, where it is held whole."""
        self.model = model
        self.provider = provider
        self.upstream_model = upstream_model
        self.voice = voice
        self.fallback = fallback
        self.ignored = ignored
        self.warnings = warnings
        self.characters = characters
        self.upstream_id = upstream_id
        self._seconds = seconds
        self.bytes_out = 0
        self.complete = False

    @property
    def seconds(self) -> float | None:
        """Seconds of audio made so far; `None` for a compressed body that passes through."""
        return self._seconds()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body. Raises ProviderError where speech breaks off: what came before is not whole."""
        async for chunk in self._chunks:
            self.bytes_out += len(chunk)
            yield chunk
        self.complete = True


class RunAhead:
    """Reads a source up to 8 MiB ahead of its reader, so that a slow reader holds no provider.

    The first 64 KiB are handed through as they come: there a reader cannot be slow, and most speech
    is shorter, so most speech pays for no task.
    """

    def __init__(
        self,
        source: AsyncIterator[bytes],
        *,
        inline: int = INLINE_BYTES,
        most: int = RUN_AHEAD_BYTES,
    ) -> None:
        self._source = source
        self._inline = inline
        self._most = most
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Event()
        """Set whenever either side has done something that the other may wait for."""

    def __aiter__(self) -> RunAhead:
        return self

    async def __anext__(self) -> bytes:
        if self._task is None:
            if self._inline >= 0:
                chunk = await anext(self._source)
                self._inline -= len(chunk)
                return chunk
            self._task = asyncio.create_task(self._read(), name="run-ahead")
        while not self._held:
            if self._task.done():
                self._task.result()  # the source's error, if it had one
                raise StopAsyncIteration
            self._turn.clear()
            await self._turn.wait()
        chunk = self._held.popleft()
        self._held_bytes -= len(chunk)
        self._turn.set()
        return chunk

    async def stop(self) -> None:
        """End the task; nothing is read after this returns."""
        task, self._task = self._task, None  # a cancelled task keeps its traceback, which holds us
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for chunk in self._source:
                self._held.append(chunk)
                self._held_bytes += len(chunk)
                self._turn.set()
                while self._held_bytes >= self._most:
                    self._turn.clear()
                    await self._turn.wait()
        finally:
            asyncio.get_running_loop().call_soon(self._turn.set)
