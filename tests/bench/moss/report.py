"""The figures as one table."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from importlib.metadata import version

from tests.bench.load import percentile
from tests.bench.moss.contender import Contender
from tests.bench.moss.measured import Figure
from tests.bench.report import table as laid_out

_HEAD = (
    "",
    "processes",
    "streams",
    "audio s/s",
    "/ best official",
    "first audio ms",
    "p95",
    "slowest",
    "CPU s/audio s",
    "PSS MiB",
    "load s",
)


def machine() -> str:
    """What it ran on."""
    cores = len(os.sched_getaffinity(0))
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    libraries = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "numpy"))
    return f"{cores} cores, load before {busy}; Python {platform.python_version()}, {libraries}"


def progress(figure: Figure) -> None:
    one = figure.contender
    say(f"{one.name}, {one.processes} x {one.streams}: {figure.rate:.2f}")


def say(what: str) -> None:
    """On the error output, for whoever waits."""
    print(what, file=sys.stderr, flush=True)


def table(rounds: Sequence[Sequence[Figure]]) -> str:
    """Medians of the rounds. Ratios are those within one round, too: one stream is held against
    the official loop's best setting for one, more against its best for the whole machine."""
    contenders = [figure.contender for figure in rounds[0]]
    rates = {at: [figures[at].rate for figures in rounds] for at in range(len(contenders))}
    rows = []
    for at, contender in enumerate(contenders):
        alone = contender.processes * contender.streams == 1
        best = _best_official(contenders, rates, alone=alone)
        shares = [one / his for one, his in zip(rates[at], rates[best], strict=True)]
        mine = [figures[at] for figures in rounds]
        waits = [wait for one in mine for wait in one.first_audio_ms]
        rows.append(
            (
                contender.name,
                str(contender.processes),
                str(contender.streams),
                f"{statistics.median(rates[at]):.2f}",
                f"{statistics.median(shares):.2f}",
                f"{statistics.median(waits):.0f}",
                f"{percentile(waits, 0.95):.0f}",
                f"{statistics.median(one.slowest for one in mine):.2f}",
                f"{statistics.median(one.cpu_s for one in mine):.2f}",
                f"{statistics.median(one.memory_mib for one in mine):,.0f}",
                f"{statistics.median(one.load_s for one in mine):.1f}",
            )
        )
    return laid_out(_HEAD, rows)


def _best_official(
    contenders: Sequence[Contender], rates: dict[int, list[float]], *, alone: bool
) -> int:
    candidates = [
        at
        for at, one in enumerate(contenders)
        if one.kind == "official" and (one.processes == 1 or not alone)
    ]
    return max(candidates, key=lambda at: statistics.median(rates[at]))
