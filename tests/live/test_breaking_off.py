"""A provider dies after its first sound: the body breaks off, and nobody can take it for whole."""

from __future__ import annotations

import json
import time

import pytest

from tests.live.conftest import STALL_S, TOTAL_S
from tests.support.process import ServerProcess
from tests.support.scripts import SPEECH, asking
from tests.support.wire import connected, exchange

DYING = ("cut", "crashing", "stalling")
dyings = pytest.mark.parametrize("dying", DYING)


@dyings
@pytest.mark.parametrize("route", ["{}", "{}-then-good"])
@pytest.mark.parametrize("format", ["pcm", "wav"])
async def test_half_a_sentence_never_ends_cleanly(
    cast: ServerProcess, dying: str, route: str, format: str
) -> None:
    """Also where another provider would be there: after the first sound nothing is repeated."""
    body = asking(route.format(dying), response_format=format, stream=True)
    answer = await exchange(cast.url, SPEECH, body)

    assert answer.status == 200
    assert answer.headers["transfer-encoding"] == "chunked"
    assert not answer.whole
    assert 0 < len(answer.body) <= 9600 + 44
    assert answer.headers["x-tts-provider"] == dying


@dyings
async def test_what_is_held_whole_is_an_error_instead(cast: ServerProcess, dying: str) -> None:
    answer = await exchange(cast.url, SPEECH, asking(dying, response_format="wav"))

    assert answer.status in (502, 504)
    assert answer.whole
    assert answer.error["type"] == "server_error"


@dyings
async def test_the_record_says_that_it_broke(cast: ServerProcess, dying: str) -> None:
    answer = await exchange(cast.url, SPEECH, asking(dying))

    record = cast.log.record(answer.headers["x-request-id"])
    reason = "timed_out" if dying == "stalling" else "broken"
    assert (record["outcome"], record["reason"], record["status"]) == ("broken", reason, 200)
    assert record["audio_bytes"] == len(answer.body)


async def test_the_connection_is_not_used_again(cast: ServerProcess) -> None:
    async with connected(cast.url) as line:
        await line.ask(SPEECH, asking("cut"))
        assert not (await line.answer()).whole
        assert await line.is_over()


async def test_a_stall_costs_its_time_and_no_more(cast: ServerProcess) -> None:
    began = time.monotonic()
    await exchange(cast.url, SPEECH, asking("stalling"))

    assert STALL_S <= time.monotonic() - began < STALL_S + 1


async def test_a_speech_without_end_is_ended_by_the_total_limit(cast: ServerProcess) -> None:
    began = time.monotonic()
    answer = await exchange(cast.url, SPEECH, asking("endless"))
    took = time.monotonic() - began

    assert not answer.whole
    assert TOTAL_S <= took < TOTAL_S + 1


@dyings
async def test_events_say_that_it_broke_before_they_break_off(
    cast: ServerProcess, dying: str
) -> None:
    answer = await exchange(cast.url, SPEECH, asking(dying, stream_format="sse"))

    assert answer.status == 200
    assert not answer.whole
    *deltas, last = [json.loads(line[6:]) for line in answer.body.split(b"\n\n") if line]
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert last["type"] == "speech.audio.error"
    assert last["error"]["code"] == ("timed_out" if dying == "stalling" else "broken")
