"""The figures as tables of plain text."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from operator import sub, truediv
from typing import Literal

import msgspec

from tests.bench.load import GENERATOR
from tests.bench.processes import Memory
from tests.bench.rooms import Sampled

_LIBRARIES = ("litestar", "uvicorn", "uvloop", "httptools", "aiohttp", "httpx", "msgspec")


Quantity = Literal["rate", "cpu_us", "p50_ms", "p99_ms"]


class Figure(msgspec.Struct, frozen=True):
    """One contender under one load."""

    contender: str
    concurrency: int
    rate: float
    """Requests per second."""
    cpu_us: float
    """Processor time of the server for one request, user and system."""
    p50_ms: float
    p99_ms: float


class Figures:
    """What was measured, round by round. Loads of one round ran one after the other, so only
    figures of one round are held against each other; what is shown is the median of the rounds."""

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, int], list[Figure]] = {}

    def add(self, figure: Figure) -> None:
        self._rounds.setdefault((figure.contender, figure.concurrency), []).append(figure)

    def median(self, contender: str, concurrency: int, what: Quantity) -> float:
        return statistics.median(self._all(contender, concurrency, what))

    def ratio(self, one: str, other: str, concurrency: int, what: Quantity) -> float:
        return self._compared(one, other, concurrency, what, truediv)

    def added(self, one: str, other: str, concurrency: int, what: Quantity) -> float:
        return self._compared(one, other, concurrency, what, sub)

    def _compared(
        self,
        one: str,
        other: str,
        concurrency: int,
        what: Quantity,
        compare: Callable[[float, float], float],
    ) -> float:
        ours, theirs = (self._all(name, concurrency, what) for name in (one, other))
        return statistics.median(map(compare, ours, theirs))

    def _all(self, contender: str, concurrency: int, what: Quantity) -> list[float]:
        return [getattr(figure, what) for figure in self._rounds[contender, concurrency]]


def machine() -> str:
    """What it ran on."""
    cores = len(os.sched_getaffinity(0))
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{cores} cores, load before {busy}; Python {platform.python_version()}, {libraries}; "
        f"load by {GENERATOR}"
    )


def loads(figures: Figures, names: Sequence[str], concurrencies: Sequence[int], bare: str) -> str:
    """Rates, costs and latencies, and the ratio to the bare proxy."""
    head = ("", "c", "req/s", "CPU us", "p50 ms", "p99 ms", "rate / bare", "CPU / bare")
    rows = []
    for c in concurrencies:
        for name in names:
            shown = (
                f"{figures.median(name, c, 'rate'):,.0f}",
                f"{figures.median(name, c, 'cpu_us'):,.0f}",
                f"{figures.median(name, c, 'p50_ms'):.2f}",
                f"{figures.median(name, c, 'p99_ms'):.2f}",
                f"{figures.ratio(name, bare, c, 'rate'):.2f}",
                f"{figures.ratio(name, bare, c, 'cpu_us'):.2f}",
            )
            rows.append((name, str(c), *shown))
    return table(head, rows)


def latencies(figures: Figures, names: Sequence[str], alone: str) -> str:
    """What each adds to the upstream's own answer when nobody else asks."""
    head = ("added at c=1", "median ms", "p99 ms")
    rows = [
        (
            name,
            f"{figures.added(name, alone, 1, 'p50_ms'):.2f}",
            f"{figures.added(name, alone, 1, 'p99_ms'):.2f}",
        )
        for name in names
    ]
    return table(head, rows)


def first_bytes(delays: dict[str, tuple[float, float]]) -> str:
    head = ("first byte of a slow stream", "median ms", "p99 ms")
    return table(head, [(name, f"{p50:.2f}", f"{p99:.2f}") for name, (p50, p99) in delays.items()])


def memories(seen: dict[str, Memory]) -> str:
    head = ("memory at rest", "RSS MiB", "PSS MiB", "processes")
    rows = [
        (when, f"{memory.rss:.1f}", f"{memory.pss:.1f}", str(memory.processes))
        for when, memory in seen.items()
    ]
    return table(head, rows)


def rooms(seen: Sequence[Sampled], most: int = 20) -> str:
    """Microseconds of a request by room, side by side."""
    names = list(dict.fromkeys(room for one in seen for room in one.rooms))
    head = ("CPU us of a request in", *(one.name for one in seen))
    rows = [
        (room, *(f"{one.rooms.get(room, 0) * one.cpu_us:,.0f}" for one in seen))
        for room in names[:most]
    ]
    total = ("in all", *(f"{one.cpu_us:,.0f}" for one in seen))
    return table(head, [*rows, total])


def functions(seen: Sampled, most: int = 16) -> str:
    """The dearest functions of ours, with what they call in libraries."""
    head = (f"{seen.name}: function, with its libraries", "CPU us", "share")
    rows = [
        (where, f"{share * seen.cpu_us:,.0f}", f"{share:.1%}")
        for where, share in list(seen.functions.items())[:most]
    ]
    return table(head, rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
