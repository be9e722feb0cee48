"""Turns an uploaded voice sample into samples, in a process that may be killed.

FFmpeg reads what strangers send, so it does it in a child that has given up almost everything (see
`clip_child.py`) and is ended when it takes too long: a thread inside FFmpeg could not be. A child
is spoken to from a thread, because a long clip is 46 MB of samples.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from router.contract.audio import Clip
from router.contract.errors import BadClip, Draining, Overloaded, RouterError

if TYPE_CHECKING:
    import numpy as np

    Samples = np.ndarray[Any, np.dtype[np.float32]]

RATE = 48_000
LONGEST_S, SHORTEST_S = 120, 1
WALL_S = 10.0
"""How long a clip may take; 120 s of mp3 take one second, and the child has 6 s of processor."""

_START_S = 20.0
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
_BUSY = "Too many voice samples are being decoded."
_WORDS = {
    b"noaudio": "There is no audio in the voice sample.",
    b"broken": _UNREADABLE,
    b"silent": "The voice sample is silent.",
    b"short": f"The voice sample has {{:.2f}} s of sound. At least {SHORTEST_S} s is needed.",
    b"long": f"The voice sample is longer than {LONGEST_S} s. Send at most {LONGEST_S} s.",
    b"rate": "The voice sample has {:.0f} samples a second. 4,000 to 192,000 are read.",
    b"many": "The voice sample has {:.0f} channels. At most 8 are read.",
}
"""What a child's refusals mean. A child that was taken over can say nothing else."""


class ClipDecoder:
    """Decodes clips in warm children, which start when they are needed and end with the block.

        async with ClipDecoder() as decoder:
            clip = await decoder.decode(clip)

    At most `children` clips are decoded at a time; `waiting` more wait, each `patience_s` at most.
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
        """`command` starts a child in another way than as this Python's."""
        self._command = command
        self._places = asyncio.Semaphore(children)
        self._waiting = 0
        self._most_waiting = waiting
        self._patience_s = patience_s
        self._wall_s = wall_s
        self._threads = ThreadPoolExecutor(children, "clip")
        self._children: set[Child] = set()
        self._idle: list[Child] = []
        self._at_work: dict[asyncio.Future[Clip], Child] = {}
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
        for child in self._children:
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
        if len(clip.data) > _LARGEST_FILE:
            raise BadClip(f"The voice sample is larger than {_LARGEST_FILE >> 20} MiB.")
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
            raise
        finally:
            if child.is_fit:
                self._idle.append(child)
            elif child.is_over:
                self._children.discard(child)

    def _idle_child(self) -> Child | None:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            child.end()
            self._children.discard(child)
        return None

    def _new_child(self) -> Child:
        child = Child(self._command or _own_command())
        self._children.add(child)
        return child


class Child:
    """A process that runs `clip_child.py`. All but `kill` blocks and is called in a thread."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._socket, self._theirs = socket.socketpair()
        self._process: subprocess.Popen[bytes] | None = None
        self._jobs = 0
        self._is_killed = False
        self.is_over = False

    @property
    def is_fit(self) -> bool:
        """Whether it may be given another clip."""
        return not self._is_killed and not self.is_over

    @property
    def is_alive(self) -> bool:
        """Whether it is still there, as far as can be known without asking it. Does not block."""
        return self._process is not None and self._process.poll() is None

    def decode(self, clip: Clip, wall_s: float) -> Clip:
        """Have a clip decoded. A child that fails, or has done enough, is over when this ends.

        Raises:
            BadClip: the clip cannot be used.
            Draining: the child was killed by its owner.
            RouterError: the child does not start.
        """
        try:
            if self._process is None:
                self._start()
            decoded = self._decoded(clip, wall_s)
        except _Refused as refused:
            self._count()
            raise BadClip(str(refused)) from None
        except BaseException:
            self.end()
            raise
        self._count()
        return decoded

    def kill(self) -> None:
        """Let the thread that waits for it go, and end it. From any thread; does not block."""
        self._is_killed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Kill it and wait for its end, which is a matter of milliseconds."""
        self._is_killed = self.is_over = True
        self._socket.close()
        self._theirs.close()
        if self._process is not None:
            with suppress(PermissionError):  # it is another user's now; the closed socket ends it
                self._process.kill()
            self._process.wait()

    def _count(self) -> None:
        self._jobs += 1
        if self._jobs >= _JOBS:
            self.end()

    def _start(self) -> None:
        try:
            self._process = _started(self._command, self._theirs)
            self._theirs.close()
            self._receive(bytearray(1), time.monotonic() + _START_S)
        except (OSError, EOFError) as error:
            raise RouterError("The process that decodes voice samples does not start.") from error

    def _decoded(self, clip: Clip, wall_s: float) -> Clip:
        ends_at = time.monotonic() + wall_s
        try:
            self._socket.settimeout(wall_s)
            self._socket.sendall(_ORDER.pack(clip.container.encode(), len(clip.data)))
            self._socket.sendall(clip.data)
            samples, clips = self._answer(ends_at)
        except TimeoutError as error:
            raise BadClip(f"The voice sample cannot be decoded within {wall_s:.0f} s.") from error
        except (OSError, EOFError, ValueError) as error:
            if self._is_killed:
                raise Draining("The server is going down.") from error
            raise BadClip(_UNREADABLE) from error
        seconds = samples.shape[1] / RATE
        return msgspec.structs.replace(clip, samples=samples, seconds=seconds, clips=clips)

    def _answer(self, ends_at: float) -> tuple[Samples, bool]:
        kind = self._receive(bytearray(1), ends_at)
        if kind == b"X":
            word, number = _REFUSAL.unpack(self._receive(bytearray(_REFUSAL.size), ends_at))
            raise _Refused(_WORDS.get(word.rstrip(b"\0"), _UNREADABLE).format(number))
        frames, clips = _ANSWER.unpack(self._receive(bytearray(_ANSWER.size), ends_at))
        if kind != b"S" or not 0 < frames <= _MOST_FRAMES:
            raise ValueError("the child does not keep to its protocol")
        import numpy as np  # noqa: PLC0415

        samples: Samples = np.empty((2, frames), np.float32)
        self._receive(samples, ends_at)
        if not (samples.min() >= -1 and samples.max() <= 1):  # nor if one is not a number
            raise ValueError("the child does not keep to its protocol")
        return samples, bool(clips)

    def _receive(self, buffer: Any, ends_at: float) -> Any:
        """Fill a buffer and return it.

        Raises:
            TimeoutError, OSError: too late, or broken.
            EOFError: the child has ended.
        """
        view = memoryview(buffer).cast("B")
        while view:
            self._socket.settimeout(max(0.001, ends_at - time.monotonic()))
            got = self._socket.recv_into(view)
            if not got:
                raise EOFError
            view = view[got:]
        return buffer


class _Refused(Exception):
    """The child has looked at the clip and does not want it; the message is for the caller."""


def _started(command: Sequence[str], theirs: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=theirs.fileno(),
        stdout=theirs.fileno(),
        stderr=subprocess.DEVNULL,  # a library may print what it was given
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        cwd="/",
        start_new_session=True,  # Ctrl-C is for the router, which lets its requests end first
    )


def _own_command() -> list[str]:
    """This Python without its surroundings; the child is told where the three packages are.

    Raises:
        RouterError: one is not installed.
    """
    directories = []
    for name in ("av", "numpy", "soxr"):
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise RouterError(f"Voice samples cannot be decoded: {name} is not installed.")
        directories.append(str(Path(spec.origin).parents[1]))
    program = str(Path(__file__).with_name("clip_child.py"))
    return [sys.executable, "-I", "-S", program, *dict.fromkeys(directories)]
