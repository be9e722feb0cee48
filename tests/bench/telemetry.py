"""What telling of a request costs beside the request itself: `python -m tests.bench.telemetry`.

In one run, in turn in every round: the router under load with its metrics and without, the metrics
of one request alone, and its log line alone. See README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from router.contract.record import Attempt, SpeechMade, SpeechRecord
from router.telemetry import logs
from router.telemetry.exposition import Exposition
from router.telemetry.journal import Journal
from router.telemetry.sampled import Instance, Kept, Opinion, Room, Sample
from tests.bench import report
from tests.bench.contenders import AT_ONCE, environment, serve, speech
from tests.bench.load import check, load
from tests.bench.processes import Server, running
from tests.bench.upstream import BODY_BYTES

CONCURRENCY = 32
MOST_SHARE = 0.05
"""Of a request's processor time, what metrics may take of it."""
TOLD = 20_000
"""Requests that are told in one go."""
MODELS, PROVIDERS = 20, 6
"""Of the router whose scrape is measured."""

_CONFIG = """
server: {{data_dir: {folder}/{name}, cache_dir: {folder}/{name}}}
metrics: {{enabled: {enabled}}}
providers: {{mock: {{kind: openai, base_url: "{upstream}/v1", slots: 64, models: {{tts-1: {{}}}}}}}}
models: {{tts-1: {{share: false, routes: [{{provider: mock}}]}}}}
"""


class Round(msgspec.Struct, frozen=True):
    """Processor microseconds of one request."""

    router: float
    without: float
    """The same router, with `metrics.enabled: false`."""
    metrics: float
    line: float


def main() -> int:
    """Measure, print, and return 1 where metrics take more than their share."""
    options = _options()
    print(report.machine(), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="tts-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        counting, journal = Exposition(), stack.enter_context(_journal(folder / "journal.log"))
        told, without = stack.enter_context(_routers(folder))
        for server in (told, without):  # the first second warms up
            check(server.address + AT_ONCE, speech("tts-1"), BODY_BYTES)
            _cpu_us(server, 1)
        counting.counting.learn(["tts-1"], ["mock"])
        rounds = [
            Round(
                _cpu_us(told, options.seconds),
                _cpu_us(without, options.seconds),
                _told_us(lambda record: _counted(counting, record)),
                _told_us(journal.recorded),
            )
            for _ in range(options.rounds)
        ]
    share = _show(rounds)
    print(_scrape())
    held = share <= MOST_SHARE
    said = "held" if held else "NOT HELD"
    print(f"share {said}: metrics take {share:.1%} of a request (most: {MOST_SHARE:.0%})")
    return 0 if held else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.telemetry", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="length of one load (2)")
    parser.add_argument("--rounds", type=int, default=5, help="loads of each kind (5)")
    return parser.parse_args()


@contextlib.contextmanager
def _routers(folder: Path) -> Iterator[tuple[Server, Server]]:
    """The router with metrics and without, before the same upstream."""
    with ExitStack() as stack:

        def started(name: str, *arguments: str) -> Server:
            command = [sys.executable, "-m", *arguments]
            log = folder / f"{name}.log"
            return stack.enter_context(running(command, log, environment(folder)))

        def router(name: str, enabled: str) -> Server:
            config = folder / f"{name}.yaml"
            known = {"folder": folder, "upstream": upstream.address}
            config.write_text(_CONFIG.format(name=name, enabled=enabled, **known))
            return started(name, *serve("--config", str(config)))

        upstream = started("upstream", "tests.bench.upstream")
        yield router("with", "true"), router("without", "false")


def _cpu_us(server: Server, seconds: float) -> float:
    before = server.cpu_s()
    url, body = server.address + AT_ONCE, speech("tts-1")
    done = load(url, body, concurrency=CONCURRENCY, seconds=seconds)
    return (server.cpu_s() - before) / done.requests * 1e6


@contextlib.contextmanager
def _journal(file: Path) -> Iterator[Journal]:
    """The journal as a server has it: JSON lines, into a file."""
    with file.open("w") as out, contextlib.redirect_stderr(out):
        logs.set_up(json=True)
        yield Journal()


def _told_us(tell: Callable[[SpeechRecord], None]) -> float:
    """Processor microseconds that telling of one request takes."""
    record = _record()
    began = time.process_time()
    for _ in range(TOLD):
        tell(record)
    return (time.process_time() - began) / TOLD * 1e6


def _counted(exposition: Exposition, record: SpeechRecord) -> None:
    """What is told to the metrics of a request that one provider speaks at once."""
    exposition.counting.noticed(_ATTEMPT)
    exposition.counting.noticed(_MADE)
    exposition.counting.recorded(record)


_ATTEMPT = Attempt("mock", "tts-1", "spoken", 0.001, 0.02, 0.00001, 0.019)
_MADE = SpeechMade("mock", "tts-1", 0.025, 4.2, 0.0012, "USD")


def _record() -> SpeechRecord:
    return SpeechRecord(
        request_id="ae487bd8516344d04ad7e42536d84050",
        shape="openai",
        opened=0.0,
        model="tts-1",
        provider="mock",
        upstream_model="tts-1",
        voice="alloy",
        language="en",
        format="mp3",
        characters=82,
        text_key="2df5daec1c92869e",
        caller="local",
        attempts=[_ATTEMPT],
        place_s=0.00001,
        first_audio_s=0.021,
        total_s=0.026,
        audio_s=4.2,
        audio_bytes=BODY_BYTES,
        outcome="spoken",
        status=200,
    )


def _scrape() -> str:
    """Size and cost of an answer of a larger router."""
    exposition = Exposition()
    models = [f"model-{n}" for n in range(MODELS)]
    providers = [f"provider-{n}" for n in range(PROVIDERS)]
    exposition.counting.learn(models, providers)
    for model in models:
        for provider in providers:
            record = msgspec.structs.replace(_record(), model=model, provider=provider)
            exposition.counting.recorded(record)
            exposition.counting.noticed(msgspec.structs.replace(_ATTEMPT, provider=provider))
            exposition.counting.noticed(msgspec.structs.replace(_MADE, provider=provider))
    began = time.process_time()
    text = asyncio.run(exposition.text(_sample(models, providers), "")).body
    took_ms = (time.process_time() - began) * 1e3
    lines = sum(not line.startswith(b"#") for line in text.splitlines())
    return (
        f"a scrape of {MODELS} models and {PROVIDERS} providers: {lines:,} series, "
        f"{len(text) / 1024:,.0f} KiB, {took_ms:.0f} ms of a thread"
    )


def _sample(models: list[str], providers: list[str]) -> Sample:
    room = Room(1, 2, 3, 0.5)
    opinion = Opinion(state="closed", wait_s=0, first_audio_s=0.2, real_time_factor=0.3)
    one = Instance(kind="openai", state="on", slots=room, models={"tts-1": opinion})
    return Sample(
        version="1",
        is_ready=True,
        is_draining=False,
        requests=1,
        config_loaded=0.0,
        places=room,
        providers=dict.fromkeys(providers, one),
        models=dict.fromkeys(models, True),
        limits_lost=False,
        books_lost=False,
        kept={"memory": Kept(1, 2)},
    )


def _show(rounds: list[Round]) -> float:
    """Print medians, and give the share of metrics in a request."""

    def share(part: Callable[[Round], float]) -> float:
        return statistics.median(part(one) / one.router for one in rounds)

    rows: list[tuple[str, Callable[[Round], float]]] = [
        ("a request, all told", lambda one: one.router),
        ("the same without metrics", lambda one: one.without),
        ("its metrics alone", lambda one: one.metrics),
        ("its log line alone", lambda one: one.line),
    ]
    table = [
        (name, f"{statistics.median(map(part, rounds)):,.1f}", f"{share(part):.1%}")
        for name, part in rows
    ]
    head = (f"c={CONCURRENCY}, median of {len(rounds)} rounds", "CPU us", "of a request")
    print(report.table(head, table), end="\n\n", flush=True)
    return share(lambda one: one.metrics)


if __name__ == "__main__":
    sys.exit(main())
