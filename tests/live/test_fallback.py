"""A provider fails before its first sound: the next one speaks, and the caller sees nothing."""

from __future__ import annotations

import time

import pytest

from tests.live.conftest import DEADLINE_S, FIRST_AUDIO_S
from tests.support.process import ServerProcess
from tests.support.scripts import SPEECH, asking
from tests.support.wire import Answer, connected, exchange

REASONS = {
    **{word: word for word in ("refused", "busy", "not_ready", "bad_key", "no_credit")},
    **{word: word for word in ("unreachable", "timed_out", "broken", "not_speech")},
    "bug": "broken",
    "silent": "not_speech",
    "mute": "timed_out",
}
"""Those who never make a sound, and the word for it."""
WAYS = {
    "streamed": {"response_format": "pcm"},
    "streamed as wav": {"response_format": "wav", "stream": True},
    "held whole": {"response_format": "wav"},
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


@ways
@pytest.mark.parametrize("dead", REASONS)
async def test_a_dead_provider_is_fallen_over_with_no_byte_lost(
    cast: ServerProcess, dead: str, way: dict[str, object]
) -> None:
    alone = await exchange(cast.url, SPEECH, asking("good", **way))
    answer = await exchange(cast.url, SPEECH, asking(f"{dead}-then-good", **way))

    assert (answer.status, answer.whole) == (200, True)
    assert answer.body == alone.body
    assert answer.headers.get("content-length") == alone.headers.get("content-length")
    assert answer.headers["x-tts-provider"] == "good"
    assert answer.headers["x-tts-fallback"] == f"{dead}={REASONS[dead]}"


@pytest.mark.parametrize("dying", ["cut", "crashing", "stalling"])
async def test_what_is_held_whole_can_be_fallen_over_to_its_last_byte(
    cast: ServerProcess, dying: str
) -> None:
    alone = await exchange(cast.url, SPEECH, asking("good", response_format="wav"))
    answer = await exchange(cast.url, SPEECH, asking(f"{dying}-then-good", response_format="wav"))

    assert answer.whole
    assert answer.body == alone.body


async def test_a_hanging_provider_costs_its_time_and_no_more(cast: ServerProcess) -> None:
    async with connected(cast.url) as line:
        began = time.monotonic()
        await line.ask(SPEECH, asking("mute-then-good"))
        head = await line.head()
        took = time.monotonic() - began

        assert head.status == 200
        assert FIRST_AUDIO_S <= took < FIRST_AUDIO_S + 1
        assert (await line.rest(head)).whole


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("two-refusals", 400, "invalid_parameter_value"),
        ("refused", 400, "invalid_parameter_value"),
        ("busy-or-loading", 503, "overloaded"),
        ("mute", 504, "upstream_timeout"),
        ("two-mutes", 504, "upstream_timeout"),
        ("mixed", 502, "upstream_error"),
        ("bad_key", 502, "upstream_error"),
        ("no_credit", 502, "upstream_error"),
        ("bug", 502, "upstream_error"),
        ("silent", 502, "upstream_error"),
    ],
)
@ways
async def test_when_nobody_speaks_the_status_says_why(
    cast: ServerProcess, model: str, status: int, code: str, way: dict[str, object]
) -> None:
    answer = await exchange(cast.url, SPEECH, asking(model, **way))

    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.whole
    assert answer.headers["content-type"] == "application/json"


async def test_all_busy_is_told_with_the_shortest_wait(cast: ServerProcess) -> None:
    answer = await exchange(cast.url, SPEECH, asking("busy"))

    assert (answer.status, answer.headers["retry-after"]) == (503, "7")


async def test_the_deadline_spans_all_attempts(cast: ServerProcess) -> None:
    began = time.monotonic()
    answer = await exchange(cast.url, SPEECH, asking("two-mutes"))
    took = time.monotonic() - began

    assert answer.status == 504
    assert DEADLINE_S <= took < DEADLINE_S + 1
    results = await _attempts(cast, answer)
    assert results == 2


async def _attempts(server: ServerProcess, answer: Answer) -> int:
    attempts: int = server.log.record(answer.headers["x-request-id"])["attempts"]
    return attempts
