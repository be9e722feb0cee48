"""Places and slots: so many at once, so many waiting, and all of them given back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from router.contract.errors import Broken, Busy
from router.testing.scripted import Hang, Raise, Script, Scripted, Tone, Until, in_turn
from tests.support.inside import Inside, serving_inside
from tests.support.scripts import NO_REST, SPEECH, asking, models
from tests.support.wire import Answer, connected, exchange

BRIEF = Script((Tone(0.1),))


def _config(
    slots: int = 16, places: int = 64, route: tuple[str, ...] = ("voice",), **timeouts: float
) -> dict[str, Any]:
    return {
        "providers": {name: {"kind": name, "slots": slots} for name in route},
        "server": {"places": places},
        "models": models({"it": route}),
        "timeouts": timeouts,
        "outlook": NO_REST,
    }


async def _asked(inside: Inside, **fields: Any) -> Answer:
    return await exchange(inside.url, SPEECH, asking(**fields))


async def test_two_speeches_sound_at_once(tmp_path: Path) -> None:
    both = asyncio.Event()
    voice = Scripted(Script((Tone(0.1), Until(both), Tone(0.1))))
    async with serving_inside(_config(), tmp_path, voice=voice) as inside:
        first = asyncio.create_task(_asked(inside))
        second = asyncio.create_task(_asked(inside))
        await voice.until(lambda v: v.open == 2)
        both.set()

        one, other = await asyncio.gather(first, second)

        assert one.whole
        assert len(one.body) == 9600
        assert one.body == other.body


async def test_slots_are_given_back_however_a_speech_ends(tmp_path: Path) -> None:
    ends = (
        BRIEF,
        Script(entering=(Raise(Busy("busy")),)),
        Script((Raise(Broken("broken")),)),
        Script((Tone(0.1), Raise(Broken("cut")))),
        Script((Tone(0.1), Raise(RuntimeError("a bug")))),
        Script(()),
        Script((Hang(),)),
        Script((Tone(0.1), Hang())),
        BRIEF,
    )
    voice = Scripted(in_turn(*ends))
    config = _config(
        slots=1, places=1, first_audio_s=0.1, stall_s=0.1, slot_s=0.1, place_s=0.1, retry_pause_s=0
    )
    async with serving_inside(config, tmp_path, voice=voice) as inside:
        answers = [await _asked(inside) for _ in ends]

        assert [answer.status for answer in answers] == [
            200,
            503,
            502,
            200,
            200,
            502,
            504,
            200,
            200,
        ]
        assert [answer.whole for answer in answers if answer.status == 200] == [
            *(True, False, False, False, True),
        ]
        assert voice.most_open == 1
        assert len(inside.records) == len(ends)


async def test_a_slot_is_waited_for_and_the_wait_is_bounded(tmp_path: Path) -> None:
    ready = asyncio.Event()
    voice = Scripted(Script((Until(ready), Tone(0.1))))
    async with serving_inside(_config(slots=1), tmp_path, voice=voice) as inside:
        calls = {asyncio.create_task(_asked(inside)) for _ in range(3)}

        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        ready.set()
        (refused,) = [call.result() for call in done]
        answers = await asyncio.gather(*waiting)

        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.error["code"] == "overloaded"
        assert [answer.whole for answer in answers] == [True, True]
        assert voice.most_open == 1


async def test_nobody_waits_for_a_slot_while_another_provider_is_free(tmp_path: Path) -> None:
    ready = asyncio.Event()
    voice, other = Scripted(Script((Until(ready), Tone(0.1)))), Scripted(BRIEF)
    config = _config(slots=1, route=("voice", "other"))
    async with serving_inside(config, tmp_path, voice=voice, other=other) as inside:
        holding = asyncio.create_task(_asked(inside))
        await voice.until(lambda v: v.open == 1)

        answer = await _asked(inside)
        ready.set()

        assert answer.headers["x-tts-provider"] == "other"
        assert answer.headers["x-tts-fallback"] == "voice=busy"
        assert (await holding).headers["x-tts-provider"] == "voice"


async def test_a_full_server_answers_503_after_its_patience(tmp_path: Path) -> None:
    ready = asyncio.Event()
    voice = Scripted(Script((Until(ready), Tone(0.1))))
    config = _config(places=1, place_s=0.2)
    async with serving_inside(config, tmp_path, voice=voice) as inside:
        holding = asyncio.create_task(_asked(inside))
        await voice.until(lambda v: v.open == 1)

        began = time.monotonic()
        full = await _asked(inside)
        took = time.monotonic() - began
        ready.set()

        assert (full.status, full.error["type"]) == (503, "service_unavailable")
        assert int(full.headers["retry-after"]) >= 1
        assert 0.2 <= took < 2
        assert (await holding).whole
        assert (await _asked(inside)).whole


async def test_only_so_many_wait_for_a_place(tmp_path: Path) -> None:
    ready = asyncio.Event()
    voice = Scripted(Script((Until(ready), Tone(0.1))))
    async with serving_inside(_config(places=2), tmp_path, voice=voice) as inside:
        calls = {asyncio.create_task(_asked(inside)) for _ in range(6)}

        refused: list[Answer] = []
        while len(refused) < 2:
            done, calls = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            refused += [call.result() for call in done]
        ready.set()
        answers = await asyncio.gather(*calls)

        assert [answer.status for answer in refused] == [503, 503]
        assert all(answer.whole for answer in answers)
        assert voice.most_open == 2


async def test_a_kept_connection_is_good_for_the_next_request(tmp_path: Path) -> None:
    voice = Scripted(BRIEF)
    async with (
        serving_inside(_config(), tmp_path, voice=voice) as inside,
        connected(inside.url) as line,
    ):
        for format, status in [("pcm", 200), ("wav", 200), ("midi", 400), ("pcm", 200)]:
            await line.ask(SPEECH, asking(response_format=format))
            answer = await line.answer()
            assert (answer.status, answer.whole) == (status, True)


async def test_requests_that_are_sent_ahead_are_answered_in_order(tmp_path: Path) -> None:
    voice = Scripted(BRIEF)
    async with serving_inside(_config(), tmp_path, voice=voice) as inside:
        async with connected(inside.url) as line:
            await line.ask("/v1/models")
            await line.ask(SPEECH, asking())
            await line.ask(SPEECH, asking("nobody"))
            await line.ask(SPEECH, asking(response_format="wav"))

            answers = [await line.answer() for _ in range(4)]

        assert [answer.status for answer in answers] == [200, 200, 404, 200]
        assert all(answer.whole for answer in answers)
        assert (len(answers[1].body), len(answers[3].body)) == (4800, 4844)
