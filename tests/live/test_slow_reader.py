"""A caller who does not read: patience with the slow, an end for those who stall."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

from router.testing.scripted import Script, Scripted, Tone, in_turn
from tests.support.inside import serving_inside
from tests.support.scripts import SPEECH, asking, models
from tests.support.wire import connected, exchange

LIMIT_S = 0.3
SMALL = 16_384


def _config(**timeouts: float) -> dict[str, Any]:
    return {"models": models({"it": ("voice",)}), "timeouts": timeouts}


async def test_a_reader_who_stalls_is_let_go_after_the_limit(tmp_path: Path) -> None:
    voice = Scripted(Script((Tone(math.inf),)))
    loop = asyncio.get_running_loop()
    async with (
        serving_inside(_config(slow_reader_s=LIMIT_S), tmp_path, voice=voice) as inside,
        connected(inside.url, receive_bytes=SMALL) as line,
    ):
        began = loop.time()
        await line.ask(SPEECH, asking())
        head = await line.head()
        await inside.until(lambda i: bool(i.held_at_return))
        took = loop.time() - began

        assert inside.held_at_return == [0]
        assert LIMIT_S < took < LIMIT_S * 5
        assert not (await line.rest(head)).whole
        assert inside.records[0].outcome == "abandoned"


async def test_a_reader_who_stalls_behind_a_whole_answer_is_let_go_too(tmp_path: Path) -> None:
    voice = Scripted(Script((Tone(60.0),)))
    async with (
        serving_inside(_config(slow_reader_s=LIMIT_S), tmp_path, voice=voice) as inside,
        connected(inside.url, receive_bytes=SMALL) as line,
    ):
        await line.ask(SPEECH, asking(response_format="wav"))
        head = await line.head()
        await inside.until(lambda i: bool(i.held_at_return))

        assert inside.held_at_return == [0]
        assert not (await line.rest(head)).whole


async def test_a_slow_reader_who_reads_on_is_waited_for(tmp_path: Path) -> None:
    """The limit counts from the last time that something was taken, not from the beginning."""
    voice = Scripted(Script((Tone(30.0),)))
    loop = asyncio.get_running_loop()
    async with serving_inside(_config(slow_reader_s=LIMIT_S), tmp_path, voice=voice) as inside:
        async with connected(inside.url, receive_bytes=SMALL) as line:
            began = loop.time()
            await line.ask(SPEECH, asking())
            head = await line.head()
            heard = 0
            while piece := await line.piece(head):
                heard += len(piece)
                await asyncio.sleep(0.001)  # what a slow reader does
            took = loop.time() - began

        assert piece == b""
        assert heard == 30 * 48_000
        assert took > 2 * LIMIT_S
        assert inside.records[0].outcome == "spoken"


async def test_a_slow_reader_holds_no_slot_of_a_provider_that_has_ended(tmp_path: Path) -> None:
    voice = Scripted(in_turn(Script((Tone(60.0),)), Script((Tone(0.1),))))
    config = _config(slot_s=5.0) | {"providers": {"voice": {"kind": "voice", "slots": 1}}}
    async with (
        serving_inside(config, tmp_path, voice=voice) as inside,
        connected(inside.url, receive_bytes=SMALL) as stalling,
    ):
        await stalling.ask(SPEECH, asking())
        head = await stalling.head()
        assert await stalling.piece(head)

        answer = await exchange(inside.url, SPEECH, asking())

        assert answer.whole
        assert len(answer.body) == 4800
        assert len((await stalling.rest(head)).body) + 1920 == 60 * 48_000
