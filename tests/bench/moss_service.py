"""The local voice as a caller meets it, in one event loop: `python -m tests.bench.moss_service`.

How soon the first sound of a short sentence is there, alone and with eight streams running; how far
these are from real time; how late the event loop turns meanwhile; and what a voice costs that is
cloned from a clip of ten seconds. Without a model directory one of full size is written, with
random weights; these do not end by themselves, so that every speech is cut.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from router.contract.audio import Clip
from router.contract.provider import HasState, Provider, State
from router.testing.watch import becomes
from tests.bench.load import percentile
from tests.bench.moss.report import machine
from tests.providers.moss.opening import FORMAT, clip_of, opened, order, voice_sample
from tests.support.tiny_moss import FULL, write

SHORT = "Hello there."
"""Nine tokens of the small vocabulary that is written here; "Good morning, how are you today?" has
eight of the real one."""
SHORT_FRAMES = 30
LONG = "Thank you, it is on the way to you."
"""23 tokens; so many of the real ones has "Thank you, your parcel will arrive on Tuesday before
noon, and we hope that you like it."."""
LONG_FRAMES = 60
STREAMS = 8
_ALONE = 20
_EACH = 6
"""Speeches of a stream, one after the other. The first and the last do not count: some of the
others do not speak yet, or any more."""
_FRAME_S = 0.08
_TICK_S = 0.005
_BUILDING_S = 900.0
_OPEN_GUARDS = {"frames_per_token": 0, "silent_frames": 0, "loops": False, "fewest_frames_share": 0}
_BYTES_PER_S = 48_000 * 2 * 2
"""Of `FORMAT`."""


class Spoken(NamedTuple):
    first_s: float
    whole_s: float
    audio_s: float

    @property
    def pace(self) -> float:
        return self.audio_s / self.whole_s


def main() -> None:
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="tts-bench-") as name:
        directory = asked.models or write(Path(name) / "models", FULL)
        cache = asked.cache or Path(name) / "cache"
        print(machine())
        for precision in asked.precision:
            asyncio.run(_measure(directory, cache, precision))


async def _measure(directory: Path, cache: Path, precision: str) -> None:
    async with _fast(directory, cache, precision, SHORT_FRAMES) as provider:
        alone = [await _say(provider, SHORT) for _ in range(_ALONE)]
        _tell(precision, "alone, first sound of a short sentence", [one.first_s for one in alone])
        clip = clip_of(voice_sample(10))
        for state in ("cold", "warm"):
            one = await _say(provider, SHORT, clip)
            print(
                f"{precision}: cloned from 10 s, {state}: first sound after {one.first_s:.2f} s, "
                f"all {one.audio_s:.1f} s of it after {one.whole_s:.2f} s"
            )
    async with _fast(directory, cache, precision, LONG_FRAMES) as provider:
        async with _delays() as late_s:
            running = await asyncio.gather(*(_stream(provider, at) for at in range(STREAMS)))
        spoken = [one for stream in running for one in stream]
        _tell(precision, f"{STREAMS} streams, first sound", [one.first_s for one in spoken])
        paces = [one.pace for one in spoken]
        print(
            f"{precision}: {STREAMS} streams, {statistics.median(paces):.2f} times real time each, "
            f"the slowest {min(paces):.2f} times"
        )
        _tell(precision, f"{STREAMS} streams, event loop late by", late_s)


@asynccontextmanager
async def _fast(
    directory: Path, cache: Path, precision: str, frames: int
) -> AsyncIterator[Provider]:
    """The provider over graphs of its own, which knows the voice already."""
    guards = {**_OPEN_GUARDS, "most_frames": frames}
    async with opened(directory, cache, precision=precision, guards=guards) as provider:
        assert await becomes(lambda: bool(provider.offers()), _BUILDING_S), "it is not ready"
        assert await becomes(lambda: _is_fast(provider), _BUILDING_S), _state(provider).line
        await _say(provider, SHORT)
        yield provider


def _state(provider: Provider) -> State:
    assert isinstance(provider, HasState)
    return provider.state()


def _is_fast(provider: Provider) -> bool:
    """Graphs of our own take over once they are proven, all of them."""
    paths = _state(provider).paths.values()
    return bool(paths) and all(path.path != "reference" for path in paths)


async def _stream(provider: Provider, at: int) -> list[Spoken]:
    """Streams begin one after the other, so that they do not end together."""
    await asyncio.sleep(at * LONG_FRAMES * _FRAME_S / STREAMS)
    return [await _say(provider, LONG) for _ in range(_EACH)][1:-1]


async def _say(provider: Provider, text: str, clip: Clip | None = None) -> Spoken:
    began_s = time.perf_counter()
    first_s, size = 0.0, 0
    async with provider.synthesize(order(text, clip=clip), FORMAT) as stream:
        async for chunk in stream.chunks:
            first_s = first_s or time.perf_counter()
            size += len(chunk)
    return Spoken(first_s - began_s, time.perf_counter() - began_s, size / _BYTES_PER_S)


@asynccontextmanager
async def _delays() -> AsyncIterator[list[float]]:
    """By how much a ticker is woken too late, the machine's own waiting included."""
    late_s: list[float] = []

    async def tick() -> None:
        while True:
            due_s = time.perf_counter() + _TICK_S
            await asyncio.sleep(_TICK_S)
            late_s.append(time.perf_counter() - due_s)

    ticker = asyncio.create_task(tick())
    try:
        yield late_s
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)


def _tell(precision: str, what: str, values_s: Sequence[float]) -> None:
    values = [1000 * value for value in values_s]
    middle, p95, p99 = (percentile(values, share) for share in (0.5, 0.95, 0.99))
    print(
        f"{precision}: {what}: {middle:.0f} ms, p95 {p95:.0f}, p99 {p99:.0f}, "
        f"most {max(values):.0f}",
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.moss_service", description=__doc__)
    parser.add_argument("--models", type=Path, help="a full-size directory (else one is written)")
    parser.add_argument("--cache", type=Path, help="the provider's cache (else nowhere)")
    parser.add_argument("--precision", nargs="*", default=["exact", "int8"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
