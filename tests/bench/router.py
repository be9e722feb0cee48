"""The router beside a bare proxy and the upstream alone, in one run: `python -m
tests.bench.router`. See README.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench import report
from tests.bench.contenders import Contender, Contenders, all_running
from tests.bench.load import check, first_byte_delays_ms, load, percentile
from tests.bench.report import Figure, Figures
from tests.bench.rest import memory_at_rest
from tests.bench.rooms import sampled
from tests.bench.upstream import BODY_BYTES

CONCURRENCIES = (1, 8, 32)
FLOOR = 0.5
"""The least share of the bare proxy's rate at concurrency 32."""
_SLOW_STREAMS = 50


def main() -> int:
    """Measure, print, and return 1 where the floor is not held."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="tts-bench-") as name:
        folder = Path(name)
        print(report.machine(), end="\n\n", flush=True)
        with all_running(folder) as contenders:
            figures = _measured(contenders, options.rounds, options.seconds)
            names = [contender.name for contender in contenders]
            bare = contenders.bare.name
            _show(report.loads(figures, names, CONCURRENCIES, bare))
            _show(report.latencies(figures, names[1:], contenders.upstream.name))
            _show(report.first_bytes(_first_bytes(contenders)))
            if options.profile:
                _profile(contenders, options.seconds * 2, folder)
        _show(report.memories(memory_at_rest(folder)))
    share = figures.ratio(contenders.mp3.name, bare, CONCURRENCIES[-1], "rate")
    held = share >= FLOOR
    said = "held" if held else "NOT HELD"
    print(f"floor {said}: {share:.2f} of the bare proxy at c={CONCURRENCIES[-1]} (least: {FLOOR})")
    return 0 if held else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.router", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="length of one load (2)")
    parser.add_argument("--rounds", type=int, default=3, help="loads of each kind (3)")
    parser.add_argument("--profile", action="store_true", help="say where the time goes (py-spy)")
    return parser.parse_args()


def _measured(contenders: Contenders, rounds: int, seconds: float) -> Figures:
    """Every contender under every load, one after the other, so many times."""
    for contender in contenders:
        check(contender.url, contender.body, BODY_BYTES)
        _figure(contender, CONCURRENCIES[-1], 1)  # the first second warms up
    figures = Figures()
    for _ in range(rounds):
        for concurrency in CONCURRENCIES:
            for contender in contenders:
                figures.add(_figure(contender, concurrency, seconds))
    return figures


def _figure(contender: Contender, concurrency: int, seconds: float) -> Figure:
    before = contender.server.cpu_s()
    done = load(contender.url, contender.body, concurrency=concurrency, seconds=seconds)
    spent_s = contender.server.cpu_s() - before
    return Figure(
        contender=contender.name,
        concurrency=concurrency,
        rate=done.requests / done.seconds,
        cpu_us=spent_s / done.requests * 1e6,
        p50_ms=done.p50_ms,
        p99_ms=done.p99_ms,
    )


def _first_bytes(contenders: Contenders) -> dict[str, tuple[float, float]]:
    delays = {}
    for contender in (contenders.upstream, contenders.bare, contenders.mp3):
        seen = first_byte_delays_ms(contender.slow_url, contender.slow_body, _SLOW_STREAMS)
        delays[contender.name] = percentile(seen, 0.5), percentile(seen, 0.99)
    return delays


def _profile(contenders: Contenders, seconds: float, folder: Path) -> None:
    seen = [
        sampled(contender, seconds=seconds, folder=folder)
        for contender in (contenders.mp3, contenders.pcm, contenders.bare)
    ]
    _show(report.rooms(seen))
    _show(report.functions(seen[0]))


def _show(table: str) -> None:
    print(table, end="\n\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
