"""Where a server's processor time goes, room by room: sampled by py-spy while it is under load."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tests.bench.contenders import Contender
from tests.bench.load import load

CONCURRENCY = 32
_RATE_HZ = 250
_FRAME = re.compile(r"^(?P<function>.*) \((?P<file>.*?)(?::(?P<line>\d+))?\)$")

_ROOMS = (
    (re.compile(r"^(router/\w+|providers/\w+)"), r"\1"),
    (re.compile(r"^tests/bench/proxy"), "the bare proxy's own lines"),
    (re.compile(r"^(litestar|structlog|httpx|anyio|msgspec|aiohttp|uvicorn|uvloop)\b"), r"\1"),
    (re.compile(r"^(yarl|multidict|propcache|frozenlist)\b|^_http_(parser|writer)"), "aiohttp"),
    (re.compile(r"^(bulk_update|iter|dict|hashtable)\.h|^_multidict"), "aiohttp"),
    (re.compile(r"^(httptools|parser\.c|llhttp)"), "uvicorn"),
    (re.compile(r"^(loop\.c|core\.c|stream\.c|tcp\.c|linux\.c|timer\.c)"), "uvloop"),
)
"""By the innermost frame of a sample whose file is known here: what the standard library and the
interpreter do counts for those who called them. C files have the names that they were built from:
those of aiohttp and multidict, of httptools, of uvloop and libuv."""

_KERNEL = {"write", "writev", "sendmsg", "send", "read", "readv", "recv", "epoll_pwait"}
_OWN = re.compile(r"^(router/(?!cli|__main__)|providers/)")
_WAITING = "PyThread_acquire_lock_timed"
"""A thread of a pool without work: py-spy takes it for busy when it looks at native frames."""


class Sampled(msgspec.Struct, frozen=True):
    """What was seen of one server under load."""

    name: str
    cpu_us: float
    """Processor time of one request, while it was sampled."""
    rooms: dict[str, float]
    """Shares of all samples, 0 to 1."""
    functions: dict[str, float]
    """The same by function of ours, each with all that it calls in libraries."""


def sampled(contender: Contender, *, seconds: float, folder: Path) -> Sampled:
    """Load a server, and sample where it is meanwhile.

    Raises:
        RuntimeError: py-spy is not installed, or may not look.
    """
    py_spy = shutil.which("py-spy", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if py_spy is None:
        raise RuntimeError("--profile needs py-spy: pip install py-spy")
    raw = folder / "samples.txt"
    pid, before = contender.server.pid, contender.server.cpu_s()
    command = [py_spy, "record", "--native", "--format=raw", f"--rate={_RATE_HZ}", f"--pid={pid}"]
    command += [f"--duration={max(1, round(seconds))}", f"--output={raw}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as watching:
        done = load(contender.url, contender.body, concurrency=CONCURRENCY, seconds=seconds + 1)
        told, _ = watching.communicate(timeout=30)
    if watching.returncode:
        raise RuntimeError(f"py-spy failed: {told.decode(errors='replace')[-500:]}")
    cpu_us = (contender.server.cpu_s() - before) / done.requests * 1e6
    return told_apart(contender.name, cpu_us, raw.read_text().splitlines())


def told_apart(name: str, cpu_us: float, lines: Iterable[str]) -> Sampled:
    """Count samples: each line is a stack, outermost frame first, and how often it was seen."""
    rooms: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if _WAITING in stack:
            continue
        frames = [found for frame in stack.split(";") if (found := _FRAME.match(frame))]
        rooms[_room(frames)] += int(count)
        if own := next((f for f in reversed(frames) if _OWN.match(f["file"])), None):
            functions[f"{own['file']} {own['function']}"] += int(count)
    total = max(rooms.total(), 1)
    return Sampled(
        name=name,
        cpu_us=cpu_us,
        rooms={room: count / total for room, count in rooms.most_common()},
        functions={where: count / total for where, count in functions.most_common()},
    )


def _room(frames: list[re.Match[str]]) -> str:
    if frames and frames[-1]["function"] in _KERNEL:
        return "the kernel (sockets, log)"
    for frame in reversed(frames):
        if frame["function"].startswith("gc_collect"):
            return "the garbage collector"
        for pattern, room in _ROOMS:
            if found := pattern.match(frame["file"]):
                return found.expand(room)
    return "else"
