"""A thousand callers who hang up at any moment: nothing of them may stay, and nobody may go on
speaking for them.

What is left is counted from outside: the providers' side sees who is still being spoken to; the
system tells open files and threads; every slot and every place is taken once more at the end, all
of them at the same time; a plugin tells the number of tasks in the server's loop.
"""

from __future__ import annotations

import asyncio
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from router.testing.misbehaving import ClientLeft, Exchange
from router.testing.watch import becomes
from tests.dispatch.indices import words
from tests.soak.ledger import TEXT_WORDS, Ledger
from tests.soak.outside import Held, connections, held
from tests.support.faults import HEALTHY, Fault, cuts, latency, resets, stalls
from tests.support.indexed import FIRST, SECOND, Scene, World, route, world
from tests.support.scripts import SPEECH, asking
from tests.support.tasks import TASKS
from tests.support.wire import Line, connected, exchange

HANG_UPS = 1_000
CALLERS = 32
SLOTS = 12
PLACES = 24
LATEST_S = 1.0
_REST_S = 10.0
_CONFIG: Mapping[str, Any] = {
    "models": {
        "it": route(FIRST, SECOND),
        "pieces": route(FIRST, SECOND, pieces="always", piece_chars=40, voice_change="any"),
        "hedged": route(FIRST, SECOND, hedge=0.5),
        "shared": route(FIRST, SECOND, share=True),
        "alone": route(FIRST),
        "tasks": route("tasks"),
    },
    "server": {"places": PLACES},
    "timeouts": {
        "first_audio_s": 0.5,
        "stall_s": 0.5,
        "retry_pause_s": 0.05,
        "place_s": 1,
        "slot_s": 1,
    },
}


class Rest(msgspec.Struct, frozen=True):
    """What is held when nobody is there."""

    held: Held
    tasks: int
    sockets: int
    """Files less the connections to providers that are kept for the next request."""


class Outcome(msgspec.Struct):
    """What became of the hang-ups."""

    moments: Counter[str] = msgspec.field(default_factory=Counter)
    chunks_after: Counter[int] = msgspec.field(default_factory=Counter)
    """How many hang-ups were followed by so many chunks of one answer to nobody."""
    let_go_s: list[float] = msgspec.field(default_factory=list)
    wrong: list[str] = msgspec.field(default_factory=list)
    rests: list[Rest] = msgspec.field(default_factory=list)


def survive(count: int, folder: Path, *, rounds: int = 4, seed: int = 1) -> Outcome:
    """So many hang-ups, in rounds; after each what is held is counted."""
    return asyncio.run(_survive(count, folder, rounds, random.Random(seed)))


async def _survive(count: int, folder: Path, rounds: int, dice: random.Random) -> Outcome:
    outcome, ledger = Outcome(), Ledger()
    more = {name: {"slots": SLOTS} for name in (FIRST, SECOND)}
    async with world(folder, _CONFIG, of_each=more, others=_counter, plugins=[TASKS]) as there:
        there.first.behaves = there.second.behaves = ledger.speak
        numbers = iter(range(1, count + 1 + CALLERS))
        for _ in range(rounds + 1):  # the first warms: libraries, pools, connections
            part = count // rounds if outcome.rests else CALLERS
            there.first.proxy.chooses = _ill(random.Random(dice.random()))
            mine = [number for number, _ in zip(numbers, range(part), strict=False)]
            await _round(there, ledger, mine, dice, outcome)
            outcome.rests.append(await _at_rest(there))
        there.first.proxy.heal()
        outcome.wrong += await _everything_is_free(there, ledger)
    return outcome


async def _round(
    there: World, ledger: Ledger, numbers: list[int], dice: random.Random, outcome: Outcome
) -> None:
    queue = iter(numbers)

    async def caller() -> None:
        for number in queue:
            await _one(there, ledger, number, random.Random(dice.random()), outcome)

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(caller())


def _counter(_first: Scene, _second: Scene) -> Mapping[str, Any]:
    return {"tasks": {"kind": "tasks"}}


def _ill(dice: random.Random) -> Any:
    def choose(_number: int) -> Fault:
        if dice.random() < 0.7:
            return HEALTHY
        return dice.choice((latency(0.3), stalls(-1), stalls(0), cuts(0), cuts(2_000), resets(0)))

    return choose


async def _one(
    there: World, ledger: Ledger, number: int, dice: random.Random, outcome: Outcome
) -> None:
    """Ask, leave at a random moment, and see when the last provider is left."""
    model = dice.choice(("it", "pieces", "hedged", "shared", "alone"))
    format, form = dice.choice(("pcm", "pcm", "wav", "mp3")), dice.choice(("audio", "sse"))
    first = number % 1_300 * TEXT_WORDS
    caller = first // TEXT_WORDS
    text = words(TEXT_WORDS, first)
    body = asking(model, input=text, response_format=format, stream_format=form)
    leaves_at = time.monotonic() + dice.uniform(0, LATEST_S)
    async with connected(there.url) as line:
        await line.ask(SPEECH, body)
        moment = await _listen(line, leaves_at)
        before, left = ledger.given(caller), time.monotonic()
        dice.choice((Line.close, Line.reset))(line)
    outcome.moments[moment] += 1
    if not await becomes(lambda: not ledger.is_spoken_to(caller), _REST_S):
        outcome.wrong.append(f"{body['model']} {format} {form}: somebody still speaks")
    outcome.let_go_s.append(time.monotonic() - left)
    outcome.chunks_after[ledger.most_since(caller, before)] += 1


async def _listen(line: Line, until: float) -> str:
    """Hear what comes until that moment; says which moment of the speech it is."""
    moment = "before the first sound"
    try:
        async with asyncio.timeout(until - time.monotonic()):
            head = await line.head()
            moment = "in mid-speech" if head.status == 200 else "behind a refusal"
            await line.rest(head)
            moment = "behind the end" if head.status == 200 else "behind a refusal"
            await asyncio.sleep(LATEST_S)
    except (TimeoutError, EOFError):
        pass
    return moment


async def _at_rest(there: World) -> Rest:
    """What is held, once all callers' connections and all attempts have gone."""
    upstreams = (there.first.upstream, there.second.upstream)
    assert await becomes(lambda: connections(there.url) == 0, _REST_S), "a caller's line stays"
    assert await becomes(lambda: not sum(u.at_work for u in upstreams), _REST_S), "an attempt stays"
    tasks = await _tasks(there)
    assert await becomes(lambda: connections(there.url) == 0, _REST_S)
    now = held(there.server.pid)
    return Rest(now, tasks, now.files - there.first.proxy.open - there.second.proxy.open)


async def _tasks(there: World) -> int:
    answer = await exchange(there.url, SPEECH, asking("tasks"))
    found = re.search(r"(\d+) tasks", answer.error["message"])
    assert found, answer.body
    return int(found[1])


async def _everything_is_free(there: World, ledger: Ledger) -> list[str]:
    """All places, and with them all slots, can be had at the same time."""
    together, there_now = asyncio.Event(), 0

    async def behave(exchange: Exchange) -> None:
        nonlocal there_now
        there_now += 1
        if there_now == PLACES:
            together.set()
        try:
            async with asyncio.timeout(_REST_S):
                await together.wait()
        except TimeoutError:
            raise ClientLeft from None
        await ledger.speak(exchange)

    there.first.behaves = there.second.behaves = behave
    there.first.upstream.requests.clear()
    there.second.upstream.requests.clear()
    asked = [exchange(there.url, SPEECH, asking(input=words(3, n * 10))) for n in range(PLACES)]
    answers = await asyncio.gather(*asked)
    each = (there.first.asked, there.second.asked)
    if each != (SLOTS, PLACES - SLOTS) or not all(answer.whole for answer in answers):
        return [f"of {PLACES} at once {there_now} were spoken to: {each}"]
    return []


def check(outcome: Outcome) -> None:
    assert not outcome.wrong, "\n".join(outcome.wrong[:10])
    assert max(outcome.chunks_after) <= 1, dict(outcome.chunks_after)
    first, *later = outcome.rests
    for rest in later:
        assert rest.tasks <= first.tasks, [r.tasks for r in outcome.rests]
        assert rest.sockets <= first.sockets, [r.sockets for r in outcome.rests]
        assert rest.held.children <= first.held.children


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = survive(HANG_UPS, Path(folder))
    moments = ", ".join(f"{count} {name}" for name, count in outcome.moments.most_common())
    print(f"{outcome.moments.total()} hang-ups in {time.monotonic() - began:.0f} s: {moments}")
    print(f"chunks said to nobody, and after how many hang-ups: {dict(outcome.chunks_after)}")
    let_go = sorted(outcome.let_go_s)
    p50, p99 = (let_go[int(part * (len(let_go) - 1))] * 1e3 for part in (0.5, 0.99))
    print(f"providers let go after: p50 {p50:.0f} ms, p99 {p99:.0f} ms, {let_go[-1] * 1e3:.0f} ms")
    print("after each round:  tasks  files and sockets  threads  MiB")
    for at, rest in enumerate(outcome.rests):
        counts = f"{rest.tasks:6}  {rest.sockets:17}  {rest.held.threads:7}"
        print(f"{at:17}  {counts}  {rest.held.resident / 2**20:3.0f}")
    print(f"all {PLACES} places and {2 * SLOTS} slots can be taken at once: {not outcome.wrong}")
    check(outcome)
