"""What a server process holds, counted from outside: Linux's /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

_LISTENS, _TIME_WAIT = "0A", "06"


class Held(msgspec.Struct, frozen=True):
    """Counts of a process, and its memory in bytes."""

    files: int
    threads: int
    children: int
    resident: int


def held(process: int) -> Held:
    folder = Path(f"/proc/{process}")
    pages = int((folder / "statm").read_text().split()[1])
    return Held(
        files=sum(1 for _ in (folder / "fd").iterdir()),
        threads=sum(1 for _ in (folder / "task").iterdir()),
        children=len(children(process)),
        resident=pages * os.sysconf("SC_PAGE_SIZE"),
    )


def children(process: int) -> set[int]:
    """Its child processes, also those that ended and were not waited for."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # A process may end while we look. Its name is in brackets and may hold anything.
        with suppress(OSError):
            if stat.read_text(errors="replace").rpartition(")")[2].split()[1] == str(process):
                found.add(int(stat.parent.name))
    return found


def connections(url: str) -> int:
    """How many callers the server at `url` still has (proc_net_tcp: local address, state)."""
    port = f"{urlsplit(url).port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        local.endswith(f":{port}") and state not in (_LISTENS, _TIME_WAIT)
        for _, local, _, state, *_ in lines
    )


def can_count() -> bool:
    return Path("/proc/self/task").is_dir() and Path("/proc/net/tcp").is_file()
