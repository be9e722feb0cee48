"""One decoding process, seen from the router."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from router.audio.clip_terms import ANSWER, MOST_FRAMES, ORDER, RATE, REFUSAL, UNREADABLE, WHY
from router.contract.audio import Clip
from router.contract.errors import BadClip, Draining, RouterError

if TYPE_CHECKING:
    import numpy as np

    Samples = np.ndarray[Any, np.dtype[np.float32]]

_START_S = 20.0
"""How long a child may take to start: a third of a second as a rule."""
_JOBS = 500
"""How many clips a child decodes before another takes its place: FFmpeg may leak."""

_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that a child inherits: where a Python built with a shared library finds it. No keys."""


class Child:
    """A process that runs `clip_child.py`. All but `kill` blocks and is called in a thread."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        """`command` starts it in another way than as this Python's."""
        self._command = command
        self._socket, self._theirs = socket.socketpair()
        self._process: subprocess.Popen[bytes] | None = None
        self._jobs = 0
        self._is_killed = False
        self.is_over = False

    @property
    def pid(self) -> int | None:
        """`None` until it is started."""
        return self._process.pid if self._process else None

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
        except BaseException as error:
            was_killed = self._is_killed
            self.end()
            if was_killed:
                raise Draining("The server is going down.") from error
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
            self._process = _started(self._command or _own_command(), self._theirs)
            self._theirs.close()
            self._receive(bytearray(1), time.monotonic() + _START_S)
        except (OSError, EOFError) as error:
            raise RouterError("The process that decodes voice samples does not start.") from error

    def _decoded(self, clip: Clip, wall_s: float) -> Clip:
        ends_at = time.monotonic() + wall_s
        try:
            self._socket.settimeout(wall_s)
            self._socket.sendall(ORDER.pack(clip.container.encode(), len(clip.data)))
            self._socket.sendall(clip.data)
            samples, clips = self._answer(ends_at)
        except TimeoutError as error:
            raise BadClip(f"The voice sample cannot be decoded within {wall_s:.0f} s.") from error
        except (OSError, EOFError, ValueError) as error:
            raise BadClip(UNREADABLE) from error
        seconds = samples.shape[1] / RATE
        return msgspec.structs.replace(clip, samples=samples, seconds=seconds, clips=clips)

    def _answer(self, ends_at: float) -> tuple[Samples, bool]:
        kind = self._receive(bytearray(1), ends_at)
        if kind == b"X":
            word, number = REFUSAL.unpack(self._receive(bytearray(REFUSAL.size), ends_at))
            why = WHY.get(word.rstrip(b"\0").decode("ascii", "replace"), UNREADABLE)
            raise _Refused(why.format(number))
        frames, clips = ANSWER.unpack(self._receive(bytearray(ANSWER.size), ends_at))
        if kind != b"S" or not 0 < frames <= MOST_FRAMES:
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
    """This Python without its surroundings; the child is told where the packages are.

    Raises:
        RouterError: one is not installed.
    """
    directories = []
    for name in ("av", "numpy", "soxr", "router"):
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise RouterError(f"Voice samples cannot be decoded: {name} is not installed.")
        directories.append(str(Path(spec.origin).parents[1]))
    program = str(Path(__file__).with_name("clip_child.py"))
    return [sys.executable, "-I", "-S", program, *dict.fromkeys(directories)]
