"""How much memory this process has, and how much it could still have; and memory for what is
mostly empty."""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
"""Within a container its own group is the root of what can be seen."""


def resident_bytes() -> int | None:
    """`None` where nobody tells (only Linux does)."""
    try:
        pages = int((_PROC / "self" / "statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def available_bytes(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int | None:
    """What can be had without swapping: of the machine, or of the container if that is less.
    `None` where nobody tells."""
    known = [one for one in (_of_machine(proc), _of_container(cgroup)) if one is not None]
    return min(known, default=None)


def sparse_zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that take memory where they are written to, by small pages: of the pages of 2 MB that
    numpy asks for, 250 places take nearly as many as 1,600, and all are cleared first."""
    if sys.platform != "linux":
        return np.zeros(shape, np.float32)
    size = 4 * int(np.prod(shape))
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel that has no large pages
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, np.float32).reshape(shape)


def _of_machine(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        told = next(line.split() for line in lines if line.startswith("MemAvailable:"))
        return int(told[1]) * 1024
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _of_container(cgroup: Path) -> int | None:
    """Of control groups v2; pages of files that were not used of late can be taken back."""
    try:
        most = int((cgroup / "memory.max").read_text())  # `max`: there is no limit
        used = int((cgroup / "memory.current").read_text())
        stat = (cgroup / "memory.stat").read_text().splitlines()
        idle = dict(line.split() for line in stat).get("inactive_file", "0")
        return max(0, most - used + int(idle))
    except (OSError, ValueError):
        return None
