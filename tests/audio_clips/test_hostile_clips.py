"""Clips made to do harm: what they reach, and what is left of those who read them."""

from __future__ import annotations

import itertools
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from router.audio import clip_process
from router.audio.clip import ClipDecoder
from router.contract.audio import Clip
from router.contract.errors import BadClip
from tests.audio_clips import hostile
from tests.soak import hostile_clips

CHILD = Path(clip_process.__file__).with_name("clip_child.py")

HARMLESS = {
    *("read", "readv", "write", "futex", "sched_yield", "exit_group"),
    *("brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "prlimit64", "getrusage"),
    *("clock_gettime", "clock_nanosleep", "getpid", "gettid", "rt_sigreturn", "rt_sigprocmask"),
}
"""What a process may ask of the kernel without a name, a number or a process coming of it."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where the clips of these tests want FFmpeg to go."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def nasty(port: int) -> Iterator[hostile.Body]:
    good = hostile.seeds()
    yield from good
    yield from hostile.playlists(port)
    yield from hostile.references(port)
    yield from hostile.bombs()
    yield from hostile.mislabelled(good)
    yield from hostile.mutated(good, 50, seed=2)


async def test_no_clip_opens_a_file_a_socket_or_a_process(
    listener: socket.socket, tmp_path: Path
) -> None:
    """Seen from outside: every system call of the child after it has given up its means."""
    log = tmp_path / "calls"
    command = (*_strace(log), *clip_process._own_command())
    port = listener.getsockname()[1]
    # The wall clock is long, because a traced process is slow.
    async with ClipDecoder(children=1, wall_s=60, command=command) as decoder:
        for body in nasty(port):
            with suppress(BadClip):
                await decoder.decode(Clip(body.data, body.container))
    calls = re.findall(r"^\d+ +(\w+)\((.*)", log.read_text(), re.MULTILINE)
    gives_up = [n for n, call in enumerate(calls) if _is_the_last_limit(*call)]
    assert gives_up
    before = calls[: gives_up[0]]
    assert "openat" in {name for name, _ in before}  # the trace would show them
    after = calls[gives_up[0] + 1 :]
    assert {name for name, _ in after} <= HARMLESS
    assert all("RLIMIT_CPU" in of for name, of in after if name == "prlimit64")
    assert len(after) > 1000  # it was traced indeed
    with pytest.raises(BlockingIOError):
        listener.accept()


def _is_the_last_limit(name: str, arguments: str) -> bool:
    return name == "prlimit64" and "RLIMIT_NOFILE, {rlim_cur=0" in arguments


def _strace(log: Path) -> tuple[str, ...]:
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed")
    if subprocess.run(
        [program, "-o", str(log), "true"], check=False, capture_output=True
    ).returncode:
        pytest.skip("tracing is not permitted here")
    return (program, "-f", "-qq", "-o", str(log))


@pytest.mark.parametrize(
    "deed",
    [
        "open('/etc/passwd')",
        "open('/dev/null')",
        "os.open('/tmp', os.O_TMPFILE | os.O_WRONLY)",
        "socket.socket()",
        "socket.socketpair()",
        "os.dup(1)",
        "os.pipe()",
        "os.memfd_create('x')",
        "os.fork()",
        "os.execv('/bin/sh', ['sh', '-c', 'exit 0'])",
        "threading.Thread(target=print).start()",
        "bytearray(1 << 30)",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
        "os.setuid(0)",
    ],
)
def test_who_has_given_up_can_have_nothing_any_more(deed: str) -> None:
    program = (
        "import os, resource, runpy, socket, sys, threading\n"
        "runpy.run_path(sys.argv[1], run_name='child')['give_up']()\n"
        "if os.getuid() == 0: os._exit(9)\n"
        "try: eval(sys.argv[2])\n"
        "except (OSError, RuntimeError, MemoryError, ValueError): os._exit(7)\n"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(CHILD), deed]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode == 9:
        pytest.skip("root cannot be left here, and root is above limits")
    # An exec that goes through ends in the loader of the new program, which may open nothing.
    assert done.returncode in ((7, 127) if "exec" in deed else (7,)), done


async def test_a_few_hundred_spoilt_clips_leave_the_router_as_it_was() -> None:
    """The small form of `python -m tests.soak hostile_clips`."""
    clips = itertools.islice(hostile_clips.everything(fuzzed=150, seed=3), 450)
    outcome = await hostile_clips.survive(clips)
    hostile_clips.check(outcome)
    assert outcome.good > 50
    assert outcome.refused.total() > 100
