"""The process that decodes voice samples: it is run as a file, and takes one clip at a time.

    python -I -S clip_child.py DIRECTORY...     (where av, numpy, soxr and router are to be found)

A clip comes from a stranger and goes through FFmpeg. So the process gives up all that decoding does
not need before it reads the first one: with no descriptor and no process to be had, no clip can
open a file or a socket or start anything, whatever it makes FFmpeg try.

It listens on descriptor 0 and answers on descriptor 1, as `clip_terms.py` says.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from router.audio import clip_decode, clip_terms

_MEMORY = 192 << 20
"""Address space for a clip, above what the process has when it is ready. The samples take 46 MB."""
_NOBODY = 65534


def give_up() -> None:
    """Have no files, sockets or processes, little memory and no privileges, from now on for good.

    A limit of no descriptors leaves those that are open, and no new one can be had: `open`,
    `socket`, `pipe` and `dup` fail, and so would the loader of a started program.
    """
    _become_nobody()
    limits = {
        resource.RLIMIT_CORE: 0,  # a core file would hold somebody's voice
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
    }
    in_use = _address_space()
    if in_use:
        limits[resource.RLIMIT_AS] = in_use + _MEMORY
    limits[resource.RLIMIT_NOFILE] = 0
    for limit, most in limits.items():
        # Not every system knows every limit, and one that is lower already is right.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (most, most))


def _become_nobody() -> None:
    """Root is above limits. Where it cannot be left, as in some containers, no process can be
    forbidden it; no descriptor still can."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        # PR_SET_PDEATHSIG: the closed socket ends a child that reads, this one that computes. It
        # comes after the change of user, which would undo it.
        prctl(1, signal.SIGKILL, 0, 0, 0)


def _address_space() -> int:
    """In bytes; 0 where nobody knows."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def renew_time(seconds: int) -> None:
    """Grant processor time for one clip; the kernel kills a process that exceeds it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime) + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def read(count: int) -> bytes:
    """So many bytes from the parent. Where there is no parent any more, there is no more to do."""
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = os.readv(0, [view])
        if not got:
            leave()
        view = view[got:]
    return bytes(data)


def write(data: bytes | memoryview) -> None:
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(1, view) :]


def leave() -> NoReturn:
    """End at once, without another look at memory that a clip may have spoilt."""
    os._exit(0)


def answer() -> None:
    """Take one clip, decode it, tell the parent."""
    name, length = clip_terms.ORDER.unpack(read(clip_terms.ORDER.size))
    if length > clip_terms.LARGEST_FILE:
        leave()
    data = read(length)
    renew_time(clip_terms.CPU_S)
    try:
        samples, clips = clip_decode.decoded(data, name.rstrip(b"\0").decode())
    except clip_decode.Refusal as refusal:
        write(b"X" + clip_terms.REFUSAL.pack(refusal.word.encode(), refusal.number))
        return
    write(b"S" + clip_terms.ANSWER.pack(samples.shape[1], clips))
    for channel in samples:
        write(channel.data)


def rehearse() -> None:
    """Decode something good and something bad: what a library loads late, it could not any more."""
    square = (b"\x40" * 20 + b"\xc0" * 20) * 400
    head = b"RIFF" + struct.pack("<I", 36 + len(square))
    head += b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    head += b"data" + struct.pack("<I", len(square))
    clip_decode.decoded(head + square, "wav")
    for container in clip_decode.READERS:
        with contextlib.suppress(clip_decode.Refusal):
            clip_decode.decoded(head, container)


def main() -> None:
    rehearse()
    give_up()
    write(b"R")
    try:
        while True:
            answer()
    except (OSError, MemoryError):
        leave()


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy would start a thread for each core
    sys.path += sys.argv[1:]
    from router.audio import clip_decode, clip_terms

    main()
