"""A contender's processes: started, told to speak at the same moment, ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from tests.bench.moss.child import Go, Ready, Who
from tests.bench.moss.contender import Contender, Models, Spoken, Task

_WARM_UP_FRAMES = 10
_Told = TypeVar("_Told", Ready, Spoken)


class Figure(msgspec.Struct, frozen=True):
    """One contender in one round."""

    contender: Contender
    rate: float
    """Seconds of audio in a second, all streams of all processes together."""
    first_audio_ms: list[float]
    slowest: float
    """Seconds of audio in a second, of the speech that had to wait most."""
    cpu_s: float
    """Processor time for a second of audio."""
    load_s: float
    memory_mib: float
    """After the first speech, all processes; pages that they share count once."""


def measured(contender: Contender, models: Models, task: Task, lengths: list[int]) -> Figure:
    """Load it anew, let all its processes speak at once, and add up."""
    with ExitStack() as stack:
        children = [stack.enter_context(_running()) for _ in range(contender.processes)]
        for child in children:
            child.say(Who(contender, models))
            child.say(Go(task, [_WARM_UP_FRAMES]))
        loads_s = [child.hear(Ready).load_s for child in children]
        memory_mib = sum(child.memory_mib() for child in children)
        for child in children:
            child.say(Go(task, lengths))
        spoken = [child.hear(Spoken) for child in children]
    return Figure(
        contender=contender,
        rate=sum(one.audio_s for one in spoken) / max(one.wall_s for one in spoken),
        first_audio_ms=[1000 * waited_s for one in spoken for waited_s in one.first_audio_s],
        slowest=min(pace for one in spoken for pace in one.paces),
        cpu_s=sum(one.cpu_s for one in spoken) / sum(one.audio_s for one in spoken),
        load_s=max(loads_s),
        memory_mib=memory_mib,
    )


class _Child:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def say(self, what: Who | Go) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(what) + b"\n")
        self._process.stdin.flush()

    def hear(self, kind: type[_Told]) -> _Told:
        assert self._process.stdout is not None
        return msgspec.json.decode(self._process.stdout.readline(), type=kind)

    def memory_mib(self) -> float:
        rollup = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text()
        (line,) = (line for line in rollup.splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) / 1024


@contextmanager
def _running() -> Iterator[_Child]:
    command = [sys.executable, "-m", "tests.bench.moss.child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield _Child(process)
        finally:
            process.kill()
