"""A server process of ours: started, looked at through /proc, and ended by its own id."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_START_S = 30.0
_END_S = 10.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Memory(msgspec.Struct, frozen=True):
    """What a process and its children hold, in MiB. Pages that several share count once in `pss`
    and each time in `rss`."""

    rss: float
    pss: float
    processes: int


class Server:
    """A process that has told its address."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, address: str) -> None:
        self._process = process
        self.log = log
        self.address = address

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_s(self) -> float:
        """Processor time of all its threads so far: user and system, in ticks of 10 ms (proc(5):
        fields 14 and 15 of `stat`, counted behind the name in brackets)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S

    def memory(self) -> Memory:
        pids = list(_tree(self.pid))
        sums = [sum(sizes) / 1024 for sizes in zip(*map(_rss_pss_kib, pids), strict=True)]
        return Memory(rss=sums[0], pss=sums[1], processes=len(pids))


@contextmanager
def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run a server while the block lasts; what it prints goes to `log`.

    Raises:
        RuntimeError: it ended, or did not tell its address in time.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
        )
    try:
        yield Server(process, log, _address(process, log))
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the log tells where it listens."""
    until = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until:
        if found := _ADDRESS.search(log.read_text(errors="replace")):
            return found[0]
        time.sleep(0.02)
    raise RuntimeError(f"a server did not start: {log.read_text(errors='replace')[-2000:]}")


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))


def _rss_pss_kib(pid: int) -> tuple[int, int]:
    sizes = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    )
    return int(sizes["Rss"].split()[0]), int(sizes["Pss"].split()[0])
