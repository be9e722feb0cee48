"""What the router thinks of its providers, from what they did over real sockets, and acts upon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from router.testing.misbehaving import refuses
from router.testing.watch import becomes
from tests.dispatch.indices import heard_words, words
from tests.support.faults import cuts, drips, latency, stalls
from tests.support.indexed import FIRST, SECOND, UNPROBED, World, route, world
from tests.support.process import Log
from tests.support.scripts import SPEECH, asking
from tests.support.wire import Answer, connected, exchange

TEXT = words(30)
COOL_S = 2.0
OUTLOOK = {"least": 4, "error_rate": 0.5, "cool_s": COOL_S, "cool_most_s": 5, "probe": "off"}
TIMEOUTS = {"first_audio_s": 1.0, "stall_s": 1.0, "deadline_s": 3.0, "retry_pause_s": 0.02}


def config(outlook: Mapping[str, Any] = OUTLOOK, **model: Any) -> dict[str, Any]:
    models = {"it": route(FIRST, SECOND, **model)}
    return {"models": models, "timeouts": TIMEOUTS, "outlook": outlook}


@pytest.fixture
async def judging(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, config()) as judging:
        yield judging


async def ask(there: World, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await exchange(there.url, SPEECH, asking(input=TEXT), headers=named)
    assert (answer.status, answer.whole) == (200, True)
    assert heard_words(answer.body) == list(range(30))
    return answer


async def test_who_fails_is_left_alone_tried_once_and_asked_again(judging: World) -> None:
    judging.first.behaves = refuses(500)
    for _ in range(4):
        assert (await ask(judging)).headers["x-tts-fallback"] == "first=broken"
    for _ in range(10):
        assert (await ask(judging)).headers["x-tts-fallback"] == "first=resting"
    assert judging.first.asked == 4

    await judging.first.heal()
    judging.first.proxy.fault = latency(0.6)
    await asyncio.sleep(COOL_S)  # the pause itself is what is tested
    answers = await asyncio.gather(*(ask(judging) for _ in range(10)))
    assert sorted(answer.headers["x-tts-provider"] for answer in answers) == [FIRST, *[SECOND] * 9]
    assert judging.first.asked == 1
    assert (await ask(judging)).headers["x-tts-fallback"] == "none"


async def test_a_key_that_is_refused_is_left_alone_at_once_and_said_loudly(judging: World) -> None:
    judging.first.behaves = refuses(401)
    assert (await ask(judging)).headers["x-tts-fallback"] == "first=bad_key"
    assert (await ask(judging)).headers["x-tts-fallback"] == "first=resting"
    assert judging.first.asked == 1
    (line, *_) = await asyncio.to_thread(judging.server.log.until, _left_alone)
    assert '"level":"error"' in line
    assert '"why":"bad_key"' in line


def _left_alone(log: Log) -> list[str] | None:
    return [line for line in log.text.splitlines() if "left alone" in line] or None


async def test_a_retry_after_is_obeyed(judging: World) -> None:
    judging.first.behaves = refuses(429, headers={"retry-after": "1"})
    assert (await ask(judging)).headers["x-tts-fallback"] == "first=busy"
    await judging.first.heal()
    assert (await ask(judging)).headers["x-tts-fallback"] == "first=resting"
    assert judging.first.asked == 0
    assert await becomes_first(judging, within_s=3.0)


async def test_hang_ups_and_refused_requests_tell_nothing_of_a_provider(judging: World) -> None:
    judging.first.proxy.fault = stalls(-1)
    for number in range(1, 11):
        async with connected(judging.url) as line:
            await line.ask(SPEECH, asking(input=TEXT))
            request = await judging.first.upstream.request(number)
            line.reset()
            await request.left(2)
    await judging.first.heal()
    judging.first.behaves = refuses(400)
    for _ in range(10):
        assert (await ask(judging)).headers["x-tts-fallback"] == "first=refused"
    await judging.first.heal()
    assert (await ask(judging)).headers["x-tts-fallback"] == "none"


async def test_deaths_in_mid_speech_count(judging: World) -> None:
    judging.first.proxy.fault = cuts(5_000)
    for _ in range(4):
        assert not (await exchange(judging.url, SPEECH, asking(input=TEXT))).whole
    assert (await ask(judging)).headers["x-tts-fallback"] == "first=resting"


async def test_a_provider_without_a_free_slot_is_passed_over_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, config(), of_each={FIRST: {"slots": 1}}) as there:
        there.first.proxy.fault = drips(480, 0.05)
        async with connected(there.url) as line:
            await line.ask(SPEECH, asking(input=TEXT))
            head = await line.head()
            answer = await ask(there)
            assert answer.headers["x-tts-fallback"] == "first=busy"
            assert heard_words((await line.rest(head)).body) == list(range(30))
        assert (there.first.asked, there.second.asked) == (1, 1)


async def test_a_second_is_asked_when_the_first_is_later_than_usual(tmp_path: Path) -> None:
    async with world(tmp_path, config(UNPROBED, hedge=0.5)) as there:
        for _ in range(25):
            await ask(there)
        there.first.proxy.fault = stalls(-1)
        seen = len(there.first.upstream.requests)
        answer = await asyncio.wait_for(ask(there), TIMEOUTS["first_audio_s"] * 0.9)
        assert answer.headers["x-tts-provider"] == SECOND
        assert await there.first.upstream.requests[seen].left(2) < 2


async def test_hedged_requests_are_no_more_than_their_share(tmp_path: Path) -> None:
    plenty = {FIRST: {"slots": 100}}  # nobody spills over
    async with world(tmp_path, config(UNPROBED, hedge=0.2), of_each=plenty) as there:
        for _ in range(25):
            await ask(there)
        there.first.proxy.fault = latency(0.15)
        before = there.second.asked
        await asyncio.gather(*(ask(there) for _ in range(50)))
        hedged = there.second.asked - before
        assert 0 < hedged <= (25 + 50) * 0.2


async def test_the_fastest_is_asked_first_and_the_other_now_and_then(tmp_path: Path) -> None:
    async with world(tmp_path, config(UNPROBED, order="fastest")) as there:
        there.first.proxy.fault = latency(0.05)
        for _ in range(60):
            await ask(there)
        assert there.second.asked > 40
        assert there.first.asked


async def test_a_caller_may_choose(tmp_path: Path) -> None:
    async with world(tmp_path, config()) as there:
        answer = await ask(there, x_tts_prefer=SECOND)
        assert answer.headers["x-tts-provider"] == SECOND
        assert (await ask(there)).headers["x-tts-provider"] == FIRST


async def becomes_first(there: World, within_s: float) -> bool:
    """Whether the first is asked again in time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while (await ask(there)).headers["x-tts-provider"] != FIRST:
        if loop.time() > end:
            return False
        await asyncio.sleep(0.05)
    return True


async def test_who_was_left_alone_is_found_again_without_a_callers_request(
    tmp_path: Path,
) -> None:
    """By asking how it is: no text of anybody's, and nothing that it charges for."""
    async with world(tmp_path, config({**OUTLOOK, "probe": "health"})) as there:
        there.first.behaves = refuses(500)
        for _ in range(4):
            await ask(there)
        await there.first.heal()
        assert await becomes(lambda: there.first.probed > 0, 5)
        assert await becomes_first(there, within_s=5)
        assert all(not request.body for request in there.first.upstream.requests[:1])


async def test_a_phrase_of_ours_in_its_own_voice_is_what_else_may_be_asked(tmp_path: Path) -> None:
    outlook = {**OUTLOOK, "probe": "phrase", "probe_characters": 500}
    async with world(
        tmp_path, config(outlook), of_each={FIRST: {"voices": ["bella", "alloy"]}}
    ) as there:
        there.first.behaves = refuses(500)
        for _ in range(4):
            await ask(there)
        await there.first.heal()
        assert await becomes(lambda: there.first.asked > 0, 5)
        probe = there.first.upstream.requests[0].json()
        assert probe["voice"] == "bella"
        assert probe["input"] not in TEXT
        assert len(probe["input"]) < 40
