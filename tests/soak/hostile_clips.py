"""Thousands of hostile clips: the router stays alive and small, and every answer is one of two."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import msgspec

from router.audio.clip import ClipDecoder
from router.audio.clip_terms import WALL_S
from router.contract.audio import Clip, container_of
from router.contract.errors import BadClip
from tests.audio_clips import hostile
from tests.audio_clips.hostile import Body

FUZZED = 5_000
GROWTH_BYTES = 50 << 20
_CLOSED_PORT = 9
_WARM = 50
"""After so many clips everything is loaded that ever will be."""


class Outcome(msgspec.Struct):
    """What came of it. Sizes in bytes."""

    good: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    children: set[int] = msgspec.field(default_factory=set)
    resident: list[int] = msgspec.field(default_factory=list)
    files: list[int] = msgspec.field(default_factory=list)
    threads: list[int] = msgspec.field(default_factory=list)

    @property
    def growth(self) -> int:
        """How much larger the process became after it was warm."""
        return max(self.resident) - self.resident[0] if self.resident else 0

    def measure(self) -> None:
        self.resident.append(resident(os.getpid()))
        self.files.append(sum(1 for _ in Path("/proc/self/fd").iterdir()))
        self.threads.append(threading.active_count())


def resident(process: int) -> int:
    """The memory of a process, in bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def real_clips() -> list[Body]:
    """Small recordings of people, where there are any."""
    folder = Path(os.environ.get("TTS_TEST_DATA", "/nonexistent")) / "clips"
    bodies = []
    for file in sorted(folder.glob("*")):
        data = file.read_bytes()
        container = container_of(data[:12])
        if container:
            bodies.append(Body(file.name, container, data))
    return bodies


def everything(fuzzed: int, seed: int = 1) -> Iterator[Body]:
    """Good clips first; then all that is known to be nasty; then what chance makes of good ones.

    Only the last are made while they are taken, so that the memory of making them is not counted.
    """
    good = hostile.seeds() + real_clips()
    nasty = [
        *hostile.playlists(_CLOSED_PORT),
        *hostile.references(_CLOSED_PORT),
        *hostile.bombs(),
        *hostile.mislabelled(good),
        *hostile.truncated(good),
    ]
    return chain(good, nasty, hostile.mutated(good, fuzzed, seed))


async def survive(bodies: Iterable[Body], *, at_a_time: int = 2) -> Outcome:
    """Decode them all; what is neither a good clip nor a `BadClip` comes out as it is."""
    outcome = Outcome()
    queue = iter(bodies)

    async def work() -> None:
        for body in queue:
            begun = time.monotonic()
            await _decode(decoder, body, outcome)
            took = time.monotonic() - begun
            if took > outcome.slowest_s:
                outcome.slowest_s, outcome.slowest = took, body.name
            outcome.children.update(_pids(decoder))
            if outcome.good + outcome.refused.total() >= _WARM:
                outcome.measure()

    async with ClipDecoder(children=at_a_time) as decoder:
        await asyncio.gather(*(work() for _ in range(at_a_time)))
    return outcome


async def _decode(decoder: ClipDecoder, body: Body, outcome: Outcome) -> None:
    try:
        clip = await decoder.decode(Clip(body.data, body.container))
    except BadClip as error:
        outcome.refused[error.message] += 1
    else:
        assert clip.seconds, body.name
        assert clip.samples.shape == (2, round(clip.seconds * 48_000)), body.name
        outcome.good += 1


def _pids(decoder: ClipDecoder) -> set[int]:
    return {child.pid for child in decoder.children if child.pid is not None}


def check(outcome: Outcome) -> None:
    assert outcome.slowest_s < WALL_S + 5, f"{outcome.slowest} took {outcome.slowest_s:.1f} s"
    assert outcome.growth < GROWTH_BYTES, f"grew by {outcome.growth >> 20} MiB"
    assert max(outcome.files) <= outcome.files[0] + 4  # a child that is being replaced
    assert max(outcome.threads) <= outcome.threads[0] + 1


def main(full: bool = True) -> None:
    begun = time.monotonic()
    outcome = asyncio.run(survive(everything(FUZZED if full else FUZZED // 20)))
    print(f"{outcome.good + outcome.refused.total()} clips in {time.monotonic() - begun:.0f} s")
    print(f"good {outcome.good}, refused {outcome.refused.total()}")
    for message, count in outcome.refused.most_common(12):
        print(f"  {count:6} {message}")
    print(f"slowest {outcome.slowest_s:.2f} s ({outcome.slowest})")
    print(f"children used {len(outcome.children)}, memory +{outcome.growth / 2**20:.1f} MiB")
    check(outcome)
