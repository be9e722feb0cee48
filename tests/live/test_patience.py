"""Nobody's manners are another's trouble: the loop turns on, and no wait is without an end."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.settings.structs import Timeouts
from router.testing.scripted import Script, Scripted, Tone
from router.testing.watch import lateness
from tests.support.inside import serving_inside
from tests.support.scripts import SPEECH, asking, models
from tests.support.wire import connected, exchange

IMPATIENT = {field.name: 0.3 for field in msgspec.structs.fields(Timeouts)}
BLOCKED_S = 0.25
"""The longest that one caller may be felt by the others: to hand over 64 MiB costs some of it."""


def _config(**more: Any) -> dict[str, Any]:
    return {"models": models({"it": ("voice",)}), **more}


@pytest.mark.parametrize("read", ["all", "nothing"])
@pytest.mark.parametrize("format", ["pcm", "wav"])
async def test_a_provider_that_never_waits_does_not_stop_the_others(
    read: str, format: str, tmp_path: Path
) -> None:
    """It has no real await in it, and gives without an end what would fill every buffer."""
    voice = Scripted(Script((Tone(math.inf),)))
    async with serving_inside(_config(), tmp_path, voice=voice) as inside:
        await exchange(inside.url, "/health/live")
        async with lateness() as late, connected(inside.url) as line:
            await line.ask(SPEECH, asking(response_format=format))
            await voice.until(lambda v: v.chunks > 1)
            if read == "all":
                head = await line.head()
                for _ in range(2000):
                    assert await line.piece(head)
            for _ in range(5):
                assert (await exchange(inside.url, "/health/live")).status == 200

    assert late.worst_s < BLOCKED_S


@pytest.mark.parametrize("sent", [b"", b'{"model": "it", '])
async def test_a_body_that_does_not_come_is_not_waited_for_without_end(
    sent: bytes, tmp_path: Path
) -> None:
    async with serving_inside(_config(timeouts=IMPATIENT), tmp_path, voice=Scripted()) as inside:
        async with connected(inside.url) as line:
            await line.ask(SPEECH, sent, headers={"Content-Length": "500"})
            async with asyncio.timeout(3):
                await inside.until(lambda i: bool(i.held_at_return))

        assert len(inside.records) == 1


async def test_a_provider_that_never_waits_is_ended_by_the_total_limit(tmp_path: Path) -> None:
    voice = Scripted(Script((Tone(math.inf),)))
    config = _config(timeouts={"total_s": 0.5})
    async with (
        serving_inside(config, tmp_path, voice=voice) as inside,
        connected(inside.url) as line,
    ):
        await line.ask(SPEECH, asking())
        async with asyncio.timeout(5):
            answer = await line.answer()

        assert not answer.whole
        assert inside.held_at_return == [0]
        assert inside.records[0].outcome == "broken"


async def test_who_waits_for_a_sample_while_another_is_made_does_not_wait_for_ever(
    tmp_path: Path,
) -> None:
    voice = Scripted(Script((Tone(60, 1.0),)))
    config = _config(timeouts={"deadline_s": 0.3}, voices={"a": {}, "b": {}})
    async with (
        serving_inside(config, tmp_path, voice=voice) as inside,
        connected(inside.url) as first,
    ):
        await first.ask("/v1/voices/a/sample")
        await voice.until(lambda v: v.chunks > 1)
        answer = await exchange(inside.url, "/v1/voices/b/sample")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"
