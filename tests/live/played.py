"""A scenario played over real sockets, and what came of it."""

from __future__ import annotations

import io
import time
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.dispatch.indices import heard_words, words
from tests.live.scenarios import (
    CONFIG,
    IN_WAV,
    SLACK_S,
    STALL_S,
    TWIN,
    WAYS,
    WORDS,
    Plight,
    Scenario,
)
from tests.support.faults import Fault
from tests.support.indexed import FIRST, Scene, World, provider, speaks_words, world
from tests.support.scripts import SPEECH
from tests.support.sse import told_audio
from tests.support.wire import Answer, exchange


class Row(msgspec.Struct, frozen=True):
    """What came of a scenario."""

    answer: Answer
    heard: list[int]
    took_s: float
    first: int
    second: int

    @property
    def got(self) -> str:
        """In words, what the caller got."""
        if self.answer.status != 200:
            wait = self.answer.headers.get("retry-after")
            code = self.answer.error["code"]
            return f"{self.answer.status} {code}" + (f", Retry-After {wait}" if wait else "")
        end = "whole" if self.answer.whole else "broken off, no end mark"
        return f"200 {end}, {len(self.heard)} of {WORDS} words, each once, in order"

    @property
    def saw(self) -> str:
        """In words, what the providers saw."""
        return f"first {self.first}, second {self.second}"


async def play(scenario: Scenario, there: World) -> Row:
    """One request in this plight, and what came of it."""
    await there.heal()
    there.first.behaves = speaks_words(framing=scenario.framing)
    await _suffer(there.first, scenario.first, scenario.from_answer)
    if scenario.second is not None:
        await _suffer(there.second, scenario.second, 1)
    body = {"model": scenario.model, "input": words(WORDS), "voice": "alloy", **WAYS[scenario.way]}
    began = time.monotonic()
    headers = {"x-request-timeout": scenario.within} if scenario.within else {}
    answer = await exchange(there.url, SPEECH, body, headers=headers)
    took_s = time.monotonic() - began
    heard = heard_words(_whole_words(_sound(answer, scenario.way))) if answer.status == 200 else []
    return Row(answer, heard, took_s, there.first.asked, there.second.asked)


def check(scenario: Scenario, row: Row) -> None:
    """What the caller got, and what the providers saw, is what it is to be."""
    answer = row.answer
    assert answer.status == scenario.status, row.got
    assert answer.headers.get("x-tts-fallback") == scenario.fallback
    assert answer.headers.get("x-tts-provider") == scenario.by
    ended_well = answer.whole and b"speech.audio.error" not in answer.body
    assert ended_well == scenario.whole, row.got
    assert row.heard == list(range(len(row.heard))), "a word is missing, or heard twice"
    if scenario.heard == "beginning":
        assert 0 < len(row.heard) < WORDS
    else:
        assert len(row.heard) == (WORDS if scenario.heard == "all" else 0)
    if scenario.saw is not None:
        assert (row.first, row.second) == scenario.saw
    assert row.took_s >= scenario.least_s
    assert row.took_s < max(scenario.most_s, scenario.least_s, STALL_S) + SLACK_S


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[World]:
    """The world in which all scenarios are played."""

    def others(first: Scene, second: Scene) -> Mapping[str, Any]:
        return {TWIN: provider(second, FIRST), IN_WAV: provider(first, FIRST, encoding="wav")}

    async with world(folder, CONFIG, others=others) as there:
        yield there


async def _suffer(scene: Scene, plight: Plight, from_answer: int) -> None:
    if plight == "refuses":
        await scene.proxy.refuse()
    elif isinstance(plight, Fault):
        ill, before = plight, scene.proxy.answers
        scene.proxy.chooses = lambda at: ill if at - before >= from_answer else Fault()
    else:
        well, behaviour = speaks_words(), plight

        async def behave(exchange: Any) -> None:
            is_well = len(scene.upstream.requests) < from_answer
            await (well if is_well else behaviour)(exchange)

        scene.behaves = behave


def _sound(answer: Answer, way: str) -> bytes:
    """The samples of an answer."""
    if way == "events":
        return told_audio(answer.body)
    if way == "held":
        with wave.open(io.BytesIO(answer.body)) as file:
            frames: bytes = file.readframes(file.getnframes())
            return frames
    return answer.body


def _whole_words(sound: bytes) -> bytes:
    """Without the word in which it was cut: a beginning of whole words, and pauses."""
    try:
        heard_words(sound)
    except (AssertionError, ValueError):
        return sound[: _last_mark(sound)]
    return sound


def _last_mark(sound: bytes) -> int:
    mark = (30_000).to_bytes(2, "little")
    at = len(sound) // 2 * 2 - 2
    while sound[at : at + 2] != mark:
        at -= 2
    while at >= 0 and sound[at : at + 2] == mark:
        at -= 2
    return at + 2
