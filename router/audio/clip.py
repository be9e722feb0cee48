"""Turns an uploaded voice sample into samples, in processes that may be killed.

FFmpeg reads what strangers send, so it does it in a child that has given up almost everything (see
`clip_child.py`) and is ended when it takes too long: a thread inside FFmpeg could not be. A child
is spoken to from a thread, because a long clip is 46 MB of samples.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from router.audio.clip_process import Child
from router.audio.clip_terms import LARGEST_FILE, WALL_S
from router.contract.audio import Clip
from router.contract.errors import BadClip, Draining, Overloaded

CHILDREN = 2
"""How many clips are decoded at a time."""

_BUSY = "Too many voice samples are being decoded."


class ClipDecoder:
    """Decodes clips in warm children, which start when they are needed and end with the block.

        async with ClipDecoder() as decoder:
            clip = await decoder.decode(clip)

    At most `children` clips are decoded at a time; `waiting` more wait, each `patience_s` at most.
    """

    def __init__(
        self,
        *,
        children: int = CHILDREN,
        waiting: int = 16,
        patience_s: float = 5.0,
        wall_s: float = WALL_S,
        command: Sequence[str] | None = None,
    ) -> None:
        """`command` starts a child in another way than as this Python's."""
        self._command = command
        self._places = asyncio.Semaphore(children)
        self._waiting = 0
        self._most_waiting = waiting
        self._patience_s = patience_s
        self._wall_s = wall_s
        self._threads = ThreadPoolExecutor(children, "clip")
        self.children: set[Child] = set()
        """All that live, at work or idle."""
        self._idle: list[Child] = []
        self._at_work: dict[asyncio.Future[Clip], Child] = {}
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill all children, also those at work, and wait until nothing is left of them."""
        self._is_open = False
        for child in self._at_work.values():
            child.kill()
        if self._at_work:
            await asyncio.wait(self._at_work)
        for child in list(self.children):
            await asyncio.get_running_loop().run_in_executor(self._threads, child.end)
        self._threads.shutdown()

    async def decode(self, clip: Clip) -> Clip:
        """The same clip with its samples.

        Raises:
            BadClip: no audio, silent, under 1 s of sound, over 120 s, or not to be decoded.
            Overloaded: too many clips are waiting, or this one waited too long.
            Draining: the decoder is closed.
            RouterError: no child can be started.
        """
        if len(clip.data) > LARGEST_FILE:
            raise BadClip(f"The voice sample is larger than {LARGEST_FILE >> 20} MiB.")
        await self._take_place()
        try:
            if not self._is_open:
                raise Draining("The server is going down.")
            return await self._decode(clip, self._idle_child() or self._new_child())
        finally:
            self._places.release()

    async def _take_place(self) -> None:
        if self._places.locked() and self._waiting >= self._most_waiting:
            raise Overloaded(_BUSY, retry_after=self._patience_s)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience_s):
                await self._places.acquire()
        except TimeoutError as error:
            raise Overloaded(_BUSY, retry_after=self._patience_s) from error
        finally:
            self._waiting -= 1

    async def _decode(self, clip: Clip, child: Child) -> Clip:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._threads, child.decode, clip, self._wall_s)
        self._at_work[job] = child
        job.add_done_callback(self._at_work.pop)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            child.kill()
            await asyncio.wait([job])  # the place is free when the thread is
            if not job.cancelled():
                job.exception()  # that it was killed is known; else the loop tells of it as a bug
            if not child.is_over:  # it had just finished
                await loop.run_in_executor(self._threads, child.end)
            raise
        finally:
            if child.is_fit:
                self._idle.append(child)
            elif child.is_over:
                self.children.discard(child)

    def _idle_child(self) -> Child | None:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            child.end()
            self.children.discard(child)
        return None

    def _new_child(self) -> Child:
        child = Child(self._command)
        self.children.add(child)
        return child
