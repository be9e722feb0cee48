"""A process that loads one contender and speaks when it is told to: JSON lines in and out."""

from __future__ import annotations

import sys
import time

import msgspec

from tests.bench.moss.contender import Contender, Models, Spoken, Task, opened


class Who(msgspec.Struct, frozen=True):
    contender: Contender
    models: Models


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Loaded, and has spoken a few words."""

    load_s: float


class Go(msgspec.Struct, frozen=True, tag=True):
    task: Task
    lengths: list[int]
    """Frames of each speech."""


def main() -> None:
    """Read who it is, then one `Go` after the other until the input ends. The first is a short
    speech, by which a voice becomes known, too."""
    who = msgspec.json.decode(sys.stdin.readline(), type=Who)
    warm_up = msgspec.json.decode(sys.stdin.readline(), type=Go)
    started_s = time.perf_counter()
    runtime = opened(who.contender, who.models)
    load_s = time.perf_counter() - started_s
    runtime.speak(warm_up.task, warm_up.lengths, 1)
    _tell(Ready(load_s))
    for line in sys.stdin:
        asked = msgspec.json.decode(line, type=Go)
        _tell(runtime.speak(asked.task, asked.lengths, who.contender.streams))


def _tell(what: Ready | Spoken) -> None:
    sys.stdout.write(msgspec.json.encode(what).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
