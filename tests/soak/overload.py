"""Five times as many callers as can be served: those who are let in are served in time, the others
are told at once when to come again, and a moment later all is as before.

The load is open: callers come when they come, whether or not others were served.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from router.testing.watch import becomes
from tests.dispatch.indices import heard_words, words
from tests.soak.outside import Held, connections, held
from tests.support.indexed import FIRST, SECOND, World, route, speaks_words, world
from tests.support.scripts import SPEECH, asking
from tests.support.wire import connected

SECONDS = 120.0
TIMES = 5.0
SLOTS = {FIRST: 6, SECOND: 4}
SPEECH_S = 0.5
"""What a speech of `SHORT` words takes; one of `LONG` takes five times as long."""
SHORT, LONG = 10, 50
LONG_PART = 0.1
PLACE_S, DEADLINE_S = 1.0, 3.0
"""How long a caller may wait to be let in, and after that for his first sound."""
GROWTH_BYTES = 16 << 20
RECOVERY_S = 5.0
"""Within seconds, whatever else the machine does."""
WARM = 0.25
"""Part of the time after which memory is to stay as it is."""
_EVERY_S = 0.1
_CHUNK_BYTES = SHORT * 480 // 5
_PATIENCE_S = 30.0
_REST_S = 10.0
_CONFIG: Mapping[str, Any] = {
    "models": {"it": route(FIRST, SECOND)},
    "server": {"places": 16},
    "timeouts": {
        "deadline_s": DEADLINE_S,
        "first_audio_s": DEADLINE_S,
        "place_s": PLACE_S,
        "slot_s": 1,
        "retry_pause_s": 0.2,
    },
}


class Served(msgspec.Struct, frozen=True):
    """How one caller was served."""

    words: int
    status: int
    first_s: float
    is_right: bool
    """Spoken whole, or refused with a time to come again."""


class Outcome(msgspec.Struct):
    """What became of the callers."""

    capacity: float = 0.0
    """Speeches a second."""
    offered: float = 0.0
    served: list[Served] = msgspec.field(default_factory=list)
    recovered_s: float = 0.0
    held: list[Held] = msgspec.field(default_factory=list)

    @property
    def accepted(self) -> list[Served]:
        return [one for one in self.served if one.status == 200]

    def first_s(self, part: float) -> float:
        """The time to first audio that this part of the accepted did not exceed."""
        times = sorted(one.first_s for one in self.accepted)
        return times[min(int(part * len(times)), len(times) - 1)]


def survive(seconds: float, folder: Path, *, seed: int = 1) -> Outcome:
    return asyncio.run(_survive(seconds, folder, random.Random(seed)))


async def _survive(seconds: float, folder: Path, dice: random.Random) -> Outcome:
    more = {name: {"slots": slots} for name, slots in SLOTS.items()}
    async with world(folder, _CONFIG, of_each=more) as there:
        for scene in (there.first, there.second):
            scene.behaves = speaks_words(every_s=_EVERY_S, piece_bytes=_CHUNK_BYTES)
        await _ask(there, SHORT)  # it has loaded what it needs
        mean_s = SPEECH_S * (1 + (LONG / SHORT - 1) * LONG_PART)
        outcome = Outcome(capacity=sum(SLOTS.values()) / mean_s)
        outcome.offered = TIMES * outcome.capacity
        await _storm(there, seconds, dice, outcome)
        outcome.recovered_s = await _recovery(there)
        assert await becomes(lambda: connections(there.url) == 0, _REST_S), "a caller's line stays"
        outcome.held.append(held(there.server.pid))
    return outcome


async def _storm(there: World, seconds: float, dice: random.Random, outcome: Outcome) -> None:
    """Callers at random moments; nobody waits for anybody."""
    began, due = time.monotonic(), 0.0
    watcher = asyncio.create_task(_watch(there, seconds, outcome))
    async with asyncio.TaskGroup() as group:

        async def come(count: int) -> None:
            outcome.served.append(await _ask(there, count))

        while due < seconds:
            await asyncio.sleep(began + due - time.monotonic())
            group.create_task(come(LONG if dice.random() < LONG_PART else SHORT))
            due += dice.expovariate(outcome.offered)
    await watcher


async def _watch(there: World, seconds: float, outcome: Outcome) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        outcome.held.append(held(there.server.pid))
        there.first.upstream.requests.clear()
        there.second.upstream.requests.clear()
        await asyncio.sleep(seconds / 40)


async def _ask(there: World, count: int) -> Served:
    began = time.monotonic()
    async with asyncio.timeout(_PATIENCE_S), connected(there.url) as line:
        await line.ask(SPEECH, asking(input=words(count)))
        head = await line.head()
        piece = await line.piece(head) if head.is_chunked else b""
        first_s = time.monotonic() - began
        answer = await line.rest(head)
    if head.status == 200:
        heard = heard_words((piece or b"") + answer.body)
        return Served(count, 200, first_s, answer.whole and heard == list(range(count)))
    refused = head.status in (429, 503) and int(head.headers.get("retry-after", 0)) > 0
    return Served(count, head.status, first_s, refused)


async def _recovery(there: World) -> float:
    """Seconds until four in a row were served at once."""
    began, in_a_row = time.monotonic(), 0
    while in_a_row < 4:
        served = await _ask(there, SHORT)
        is_as_before = served.status == 200 and served.first_s < 2 * SPEECH_S
        in_a_row = in_a_row + 1 if is_as_before else 0
        if in_a_row == 1:
            since = time.monotonic() - began
    return since


def check(outcome: Outcome) -> None:
    wrong = Counter((one.status, one.words) for one in outcome.served if not one.is_right)
    assert not wrong, f"neither whole nor a refusal with a time: {wrong}"
    assert outcome.first_s(0.99) <= PLACE_S + DEADLINE_S
    assert {one.words for one in outcome.accepted} == {SHORT, LONG}
    assert outcome.recovered_s < RECOVERY_S
    sizes = [one.resident for one in outcome.held]
    early = max(sizes[: max(2, int(len(sizes) * WARM))])
    assert max(sizes) - early < GROWTH_BYTES, f"memory: {[size >> 20 for size in sizes]} MiB"


def main(seconds: float = SECONDS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome = survive(seconds, Path(folder))
    statuses = Counter(one.status for one in outcome.served)
    rate = len(outcome.accepted) / seconds
    print(f"offered {outcome.offered:.0f}/s for {seconds:.0f} s, capacity {outcome.capacity:.0f}/s")
    print(f"callers {len(outcome.served)}, by status {dict(statuses)}; served {rate:.1f}/s")
    for count, name in ((SHORT, "short"), (LONG, "long")):
        these = [one for one in outcome.served if one.words == count]
        part = sum(one.status == 200 for one in these) / len(these)
        print(f"  {name}: {len(these)} came, {part:.0%} were served")
    p50, p99, worst = (outcome.first_s(part) for part in (0.5, 0.99, 1.0))
    print(f"first audio of the accepted: p50 {p50:.2f} s, p99 {p99:.2f} s, worst {worst:.2f} s")
    refused = sorted(one.first_s for one in outcome.served if one.status != 200)
    print(f"refusals told after: p50 {refused[len(refused) // 2] * 1e3:.0f} ms, ", end="")
    print(f"p99 {refused[int(0.99 * len(refused))] * 1e3:.0f} ms")
    sizes = [one.resident / 2**20 for one in outcome.held]
    early = sizes[int(len(sizes) * WARM)]
    print(
        f"memory {early:.0f} MiB after a quarter, {sizes[-1]:.0f} at the end, most {max(sizes):.0f}"
    )
    print(f"as before {outcome.recovered_s:.2f} s after the last caller was answered")
    check(outcome)
