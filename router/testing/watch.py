"""What a provider holds and how it treats the event loop, seen from outside."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec

TICK_S = 0.002


class Held(msgspec.Struct, frozen=True):
    """Counts of this process. Where the system cannot tell, a count stays 0."""

    tasks: int
    files: int
    children: int

    def plus(self, slack: int) -> Held:
        return Held(self.tasks + slack, self.files + slack, self.children + slack)

    def growth(self, limit: Held) -> str:
        """What exceeds the limit, in words; empty if nothing does."""
        pairs = {
            name: (getattr(self, name), getattr(limit, name)) for name in self.__struct_fields__
        }
        return ", ".join(f"{n} {name} of {most}" for name, (n, most) in pairs.items() if n > most)


def held() -> Held:
    return Held(len(asyncio.all_tasks()), _open_files(), _children())


def _open_files() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(folder))  # noqa: PTH208 - a Path per descriptor is of no use
    return 0


def _children() -> int:
    """Child processes, also those that ended and were not waited for."""
    mine = str(os.getpid())
    count = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # A process may end while we look. Its name is in brackets and may hold anything.
        with suppress(OSError):
            count += stat.read_text(errors="replace").rpartition(")")[2].split()[1] == mine
    return count


async def becomes(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether the condition comes true in time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not condition():
        if loop.time() > end:
            return False
        await asyncio.sleep(0.01)
    return True


class Lateness:
    """How long the event loop did not turn, at worst."""

    def __init__(self) -> None:
        self.worst_s = 0.0


@asynccontextmanager
async def lateness() -> AsyncIterator[Lateness]:
    """Watch how late a ticker is woken.

    The time in which this thread was ready and the machine let others run is not counted (Linux,
    `schedstat`): a busy machine is not the provider's fault.
    """
    seen = Lateness()
    ticker = asyncio.create_task(_tick(seen), name="ticker")
    await asyncio.sleep(0)
    try:
        yield seen
        await asyncio.sleep(TICK_S)  # so that a block at the very end is seen, too
    finally:
        ticker.cancel()
        await asyncio.wait({ticker})


async def _tick(seen: Lateness) -> None:
    loop = asyncio.get_running_loop()
    then, waited = loop.time(), _run_delay_s()
    while True:
        await asyncio.sleep(TICK_S)
        now, waiting = loop.time(), _run_delay_s()
        late = (now - then) - TICK_S - (waiting - waited)
        seen.worst_s = max(seen.worst_s, late)
        then, waited = now, waiting


def _run_delay_s() -> float:
    """Seconds that this thread has waited for a processor (second figure of `schedstat`; Linux,
    Documentation/scheduler/sched-stats)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """Every log record of every level, with its fields and the errors that it carries."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            lines.append(f"{record.getMessage()} {vars(record)} {told_by(error)}")

    root, listener = logging.getLogger(), Listener()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(listener)
        root.setLevel(level)


def told_by(error: BaseException | None) -> str:
    """All that an error and those behind it would say in a log."""
    words: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        words.append(f"{error} {error!r} {getattr(error, '__notes__', '')}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(words)
