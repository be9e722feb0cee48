"""Builds and proves faster graphs in a process of its own.

The work takes half a minute and up to 1.3 GB at full size, and it runs native code over graphs that
nobody has tried here before. Whatever becomes of it, the server goes on: the process is the first
that a machine short of memory ends, may not take more than there is, and gives all of it back. Then
the shipped graphs serve.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import msgspec

from providers.moss_tts_nano.compact import build
from providers.moss_tts_nano.layout import Layout
from providers.moss_tts_nano.prove import Verdict
from providers.moss_tts_nano.settings import Precision
from router.contract.errors import Broken
from router.contract.provider import Interrupted, Work
from router.contract.record import AssetsStage

_CHILD = "providers.moss_tts_nano.apart_child"
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "TEMP", "SYSTEMROOT")
"""Keys of whoever runs the router are none of its business."""
_GLANCE_S = 0.2
_KILL = 9
_MOST_S = 1800.0
"""A proof takes half a minute on two cores; who needs sixty times as long is stuck."""


class Came(msgspec.Struct, frozen=True, tag="progress"):
    """How far the process is, as in `AssetsProgress`."""

    stage: AssetsStage
    done: int
    total: int


class Made(msgspec.Struct, frozen=True, tag="made"):
    """The graphs are in the cache."""

    way: build.Precision
    verdicts: tuple[Verdict, ...]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """There are none; the message is for people."""

    message: str


Word = Came | Made | Failed
"""What the process says, each in a line of JSON."""


def made(
    layout: Layout, cache: Path, precision: Precision, threads: tuple[int, int], work: Work
) -> tuple[build.Precision, tuple[Verdict, ...]]:
    """Build and prove, and leave the graphs in the cache. Blocking. `threads`: those of one
    operation, and the wide ones.

    Raises:
        Broken: it cannot be done here.
        Interrupted: `work.stopped()` said so.
    """
    command = (sys.executable, "-P", "-m", _CHILD)
    process = subprocess.Popen(
        [*command, str(layout.folder), str(cache), precision, *map(str, threads)],
        env=environment(),
        stdin=subprocess.PIPE,  # it ends with us: then its stdin does
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is ours to answer
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = queue.SimpleQueue[bytes]()
    reader = threading.Thread(target=_read, args=(process.stdout, lines), name="moss-apart")
    reader.start()
    try:
        return _heard(process, lines, work)
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdin.close()
        process.stdout.close()


def _heard(
    process: subprocess.Popen[bytes], lines: queue.SimpleQueue[bytes], work: Work
) -> tuple[build.Precision, tuple[Verdict, ...]]:
    end = time.monotonic() + _MOST_S
    while True:
        if work.stopped():
            raise Interrupted
        if time.monotonic() > end:
            raise Broken(f"faster graphs were not made within {_MOST_S / 60:.0f} minutes.")
        try:
            line = lines.get(timeout=_GLANCE_S)
        except queue.Empty:
            continue
        if not line:
            raise Broken(f"faster graphs were not made: {_end_of(process.wait())}.")
        word = msgspec.json.decode(line, type=Word)
        if isinstance(word, Came):
            work.progress(word.stage, word.done, word.total)
        elif isinstance(word, Made):
            return word.way, word.verdicts
        else:
            raise Broken(word.message)


def _read(pipe: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    """A dozen lines in all, and an empty one at the end."""
    for line in pipe:
        lines.put(line)
    lines.put(b"")


def _end_of(status: int) -> str:
    if status >= 0:
        return f"their process ended with status {status}"
    if -status == _KILL:
        return "their process was killed, as it is where memory runs out"
    return f"their process was ended by signal {-status}"


def environment() -> dict[str, str]:
    """What the process gets of ours."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
