"""A caller who hangs up: everything is let go before the application returns."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from router.testing.scripted import Hang, Script, Scripted, Tone
from tests.support.inside import Inside, serving_inside
from tests.support.scripts import SPEECH, asking, models
from tests.support.wire import Line, connected

ONE = {"models": models({"it": ("voice",)})}
LET_GO_S = 2.0
"""It takes about a millisecond; a provider promises one second; the other is for a busy machine."""

Leaving = Callable[[Line], None]


class Moment(msgspec.Struct, frozen=True):
    """A moment of a speech, and how to come to it."""

    script: Script
    format: str
    come: Callable[[Line, Scripted], Awaitable[None]]
    status: int


async def _entered(line: Line, voice: Scripted) -> None:
    await voice.until(lambda v: v.entered == 1)


async def _accepted(line: Line, voice: Scripted) -> None:
    await voice.until(lambda v: v.accepted == 1)


async def _half_collected(line: Line, voice: Scripted) -> None:
    await voice.until(lambda v: v.chunks > 12)


async def _hearing(line: Line, voice: Scripted) -> None:
    head = await line.head()
    for _ in range(5):
        assert await line.piece(head)


async def _stalling(line: Line, voice: Scripted) -> None:
    """Read nothing until there is more than all buffers between us can hold."""
    await voice.until(lambda v: v.chunks * 1920 > 2_000_000)


STALLING = "while the reader stalls"
MOMENTS = {
    "before it was accepted": Moment(Script(entering=(Hang(),)), "pcm", _entered, 499),
    "before the first sound": Moment(Script((Hang(),)), "pcm", _accepted, 499),
    "while it is held whole": Moment(Script((Tone(0.5), Hang())), "wav", _half_collected, 499),
    "while it is silent in mid-speech": Moment(Script((Tone(0.2), Hang())), "pcm", _hearing, 200),
    "while it speaks": Moment(Script((Tone(math.inf, pace=0.2),)), "pcm", _hearing, 200),
    "while it speaks without ever waiting": Moment(Script((Tone(math.inf),)), "pcm", _hearing, 200),
    STALLING: Moment(Script((Tone(math.inf),)), "pcm", _stalling, 200),
}


@pytest.mark.parametrize("leave", [Line.finish, Line.reset], ids=["FIN", "RST"])
@pytest.mark.parametrize("name", MOMENTS)
async def test_a_hang_up_frees_the_provider_before_the_application_returns(
    name: str, leave: Leaving, tmp_path: Path
) -> None:
    moment = MOMENTS[name]
    if name == STALLING and leave is Line.finish:
        leave = Line.close  # with a bare FIN he could still read on: see the next test
    voice = Scripted(moment.script)
    loop = asyncio.get_running_loop()
    async with serving_inside(ONE, tmp_path, voice=voice) as inside:
        async with connected(inside.url) as line:
            await line.ask(SPEECH, asking(response_format=moment.format))
            await moment.come(line, voice)

            left_at = loop.time()
            leave(line)
            await inside.until(_returned)

        assert inside.held_at_return == [0]
        assert loop.time() - left_at < LET_GO_S
        assert (voice.entered, voice.left) == (1, 1)
        (record,) = inside.records
        assert (record.outcome, record.status) == ("abandoned", moment.status)


async def test_who_says_goodbye_and_stays_without_reading_is_a_slow_reader(tmp_path: Path) -> None:
    """He could read on: what was sent before has to be flushed before his FIN counts."""
    voice = Scripted(MOMENTS[STALLING].script)
    config = {**ONE, "timeouts": {"slow_reader_s": 0.3}}
    async with (
        serving_inside(config, tmp_path, voice=voice) as inside,
        connected(inside.url, receive_bytes=4096) as line,
    ):
        await line.ask(SPEECH, asking())
        await _stalling(line, voice)
        line.finish()
        await inside.until(_returned)

        assert inside.held_at_return == [0]


async def test_a_hang_up_is_no_failure_of_the_provider(tmp_path: Path) -> None:
    first, second = Scripted(Script((Hang(),))), Scripted()
    config = {"models": models({"it": ("first", "second")})}
    async with serving_inside(config, tmp_path, first=first, second=second) as inside:
        async with connected(inside.url) as line:
            await line.ask(SPEECH, asking())
            await first.until(lambda v: v.accepted == 1)
            line.reset()
            await inside.until(_returned)

        assert second.entered == 0
        assert [attempt.result for attempt in inside.records[0].attempts] == ["abandoned"]


async def test_a_caller_who_waits_for_a_place_may_hang_up(tmp_path: Path) -> None:
    voice = Scripted(Script((Tone(0.2), Hang())))
    config = {**ONE, "server": {"places": 1}}
    async with (
        serving_inside(config, tmp_path, voice=voice) as inside,
        connected(inside.url) as holder,
        connected(inside.url) as waiter,
    ):
        await holder.ask(SPEECH, asking())
        await _hearing(holder, voice)
        await waiter.ask(SPEECH, asking())
        waiter.finish()
        await inside.until(_returned)

        assert inside.held_at_return == [1]
        assert voice.entered == 1
        assert inside.records[0].outcome == "abandoned"


async def test_a_caller_behind_a_finished_answer_may_hang_up(tmp_path: Path) -> None:
    """The second request of a kept connection is watched like the first."""
    plays = iter([Script((Tone(0.2),)), Script((Hang(),))])
    voice = Scripted(lambda order: next(plays))
    async with serving_inside(ONE, tmp_path, voice=voice) as inside, connected(inside.url) as line:
        await line.ask(SPEECH, asking())
        assert (await line.answer()).whole
        await line.ask(SPEECH, asking())
        await voice.until(lambda v: v.accepted == 2)
        line.reset()
        await inside.until(lambda i: len(i.held_at_return) == 2)

        assert inside.held_at_return == [0, 0]
        assert [record.outcome for record in inside.records] == ["spoken", "abandoned"]


def _returned(inside: Inside) -> bool:
    return bool(inside.held_at_return)
