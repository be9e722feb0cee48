"""Requests for the same at the same time are spoken once, and each has it as if alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from router.contract.errors import Broken, SpeechError
from router.testing.scripted import Hang, Raise, Script, Scripted, Tone, Until
from router.testing.watch import becomes
from tests.dispatch.stage import CLIP, WAV, Stage, able, asking, opened, stage

SHARED: dict[str, Any] = {"model": {"share": True}, "server": {"places": 200}}


async def both(on: Stage, *requests: Any) -> list[bytes]:
    heard = await asyncio.gather(*(on.heard(request) for request in requests))
    return [body for _, body in heard]


async def test_a_hundred_identical_requests_make_one_upstream_call(tmp_path: Path) -> None:
    one = Scripted(Script((Tone(1.0, 0.05),)))
    async with stage(tmp_path, SHARED, one=one) as on:
        records = [opened() for _ in range(100)]
        heard = await asyncio.gather(*(on.heard(asking(), record) for record in records))
        assert one.entered == 1
        assert {body for _, body in heard} == {heard[0][1]}
        assert len(heard[0][1]) == 48_000
        assert sum(record.shared for record in records) == 99
        assert sum(len(record.attempts) for record in records) == 1
        assert {record.outcome for record in records} == {"spoken"}
        assert on.held == 0


@pytest.mark.parametrize(
    "other",
    [
        {"text": "Something else."},
        {"voice": "nova"},
        {"format": WAV},
        {"speed": 1.5},
        {"language": "fr"},
        {"options": {"seed": 4}},
        {"clip": CLIP},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_who_asks_for_anything_else_is_spoken_to_alone(
    other: dict[str, Any], tmp_path: Path
) -> None:
    one = Scripted(Script((Tone(0.5, 0.1),)), offers=able(cloning=True))
    async with stage(tmp_path, SHARED, one=one) as on:
        await both(on, asking(), asking(**other))
        assert one.entered == 2


async def test_the_work_goes_on_while_one_listener_is_left(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    one = Scripted(Script((Tone(0.1), Until(go_on), Tone(0.9))))
    async with stage(tmp_path, SHARED, one=one) as on, asyncio.timeout(5):
        leader = asyncio.create_task(on.heard(asking()))
        await one.until(lambda player: player.chunks > 0)
        follower = asyncio.create_task(on.heard(asking()))
        await asyncio.sleep(0.01)
        leader.cancel()
        await asyncio.gather(leader, return_exceptions=True)
        assert one.open == 1
        go_on.set()
        _, body = await follower
        assert len(body) == 48_000
        assert (one.entered, one.open) == (1, 0)


async def test_when_the_last_listener_leaves_everything_is_let_go(tmp_path: Path) -> None:
    one = Scripted(Script((Tone(0.1), Hang())))
    async with stage(tmp_path, SHARED, one=one) as on, asyncio.timeout(5):
        before = asyncio.all_tasks()
        listeners = [asyncio.create_task(on.heard(asking())) for _ in range(5)]
        await one.until(lambda player: player.chunks > 0)
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
        assert (one.entered, one.open) == (1, 0)
        assert asyncio.all_tasks() == before


async def test_one_slow_reader_does_not_slow_the_others(tmp_path: Path) -> None:
    one = Scripted(Script((Tone(60.0),)))
    async with stage(tmp_path, SHARED, one=one) as on, asyncio.timeout(10):
        async with on.speak(asking()) as slow:
            chunks = slow.chunks()
            await anext(chunks)
            _, body = await on.heard(asking())
            assert len(body) == 60 * 48_000
            rest = b"".join([chunk async for chunk in chunks])
            assert len(rest) > 59 * 48_000
        assert one.entered == 1


async def test_an_error_reaches_all_who_listen(tmp_path: Path) -> None:
    one = Scripted(Script((Tone(0.1), Raise(Broken("x")))))
    async with stage(tmp_path, SHARED, one=one) as on:
        heard = await asyncio.gather(
            *(on.heard(asking()) for _ in range(3)), return_exceptions=True
        )
        assert all(isinstance(error, SpeechError) for error in heard)
        assert one.entered == 1


async def test_after_it_has_ended_it_is_spoken_anew(tmp_path: Path) -> None:
    one = Scripted()
    async with stage(tmp_path, SHARED, one=one) as on:
        await on.heard(asking())
        await on.heard(asking())
        assert one.entered == 2
        assert await becomes(lambda: not on.speaker._shared._under_way, 1)
