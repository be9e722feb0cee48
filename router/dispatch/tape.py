"""What was made of a speech so far, for everybody who listens: one writes, each reads at its own
pace."""

from __future__ import annotations

import asyncio
import copy
from collections import deque

from router.contract.errors import RouterError, SpeechError

AHEAD_BYTES = 8_388_608
"""How far the writer may be ahead of the foremost reader: a slow reader holds no provider, and a
caller who leaves has not had an hour of speech made for nobody."""
JOIN_BYTES = 1_048_576
"""So much is kept from the start for who comes later; beyond it nobody can join any more."""
HELD_BYTES = 67_108_864
"""The most that waits for the slowest reader while others are ahead."""


def afresh(error: Exception) -> Exception:
    """The same error of ours, for another to be raised: one that is kept and raised holds, by its
    traceback, whoever keeps it, and only the collector would part them. What is not of the tree
    keeps its traceback, for somebody will have to read it."""
    return copy.copy(error) if isinstance(error, SpeechError) else error


class Lagging(RouterError):
    """This reader is so far behind the others that its audio is no longer kept."""

    reason = "too_slow"


class Tape:
    """Chunks in the order in which they were made, until every reader has them."""

    def __init__(
        self, *, ahead: int = AHEAD_BYTES, join: int = JOIN_BYTES, held: int = HELD_BYTES
    ) -> None:
        """Bounds in bytes, as the constants say."""
        self._ahead, self._join, self._most = ahead, join, held
        self._chunks: deque[bytes] = deque()
        self._dropped = 0
        """Chunks that are no longer kept."""
        self._held_bytes = 0
        self.made_bytes = 0
        self.over = False
        self._error: Exception | None = None
        self._readers: list[Reader] = []
        self._turn = asyncio.Event()
        """Set whenever the writer may have room again."""

    @property
    def readers(self) -> int:
        return len(self._readers)

    @property
    def may_join(self) -> bool:
        """Whether a new reader would hear it from its start."""
        has_all = self._dropped == 0 and self.made_bytes <= self._join
        return has_all and self._error is None

    def keep(self, most_bytes: int) -> None:
        """Keep up to so many bytes from the start, whoever has read them."""
        self._join = max(self._join, most_bytes)

    @property
    def whole(self) -> tuple[bytes, ...] | None:
        """All that was made; `None`: some of it is no longer kept."""
        return tuple(self._chunks) if self._dropped == 0 else None

    def reader(self) -> Reader:
        """Somebody who hears it from its start."""
        assert self._dropped == 0
        reader = Reader(self)
        self._readers.append(reader)
        self._turn.set()
        return reader

    async def put(self, chunk: bytes) -> None:
        """Add a chunk, and wait until the foremost reader is near enough."""
        self._chunks.append(chunk)
        self._held_bytes += len(chunk)
        self.made_bytes += len(chunk)
        for reader in self._readers:
            reader.wake()
        if self.made_bytes - self._foremost > self._ahead:
            self._let_go_of_laggards()
            while self.made_bytes - self._foremost > self._ahead:
                self._turn.clear()
                await self._turn.wait()
        elif self._held_bytes > self._join:
            self._let_go_of_laggards()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more will come; with an error, what came is not whole."""
        self.over, self._error = True, error
        for reader in self._readers:
            reader.wake()

    @property
    def _foremost(self) -> int:
        return max([reader.taken_bytes for reader in self._readers], default=0)

    def _let_go_of_laggards(self) -> None:
        """Forget what all have, and cut off who would make us keep too much for it."""
        foremost = self._foremost
        for reader in self._readers:
            lags = reader.taken_bytes < foremost
            if lags and self.made_bytes - reader.taken_bytes > self._most:
                reader.cut_off()
        self._forget()

    def _forget(self) -> None:
        if self.made_bytes <= self._join:
            return
        first = min([r.at for r in self._readers if not r.is_cut_off], default=self._dropped)
        while self._dropped < first:
            self._held_bytes -= len(self._chunks.popleft())
            self._dropped += 1

    def _next(self, reader: Reader) -> bytes | None:
        """The reader's next chunk; `None`: it has to wait. Raises when there is no more."""
        if reader.is_cut_off:
            raise Lagging("You read too slowly; what you had not taken is no longer kept.")
        at = reader.at - self._dropped
        if at < len(self._chunks):
            chunk = self._chunks[at]
            reader.at += 1
            reader.taken_bytes += len(chunk)
            self._forget()
            self._turn.set()
            return chunk
        if self._error is not None:
            raise afresh(self._error)
        if self.over:
            raise StopAsyncIteration
        return None

    def _left(self, reader: Reader) -> None:
        if reader in self._readers:
            self._readers.remove(reader)
            self._forget()
            self._turn.set()


class Reader:
    """One listener's place on a tape. Iterate it once; `leave` when done."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._more: asyncio.Future[None] | None = None
        self.at = 0
        """Chunks that were taken."""
        self.taken_bytes = 0
        self.is_cut_off = False

    @property
    def waiting_bytes(self) -> int:
        """Made already, and not yet taken."""
        return self._tape.made_bytes - self.taken_bytes

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> bytes:
        """Raises the error with which the speech broke off, or Lagging."""
        while (chunk := self._tape._next(self)) is None:  # noqa: SLF001  # both halves of one thing
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        return chunk

    def wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def cut_off(self) -> None:
        self.is_cut_off = True
        self.wake()

    def leave(self) -> None:
        """Read no more. Twice is harmless."""
        self._tape._left(self)  # noqa: SLF001
