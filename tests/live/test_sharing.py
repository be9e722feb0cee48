"""Requests for the same at the same time cost one synthesis, and each is served as if alone."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.dispatch.indices import heard_words, words
from tests.support.faults import Fault, cuts, drips, resets, stalls
from tests.support.indexed import FIRST, SECOND, World, route, speaks_words, world
from tests.support.scripts import SPEECH, asking
from tests.support.wire import Answer, Line, connected, exchange

MANY = 100
TEXT = words(100)
BODY = asking(input=TEXT)
LET_GO_S = 2.0
PATIENCE_S = 8.0
"""A second, and more on a busy machine; a reader who stalls is given a minute."""


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[World]:
    pieces = {"pieces": "always", "piece_chars": 60, "voice_change": "any"}
    config = {
        "models": {
            "it": route(FIRST, SECOND, share=True, max_input=1_000_000),
            "pieces": route(FIRST, SECOND, share=True, **pieces),
        },
        "server": {"places": 200},
        "timeouts": {"first_audio_s": 5.0, "stall_s": 5.0},
    }
    async with world(tmp_path, config) as there:
        yield there


async def ask_at_once(there: World, count: int, model: str) -> list[Answer]:
    """So many requests that are all on their way before the first is answered."""
    lines = [connected(there.url) for _ in range(count)]
    opened = await asyncio.gather(*(line.__aenter__() for line in lines))
    try:
        await asyncio.gather(*(line.ask(SPEECH, {**BODY, "model": model}) for line in opened))
        return list(await asyncio.gather(*(line.answer() for line in opened)))
    finally:
        for line in opened:
            line.close()


@pytest.mark.parametrize("model", ["it", "pieces"])
async def test_a_hundred_identical_requests_make_one_upstream_call(
    model: str, there: World
) -> None:
    """In pieces: every word of the text is asked for once. The same samples for everybody."""
    there.first.behaves = speaks_words(every_s=0.05)
    answers = await ask_at_once(there, MANY, model)

    said = [request.json()["input"] for request in there.first.upstream.requests]
    assert [int(word) for text in said for word in re.findall(r"\d+", text)] == list(range(100))
    assert (there.second.asked, len(said) > 1) == (0, model == "pieces")
    assert all(answer.whole for answer in answers)
    (body,) = {answer.body for answer in answers}
    assert heard_words(body) == list(range(100))
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == MANY


async def test_one_slow_reader_does_not_slow_the_others(there: World) -> None:
    """He reads nothing while all of it, far more than any buffer holds, is heard by the others."""
    count = 20_000
    body = {**BODY, "input": words(count)}
    there.first.behaves = speaks_words(piece_bytes=1 << 20, every_s=0.2)
    async with connected(there.url, receive_bytes=4_096) as slow:
        await slow.ask(SPEECH, body)
        head = await slow.head()
        began = time.monotonic()
        others = await asyncio.gather(*(exchange(there.url, SPEECH, body) for _ in range(5)))
        took_s = time.monotonic() - began
        mine = await slow.rest(head)

    assert there.first.asked == 1
    assert took_s < PATIENCE_S
    assert heard_words(mine.body) == list(range(count))
    assert {answer.body for answer in others} == {mine.body}
    assert mine.whole


@pytest.mark.parametrize("leave", [Line.finish, Line.reset], ids=lambda way: way.__name__)
async def test_the_work_goes_on_while_one_listener_is_left(
    leave: Callable[[Line], None], there: World
) -> None:
    """First who began it leaves, then who came second; the third hears all of it."""
    there.first.proxy.fault = drips(480, 0.005)
    async with (
        connected(there.url) as leader,
        connected(there.url) as second,
        connected(there.url) as third,
    ):
        await leader.ask(SPEECH, BODY)
        head = await leader.head()
        assert await leader.piece(head)
        for line in (second, third):
            await line.ask(SPEECH, BODY)
            await line.head()
        leave(leader)
        leave(second)
        answer = await exchange(there.url, SPEECH, BODY)

    assert heard_words(answer.body) == list(range(100))
    assert answer.whole
    assert there.first.asked == 1
    assert there.first.upstream.requests[0].gone.is_set() is False


async def test_when_all_have_left_the_provider_is_left_at_once(there: World) -> None:
    there.first.proxy.fault = stalls(5_000)
    lines = [connected(there.url) for _ in range(20)]
    opened = await asyncio.gather(*(line.__aenter__() for line in lines))
    await asyncio.gather(*(line.ask(SPEECH, BODY) for line in opened))
    await asyncio.gather(*(line.head() for line in opened))
    request = await there.first.upstream.request()
    for line in opened[:-1]:
        line.reset()
    assert not request.gone.is_set()
    opened[-1].reset()
    await request.left(LET_GO_S)

    assert there.first.asked == 1


@pytest.mark.parametrize("fault", [cuts(20_000), resets(20_000)], ids=["cut", "reset"])
async def test_who_shares_a_speech_shares_its_end(fault: Fault, there: World) -> None:
    """It breaks off for everybody, recognisably; nobody causes a second call."""
    there.first.behaves = speaks_words(every_s=0.05)
    there.first.proxy.fault = fault
    answers = await ask_at_once(there, 10, "it")

    assert there.first.asked == 1
    assert {(answer.status, answer.whole) for answer in answers} == {(200, False)}


async def test_before_the_first_sound_all_fall_over_together(there: World) -> None:
    there.first.proxy.fault = cuts(0)
    answers = await ask_at_once(there, 10, "it")

    assert {answer.headers["x-tts-fallback"] for answer in answers} == {"first=broken"}
    assert {heard_words(answer.body)[-1] for answer in answers} == {99}
    assert (there.first.asked, there.second.asked) == (1, 1)
