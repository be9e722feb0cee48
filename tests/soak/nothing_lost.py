"""Long texts spoken by providers that die all the time: no word may be missing, or heard twice.

Each word is a number in the samples. Both providers die at random points: before they answer,
behind their head, in mid-speech; closed, reset or silent. Where the voice may change every text is
heard to its end; where it may not, a stream that cannot go on ends so that nobody takes it for
whole.
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

from tests.dispatch.indices import heard_words, words
from tests.support.faults import HEALTHY, Fault, cuts, resets, stalls
from tests.support.indexed import FIRST, SECOND, World, route, world
from tests.support.scripts import SPEECH, asking
from tests.support.sse import told_audio
from tests.support.wire import Answer, exchange

TEXTS = 500
CALLERS = 8
LEAST_WORDS, MOST_WORDS = 120, 400
DIES = 0.2
"""Part of the first provider's answers that die."""
BOTH_DIE = 0.02
"""Part of the second's."""
MOST_REFUSED = 0.01
"""Part of the texts that no provider begins: both die at one and the same piece, the first."""
STALL_S = 0.3
_BOTH_DIED = re.compile(f"{FIRST}=(broken|timed_out), {SECOND}=(broken|timed_out)")
_PATIENCE_S = 120.0
_PIECES: Mapping[str, Any] = {"pieces": "always", "piece_chars": 120, "max_input": 100_000}
_CONFIG: Mapping[str, Any] = {
    "models": {
        "any": route(FIRST, SECOND, **_PIECES, voice_change="any"),
        "same-voice": route(FIRST, SECOND, **_PIECES, voice_change="same-voice"),
    },
    "timeouts": {"first_audio_s": STALL_S, "stall_s": STALL_S, "retry_pause_s": 0.01},
}


class Outcome(msgspec.Struct):
    """What became of the texts, and of the answers of the providers."""

    asked: Counter[str] = msgspec.field(default_factory=Counter)
    whole: Counter[str] = msgspec.field(default_factory=Counter)
    broken: Counter[str] = msgspec.field(default_factory=Counter)
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    """Before the first sound, for both providers had died."""
    wrong: list[str] = msgspec.field(default_factory=list)
    words: int = 0
    answers: int = 0
    died: int = 0


def survive(texts: int, folder: Path, *, seed: int = 1) -> Outcome:
    """So many texts, half of them where the voice may not change."""
    return asyncio.run(_survive(texts, folder, random.Random(seed)))


async def _survive(texts: int, folder: Path, dice: random.Random) -> Outcome:
    outcome = Outcome()
    async with world(folder, _CONFIG) as there:
        there.first.proxy.chooses = _dying(random.Random(dice.random()), DIES)
        there.second.proxy.chooses = _dying(random.Random(dice.random()), BOTH_DIE)
        queue = iter(range(2 * texts))

        async def caller() -> None:
            for number in queue:
                model = ("any", "same-voice")[number % 2]
                await _one(there, model, random.Random(dice.random()), outcome)

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(caller())
        for scene in (there.first, there.second):
            outcome.answers += scene.proxy.answers
            outcome.died += scene.proxy.spoiled
    return outcome


def _dying(dice: random.Random, part: float) -> Any:
    def choose(_number: int) -> Fault:
        if dice.random() >= part:
            return HEALTHY
        after = dice.choice((-1, 0, *[dice.randrange(18_000)] * 6))
        return dice.choice((cuts, cuts, cuts, resets, resets, stalls))(after)

    return choose


async def _one(there: World, model: str, dice: random.Random, outcome: Outcome) -> None:
    count, as_events = dice.randint(LEAST_WORDS, MOST_WORDS), dice.random() < 0.25
    form = "sse" if as_events else "audio"
    body = asking(model, input=words(count), stream_format=form)
    outcome.asked[model] += 1
    async with asyncio.timeout(_PATIENCE_S):
        answer = await exchange(there.url, SPEECH, body)
    if mistake := _judged(answer, model, count, as_events, outcome):
        outcome.wrong.append(f"{model}, {count} words, {form}: {mistake}")


def _judged(answer: Answer, model: str, count: int, as_events: bool, outcome: Outcome) -> str:
    """Why an answer is not what it must be; empty if it is."""
    if answer.status == 502 and _BOTH_DIED.fullmatch(answer.headers["x-tts-fallback"]):
        outcome.refused[model] += 1
        return ""
    if answer.status != 200:
        return f"status {answer.status}"
    try:
        heard = heard_words(told_audio(answer.body) if as_events else answer.body)
    except (AssertionError, ValueError):
        return "a word is cut"
    outcome.words += len(heard)
    if heard != list(range(len(heard))):
        return "a word is missing or twice"
    says_done = b'"speech.audio.done"' in answer.body[-200:] if as_events else answer.whole
    is_whole = answer.whole and says_done
    if is_whole != (len(heard) == count):
        return f"{len(heard)} words, and it ends {'cleanly' if is_whole else 'broken'}"
    if as_events and says_done != answer.whole:
        return "its events and its framing do not agree"
    (outcome.whole if is_whole else outcome.broken)[model] += 1
    return "" if is_whole or model == "same-voice" else "it broke although another could go on"


def check(outcome: Outcome) -> None:
    assert not outcome.wrong, "\n".join(outcome.wrong[:10])
    assert outcome.whole["any"] == outcome.asked["any"] - outcome.refused["any"]
    assert outcome.refused.total() <= max(2, outcome.asked.total() * MOST_REFUSED)
    assert outcome.died > outcome.answers * BOTH_DIE


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = survive(TEXTS, Path(folder))
    took_s = time.monotonic() - began
    print(f"{outcome.asked.total()} long texts, {outcome.words} words heard in {took_s:.0f} s")
    print(f"{outcome.answers} answers of the providers, of which {outcome.died} died")
    for model, asked in outcome.asked.items():
        ends = (
            f"{outcome.whole[model]} whole, {outcome.broken[model]} recognisably broken,"
            f" {outcome.refused[model]} refused when both had died"
        )
        print(f"  voice change {model}: {asked} texts, {ends}")
    print(
        f"words missing, twice or cut, or a broken stream that ends cleanly: {len(outcome.wrong)}"
    )
    check(outcome)
