"""The local engine under mixed traffic and hang-ups: no row, thread or file may stay behind.

Every shape, every format, known voices and samples, over a tiny model whose faster graphs are built
and proven first. In rounds: after each one the last caller is waited for; what the process holds is
counted from outside, and the server is asked for its rows.
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

from router.audio.clip import CHILDREN
from router.contract.audio import ENCODINGS
from router.testing.watch import becomes
from tests.live.moss import (
    MULTIPART,
    SHAPES,
    TEXT,
    about,
    comes,
    form,
    is_at_rest,
    speaking,
    until_ready,
    wav,
)
from tests.soak.outside import Held, connections, held
from tests.support.process import ServerProcess
from tests.support.scripts import SPEECH
from tests.support.tiny_moss import write
from tests.support.wire import Answer, Line, connected

SECONDS = 600.0
CALLERS = 8
GROWTH_BYTES = 16 << 20
"""What a heap may still grow by after the first half of ten minutes: it keeps what it has freed,
and the arenas of all threads fill until then."""
HEAP_BYTES = 64 << 20
"""The same in the first seconds."""
THREADS = 64
"""A speech whose caller has left goes with the collector, which comes every 20,000 objects, and so
do the two idle threads of its coder. What nobody lets go would be thousands in ten minutes."""

_LONG = 12
"""Sentences of a long text: several rows at once."""
_CLIPS = 6
"""Voice samples that are known again; beside them come new ones."""
_PATIENCE_S = 60.0
_REST_S = 15.0


class Rest(msgspec.Struct, frozen=True):
    """What is left when nobody is there: counted from outside, and told by the engine."""

    held: Held
    rows: float
    frames: float
    """Made since the start."""


class Outcome(msgspec.Struct):
    """What became of the requests, and what was held after each round."""

    asked: Counter[str] = msgspec.field(default_factory=Counter)
    whole: int = 0
    left: int = 0
    busy: int = 0
    wrong: list[str] = msgspec.field(default_factory=list)
    rests: list[Rest] = msgspec.field(default_factory=list)


class Wish(msgspec.Struct, frozen=True):
    """One request, and after how many pieces its caller leaves; `None`: not before the end."""

    shape: str
    fields: Mapping[str, Any]
    clip: int | None
    leaves_after: int | None
    leave: str


def survive(seconds: float, folder: Path, *, rounds: int = 0, seed: int = 1) -> Outcome:
    """A server, and callers for so long; it has ended when this returns."""
    directory = str(write(folder / "model"))
    bounds = {"clones": 2 * _CLIPS, "voices_mb": 1}  # full soon: what grows then is a leak
    settings = {"directory": directory, "pull": "never", **bounds}
    rounds = rounds or max(4, round(seconds / 15))
    with speaking(settings, folder / "server") as server:
        outcome = asyncio.run(_rounds(server, rounds, seconds / rounds, random.Random(seed)))
        outcome.wrong += [one for one in server.log.text.splitlines() if '"level":"error"' in one]
    return outcome


async def _rounds(
    server: ServerProcess, rounds: int, seconds: float, dice: random.Random
) -> Outcome:
    outcome = Outcome()
    await until_ready(server.url)
    await _warm(server.url, outcome)
    for _ in range(rounds):
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(_caller(server.url, end, random.Random(dice.random()), outcome))
        assert await becomes(lambda: connections(server.url) == 0, _REST_S), "a caller's line stays"
        outcome.rests.append(await _at_rest(server, outcome.rests))
    return outcome


async def _warm(url: str, outcome: Outcome) -> None:
    """Everything once, and at once: libraries are loaded, and pools have their threads."""
    async with asyncio.TaskGroup() as group:
        for clip, encoding in enumerate(ENCODINGS):
            fields = {"response_format": encoding, "sample_rate": 44_100, "speed": 1.5}
            known = Wish("openai", fields, None, None, "")
            sample = Wish("leaper", fields, clip % _CLIPS, None, "")
            group.create_task(_one(url, known, outcome))
            group.create_task(_one(url, sample, outcome))


async def _at_rest(server: ServerProcess, before: list[Rest]) -> Rest:
    """What is held, once it is no more than after the round before, or when patience ends: who was
    left in a thread is let go when that thread has done its piece."""
    await comes(lambda: is_at_rest(server.url), _REST_S)
    inside = (await about(server.url))["inside"]
    if before:
        most = before[-1].held
        await becomes(lambda: _is_no_more(held(server.pid), most), _REST_S / 15)
    return Rest(held(server.pid), inside["gauges"]["rows"], inside["counters"]["frames"])


def _is_no_more(now: Held, most: Held) -> bool:
    is_no_more = own_files(now) <= own_files(most) and now.threads <= most.threads
    return is_no_more and now.children <= CHILDREN


def own_files(held: Held) -> int:
    """Those that are not the way to a child. A child decodes samples: it starts when one comes and
    ends when the caller of its sample leaves, so that any of `CHILDREN` may be there at rest."""
    return held.files - held.children


async def _caller(url: str, end: float, dice: random.Random, outcome: Outcome) -> None:
    while time.monotonic() < end:
        await _one(url, _wish(dice), outcome)


def _wish(dice: random.Random) -> Wish:
    clip = dice.choice((None, None, dice.randrange(_CLIPS), dice.randrange(1_000)))
    fields: dict[str, Any] = {"response_format": dice.choice(ENCODINGS), "stream": True}
    fields["input"] = TEXT * (_LONG if dice.random() < 0.2 else 1)
    if dice.random() < 0.2:
        fields["speed"] = round(dice.uniform(0.5, 2), 2)
    return Wish(
        shape="leaper" if clip is not None else dice.choice(tuple(SHAPES)),
        fields=fields,
        clip=clip,
        leaves_after=None if dice.random() < 0.4 else dice.choice((0, 1, 2, 5, 20)),
        leave=dice.choice(("close", "finish", "reset")),
    )


async def _one(url: str, wish: Wish, outcome: Outcome) -> None:
    outcome.asked[wish.shape if wish.clip is None else "clone"] += 1
    try:
        async with asyncio.timeout(_PATIENCE_S), connected(url) as line:
            await _ask(line, wish)
            await _hear(line, wish, outcome)
    except (EOFError, TimeoutError) as error:
        outcome.wrong.append(f"{_told(wish)}: {type(error).__name__}")


async def _ask(line: Line, wish: Wish) -> None:
    path, body = SHAPES[wish.shape]
    fields = {**body, **wish.fields}
    if wish.shape == "nanogpt":
        encoding = fields.pop("response_format")
        fields["format"] = encoding if encoding != "pcm" else "wav"
    if wish.clip is None:
        await line.ask(path, fields)
    else:
        sample = wav(2 + wish.clip % 7, seed=wish.clip)
        fields["stream"] = "true"
        await line.ask(SPEECH, form(fields, sample), headers=MULTIPART)


async def _hear(line: Line, wish: Wish, outcome: Outcome) -> None:
    if wish.leaves_after == 0:
        outcome.left += 1
        return  # before the first sound; the block closes the line
    head = await line.head()
    if wish.leaves_after is None or not head.is_chunked:
        _note(await line.rest(head), wish, outcome)
        return
    outcome.left += 1
    for _ in range(wish.leaves_after):
        if not await line.piece(head):
            return
    if wish.leave == "reset":
        line.reset()
    elif wish.leave == "finish":
        line.finish()


def _note(answer: Answer, wish: Wish, outcome: Outcome) -> None:
    if answer.status == 503 and "retry-after" in answer.headers:
        outcome.busy += 1  # too many samples at once: that is said, and no fault
    elif answer.status == 200 and answer.whole and len(answer.body) > 200:
        outcome.whole += 1
    else:
        outcome.wrong.append(f"{_told(wish)}: {answer.status}, whole {answer.whole}")


def _told(wish: Wish) -> str:
    return f"{wish.shape} {wish.fields['response_format']} clip {wish.clip}"


def check(outcome: Outcome, growth_bytes: int = GROWTH_BYTES) -> None:
    """Nothing went wrong, and nothing grew after the first half of the rounds."""
    assert not outcome.wrong, "\n".join(outcome.wrong[:10])
    assert outcome.whole > outcome.busy
    assert outcome.left
    assert [rest.rows for rest in outcome.rests] == [0.0] * len(outcome.rests)
    assert outcome.rests[-1].frames > outcome.rests[0].frames
    kept = [rest.held for rest in outcome.rests]
    early, late = kept[: max(2, len(kept) // 2)], kept[-max(1, len(kept) // 4) :]
    children = [rest.children for rest in kept]
    assert max(children) <= CHILDREN, f"children: {children}"
    files, threads = [own_files(rest) for rest in kept], [rest.threads for rest in kept]
    for what, counts, slack in (("files", files, 0), ("threads", threads, THREADS)):
        most, least = max(counts[: len(early)]) + slack, min(counts[-len(late) :])
        assert least <= most, f"{what}: {counts}"
    growth = min(rest.resident for rest in late) - max(rest.resident for rest in early)
    assert growth < growth_bytes, f"memory: {[rest.resident >> 20 for rest in kept]} MiB"


def main(seconds: float = SECONDS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome = survive(seconds, Path(folder))
    asked = ", ".join(f"{name} {count}" for name, count in outcome.asked.most_common())
    print(f"{outcome.asked.total()} requests in {seconds:.0f} s: {asked}")
    print(
        f"heard to the end {outcome.whole}, left {outcome.left}, busy {outcome.busy},"
        f" wrong {len(outcome.wrong)}"
    )
    print("after each round:  rows  frames  files  threads  children  MiB")
    for at, rest in enumerate(outcome.rests, 1):
        own = f"{rest.rows:4.0f}  {rest.frames:6.0f}"
        counts = f"{rest.held.files:5}  {rest.held.threads:7}  {rest.held.children:8}"
        print(f"{at:16}  {own}  {counts}  {rest.held.resident / 2**20:4.0f}")
    check(outcome)
