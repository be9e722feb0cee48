"""Mixed streams in all formats to callers who leave when they like: nothing may stay behind.

espeak speaks, and a cast that sends the same speech as mp3, opus, aac, flac and wav at four times
the speed of talking, so that every codec is decoded, encoded and left in mid-speech. In rounds:
after each one the last caller is waited for, and what the process holds is counted from outside.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from router.contract.audio import ENCODINGS, Container, Encoding, container_of
from router.testing.watch import becomes
from tests.soak.outside import Held, connections, held
from tests.support.process import ServerProcess, as_shipped, serving
from tests.support.scripts import SCRIPTED, SPEECH, models, scripted
from tests.support.wire import Answer, Head, Line, connected, exchange

SECONDS = 600.0
CALLERS = 10
GROWTH_BYTES = 16 << 20
"""What a heap may still grow by: it keeps what it has freed."""
THREADS = 4
"""What a pool may still start after the first quarter of the rounds."""

TEXT = "The kettle is on, the door is open, and nobody minds the rain. " * 2
_NATIVE: tuple[Encoding, ...] = ("mp3", "opus", "aac", "flac", "wav")
_PACE = 0.25
_PATIENCE_S = 60.0
_REST_S = 15.0
_CONTAINERS: Mapping[str, Container] = {
    "mp3": "mp3",
    "aac": "aac",
    "flac": "flac",
    "wav": "wav",
    "opus": "ogg",
    "ogg": "ogg",
}


class Outcome(msgspec.Struct):
    """What became of the requests, and what was held after each round."""

    asked: Counter[str] = msgspec.field(default_factory=Counter)
    whole: int = 0
    left: int = 0
    wrong: list[str] = msgspec.field(default_factory=list)
    rests: list[Held] = msgspec.field(default_factory=list)


class Wish(msgspec.Struct, frozen=True):
    """One request, and after how many pieces its caller leaves; `None`: not before the end."""

    model: str
    encoding: Encoding
    sse: bool
    fields: Mapping[str, Any]
    leaves_after: int | None
    leave: str


def survive(seconds: float, folder: Path, *, rounds: int = 0, seed: int = 1) -> Outcome:
    """A server, and callers for so long; it has ended when this returns."""
    with serving(as_shipped(), _new(folder / "before")) as server:
        config = asyncio.run(_config(server, folder))
    rounds = rounds or max(4, round(seconds / 15))
    with serving(config, _new(folder / "soak"), plugins=[SCRIPTED]) as server:
        outcome = asyncio.run(_rounds(server, rounds, seconds / rounds, random.Random(seed)))
        errors = [line for line in server.log.text.splitlines() if '"level":"error"' in line]
        outcome.wrong += errors
    return outcome


async def _config(server: ServerProcess, folder: Path) -> dict[str, Any]:
    """As it is shipped, and a provider for each format; their speech is what espeak says."""
    config = as_shipped()
    for encoding in _NATIVE:
        file = folder / f"speech.{encoding}"
        file.write_bytes((await _spoken(server, encoding)).body)
        seconds = len((await _spoken(server, "pcm")).body) / 48_000
        config["providers"][encoding] = scripted(
            formats=[{"encoding": encoding}],
            files={encoding: str(file)},
            seconds=seconds,
            pace=_PACE,
        )
        config["models"] |= models({encoding: (encoding,)})
    return config


async def _spoken(server: ServerProcess, encoding: str) -> Answer:
    body = {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": encoding}
    return await exchange(server.url, SPEECH, body)


async def _rounds(
    server: ServerProcess, rounds: int, seconds: float, dice: random.Random
) -> Outcome:
    outcome = Outcome()
    await _warm(server.url, outcome)
    for _ in range(rounds):
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(_caller(server.url, end, random.Random(dice.random()), outcome))
        assert await becomes(lambda: connections(server.url) == 0, _REST_S), "a caller's line stays"
        outcome.rests.append(await _at_rest(server.pid, outcome.rests))
    return outcome


async def _warm(url: str, outcome: Outcome) -> None:
    """Everything once, and at once: libraries are loaded, and pools have their threads."""
    pairs = [*((encoding, "tts-1") for encoding in ENCODINGS), *(("mp3", name) for name in _NATIVE)]
    async with asyncio.TaskGroup() as group:
        for encoding, model in pairs:
            shaped = {"speed": 1.5, "sample_rate": 44_100}
            wish = Wish(model, encoding, sse=False, fields=shaped, leaves_after=None, leave="")
            group.create_task(_one(url, wish, outcome))


async def _at_rest(process: int, before: Sequence[Held]) -> Held:
    """What is held, once it is no more than after the round before, or when patience ends: who was
    left in a thread is let go when that thread has done its piece."""
    if before:
        most = before[-1]
        await becomes(lambda: _is_no_more(held(process), most), _REST_S / 5)
    return held(process)


def _is_no_more(now: Held, most: Held) -> bool:
    return now.files <= most.files and now.children <= most.children and now.threads <= most.threads


async def _caller(url: str, end: float, dice: random.Random, outcome: Outcome) -> None:
    while time.monotonic() < end:
        await _one(url, _wish(dice), outcome)


async def _one(url: str, wish: Wish, outcome: Outcome) -> None:
    outcome.asked[wish.encoding] += 1
    try:
        async with asyncio.timeout(_PATIENCE_S), connected(url) as line:
            await _ask(line, wish, outcome)
    except (EOFError, TimeoutError) as error:
        outcome.wrong.append(f"{wish}: {type(error).__name__}")


def _wish(dice: random.Random) -> Wish:
    fields: dict[str, Any] = {}
    if dice.random() < 0.2:
        fields["speed"] = round(dice.uniform(0.5, 2), 2)
    if dice.random() < 0.3:
        fields["sample_rate"] = dice.choice((16_000, 24_000, 44_100, 48_000))
    stays = dice.random() < 0.4
    return Wish(
        model=dice.choice(("tts-1", "tts-1", *_NATIVE)),
        encoding=dice.choice(ENCODINGS),
        sse=dice.random() < 0.2,
        fields=fields,
        leaves_after=None if stays else dice.choice((0, 1, 2, 5, 20)),
        leave=dice.choice(("close", "finish", "reset")),
    )


async def _ask(line: Line, wish: Wish, outcome: Outcome) -> None:
    body = {"model": wish.model, "input": TEXT, "voice": "alloy", "stream": True, **wish.fields}
    body |= {"response_format": wish.encoding, "stream_format": "sse" if wish.sse else "audio"}
    await line.ask(SPEECH, body)
    if wish.leaves_after == 0:
        outcome.left += 1
        return  # before the first sound; the block closes the line
    head = await line.head()
    if wish.leaves_after is None or not head.is_chunked:
        answer = await line.rest(head)
        outcome.whole += 1
        if mistake := _mistake(answer, wish):
            outcome.wrong.append(f"{wish}: {mistake}")
        return
    await _leave(line, head, wish)
    outcome.left += 1


async def _leave(line: Line, head: Head, wish: Wish) -> None:
    for _ in range(wish.leaves_after or 0):
        if not await line.piece(head):
            return
    if wish.leave == "reset":
        line.reset()
    elif wish.leave == "finish":
        line.finish()


def _mistake(answer: Answer, wish: Wish) -> str:
    """Why an answer is not a whole speech; empty if it is."""
    if answer.status != 200 or not answer.whole:
        return f"status {answer.status}, whole {answer.whole}"
    if wish.sse:
        return "" if b'"speech.audio.done"' in answer.body[-300:] else "no event at its end"
    found = container_of(answer.body[:12])
    wanted = _CONTAINERS.get(wish.encoding)
    return "" if wanted is None or found == wanted else f"it begins like {found}"


def check(outcome: Outcome) -> None:
    """Nothing went wrong, and nothing grew after the first quarter of the rounds."""
    assert not outcome.wrong, "\n".join(outcome.wrong[:10])
    assert outcome.whole
    assert outcome.left
    early = outcome.rests[: max(2, len(outcome.rests) // 4)]
    last = outcome.rests[-1]
    for what, slack in (("files", 0), ("children", 0), ("threads", THREADS)):
        most = max(getattr(rest, what) for rest in early) + slack
        assert getattr(last, what) <= most, f"{what}: {[getattr(r, what) for r in outcome.rests]}"
    late = outcome.rests[-max(1, len(outcome.rests) // 4) :]
    growth = min(rest.resident for rest in late) - max(rest.resident for rest in early)
    assert growth < GROWTH_BYTES, f"memory: {[r.resident >> 20 for r in outcome.rests]} MiB"


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main(seconds: float = SECONDS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome = survive(seconds, Path(folder))
    asked = ", ".join(f"{name} {count}" for name, count in outcome.asked.most_common())
    print(f"{outcome.asked.total()} requests in {seconds:.0f} s: {asked}")
    print(f"heard to the end {outcome.whole}, left {outcome.left}, wrong {len(outcome.wrong)}")
    print("after each round:  files  threads  children  MiB")
    for at, rest in enumerate(outcome.rests, 1):
        counts = f"{rest.files:5}  {rest.threads:7}  {rest.children:8}"
        print(f"{at:16}  {counts}  {rest.resident / 2**20:4.0f}")
    check(outcome)
