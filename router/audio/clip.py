"""Turns an uploaded voice sample into samples, in a process that may be killed.

FFmpeg reads what strangers send, so it does it in a child that has given up almost everything (see
`clip_child.py`) and ends when it takes too long: a thread inside FFmpeg could not be ended. Each
child is spoken to from a thread, because a long clip is 46 MB of samples.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from router.contract.audio import Clip
from router.contract.errors import BadClip, Draining, Overloaded, RouterError

RATE = 48_000
LONGEST_S, SHORTEST_S = 120, 1
WALL_S = 10.0
"""How long a clip may take; 120 s of mp3 take half a second, and the child has 6 s of processor."""
START_S = 20.0
"""How long a child may take to start: a third of a second as a rule."""

_JOBS = 500
"""How many clips a child decodes before another takes its place: FFmpeg may leak."""
_MOST_FRAMES = (LONGEST_S + 1) * RATE
_LARGEST_FILE = 16 << 20

_ORDER = struct.Struct("<8sI")
_ANSWER = struct.Struct("<IB")
_REFUSAL = struct.Struct("<8sd")

_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that a child inherits: where a Python built with a shared library finds it. No keys."""

_UNREADABLE = "The voice sample cannot be decoded. Send an mp3, wav, flac, m4a or ogg file."
_WORDS = {
    "noaudio": "There is no audio in the voice sample.",
    "broken": _UNREADABLE,
    "silent": "The voice sample is silent.",
    "short": f"The voice sample has {{:.1f}} s of sound. At least {SHORTEST_S} s is needed.",
    "long": f"The voice sample is longer than {LONGEST_S} s. Send at most {LONGEST_S} s.",
    "rate": "The voice sample has {:.0f} samples a second. 4,000 to 192,000 are read.",
    "many": "The voice sample has {:.0f} channels. At most 8 are read.",
}
"""What the words of a child's refusals mean. A child that was taken over can say nothing else."""

_T = TypeVar("_T")


class ClipDecoder:
    """Decodes clips in warm children, which start with the first clip and end with the block.

        async with ClipDecoder() as decoder:
            clip = await decoder.decode(clip)

    At most `children` clips are decoded at a time and `waiting` wait for it, `patience_s` at most.
    """

    def __init__(
        self,
        *,
        children: int = 2,
        waiting: int = 16,
        patience_s: float = 5.0,
        wall_s: float = WALL_S,
        command: Sequence[str] | None = None,
    ) -> None:
        """`command` starts a child in another way than this Python's."""
        self._command = command
        self._places = asyncio.Semaphore(children)
        self._waiting = 0
        self._most_waiting = waiting
        self._patience_s = patience_s
        self._wall_s = wall_s
        self._idle: list[_Child] = []
        self._threads = ThreadPoolExecutor(children, "clip")
        self._at_work: dict[asyncio.Future[Any], _Child] = {}
        self._is_open = False

    async def __aenter__(self) -> ClipDecoder:
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
        idle, self._idle = self._idle, []
        for child in idle:
            await self._in_thread(child, child.end)
        self._threads.shutdown()

    async def decode(self, clip: Clip) -> Clip:
        """The clip with its samples.

        Raises:
            BadClip: no audio, silent, under 1 s of sound, over 120 s, or not to be decoded.
            Overloaded: too many clips are waiting, or this one waited too long.
            Draining: the decoder is closed.
            RouterError: no child can be started.
        """
        if len(clip.data) > _LARGEST_FILE:
            raise BadClip(f"The voice sample is larger than {_LARGEST_FILE >> 20} MiB.")
        await self._place()
        try:
            child = self._idle_child() or _Child(self._command or _own_command())
            try:
                return await self._in_thread(child, lambda: child.decode(clip, self._wall_s))
            finally:
                if child.is_fit and self._is_open:
                    self._idle.append(child)
                else:
                    await self._in_thread(child, child.end)
        finally:
            self._places.release()

    async def _place(self) -> None:
        if not self._is_open:
            raise Draining("The server is going down.")
        busy = "Too many voice samples are being decoded."
        if self._places.locked() and self._waiting >= self._most_waiting:
            raise Overloaded(busy, retry_after=self._patience_s)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience_s):
                await self._places.acquire()
        except TimeoutError as error:
            raise Overloaded(busy, retry_after=self._patience_s) from error
        finally:
            self._waiting -= 1
