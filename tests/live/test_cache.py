"""What was spoken before is given again on the wire: from the cache, and to who asks again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from router.contract.errors import Broken
from router.dispatch.cache import FOLDER
from router.testing.scripted import Raise, Script, Scripted, Tone, Until
from router.testing.watch import becomes
from tests.dispatch.test_kept import Hoarse
from tests.live.test_accounts import COST, CREDIT, NANO, NEWER, WITH_KEY, ask, balance, config
from tests.support.inside import Inside, serving_inside
from tests.support.process import serving
from tests.support.scripts import SCRIPTED, SPEECH, UNJUDGED, asking, models, scripted
from tests.support.wire import Answer, connected, exchange

TOLD = ("x-tts-provider", "x-tts-model", "x-tts-voice", "x-tts-fallback", "content-type")
TOLD_OF_SOUND = ("x-audio-sample-rate", "x-audio-channels", "x-tts-characters", "x-tts-ignored")
MY_KEY = {"Idempotency-Key": "a-name-of-mine"}
SECRET_TEXT = "Streng geheim: der Rabe fliegt um Mitternacht."


def cached(**more: Any) -> dict[str, Any]:
    """A model that nobody shares, and a cache."""
    return {"models": models({"it": ("voice",)}), "cache": {"enabled": True, **more}}


async def say(
    inside: Inside, headers: Mapping[str, str] | None = None, path: str = SPEECH, **fields: Any
) -> Answer:
    answer = await exchange(inside.url, path, asking(**fields), headers=headers)
    assert answer.whole
    return answer


def told(answer: Answer) -> dict[str, str | None]:
    return {name: answer.headers.get(name) for name in (*TOLD, *TOLD_OF_SOUND)}


# ---- the cache


@pytest.mark.parametrize("format", ["pcm", "wav", "mp3", "opus", "flac"])
async def test_a_hit_is_the_same_answer_without_a_provider(format: str, tmp_path: Path) -> None:
    voice = Hoarse()
    async with serving_inside(cached(), tmp_path, voice=voice) as inside:
        first = await say(inside, response_format=format)
        again = await say(inside, response_format=format)
        assert [one.headers["x-tts-cache"] for one in (first, again)] == ["miss", "hit"]
        assert again.body == first.body
        assert told(again) == told(first)
        assert int(again.headers["content-length"]) == len(first.body)
        assert voice.entered == 1
        await inside.until(lambda i: len(i.held_at_return) == 2)
        record = inside.records[-1]
        assert (record.cache, record.attempts, record.provider) == ("hit", [], "voice")
        assert (record.audio_bytes, record.outcome) == (len(first.body), "spoken")


async def test_events_are_given_from_what_was_heard_as_audio(tmp_path: Path) -> None:
    voice = Hoarse()
    async with serving_inside(cached(), tmp_path, voice=voice) as inside:
        await say(inside)
        events = await say(inside, stream_format="sse")
        assert events.headers["x-tts-cache"] == "hit"
        assert b"speech.audio.done" in events.body
        assert voice.entered == 1


@pytest.mark.parametrize("wish", ["no-cache", "no-store", "max-age=0, No-Cache"])
async def test_cache_control_passes_by_it(wish: str, tmp_path: Path) -> None:
    voice = Hoarse()
    async with serving_inside(cached(), tmp_path, voice=voice) as inside:
        await say(inside)
        answer = await say(inside, {"Cache-Control": wish})
        assert answer.headers["x-tts-cache"] == "off"
        assert voice.entered == 2


async def test_without_a_cache_every_answer_says_so(tmp_path: Path) -> None:
    voice = Hoarse()
    config = {"models": models({"it": ("voice",)})}
    async with serving_inside(config, tmp_path, voice=voice) as inside:
        answers = [await say(inside), await say(inside), await say(inside, input="...")]
        assert [answer.headers["x-tts-cache"] for answer in answers] == ["off"] * 3
        assert "idempotent-replayed" not in answers[1].headers
        assert voice.entered == 2
        await inside.until(lambda i: len(i.held_at_return) == 3)
        assert [record.cache for record in inside.records] == [""] * 3


async def test_a_hit_has_its_own_price(tmp_path: Path) -> None:
    own = {**config(), "cache": {"enabled": True}}
    for model in own["models"].values():
        model["price"] = {"credits_per_1k_chars": 1.0, "cached_percent": 25}
    async with serving_inside(own, tmp_path, voice=Scripted()) as inside:
        costs = [float((await ask(inside)).headers["x-cost"]) for _ in range(3)]
        assert costs == [pytest.approx(part * COST) for part in (1, 0.25, 0.25)]
        assert await balance(inside) == pytest.approx(CREDIT - 1.5 * COST)


async def test_two_keys_do_not_hear_each_others_speech(tmp_path: Path) -> None:
    voice, other_key = Hoarse(), "sk-of-another-0123456789"
    for scope, heard in (("caller", ["miss", "miss", "hit"]), ("shared", ["miss", "hit", "hit"])):
        own = {**config(), "cache": {"enabled": True, "scope": scope}}
        own["accounts"]["keys"]["other"] = {"key": other_key}
        other = {"Authorization": f"Bearer {other_key}"}
        async with serving_inside(own, tmp_path / scope, voice=voice) as inside:
            answers = [await ask(inside, headers=h) for h in (WITH_KEY, other, WITH_KEY)]
            assert [answer.headers["x-tts-cache"] for answer in answers] == heard


async def test_a_slow_reader_of_a_hit_holds_no_provider(tmp_path: Path) -> None:
    voice = Hoarse(Script((Tone(60.0),)))
    async with serving_inside(cached(), tmp_path, voice=voice) as inside, asyncio.timeout(10):
        said = await say(inside)
        async with connected(inside.url, receive_bytes=4096) as line:
            await line.ask(SPEECH, asking())
            head = await line.head()
            assert head.headers["x-tts-cache"] == "hit"
            assert voice.open == 0
            answer = await line.rest(head)
        assert answer.body == said.body


async def test_a_real_server_hears_after_a_restart_what_it_said_before(tmp_path: Path) -> None:
    cast = {"good": scripted(seconds=0.5)}
    whole = {
        "integrity": UNJUDGED,
        "providers": cast,
        "models": models({"it": ("good",)}),
        "cache": {"enabled": True},
    }
    answers = []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "cache").symlink_to(tmp_path)
        (tmp_path / run / "data").symlink_to(tmp_path)
        with serving(whole, tmp_path / run, plugins=[SCRIPTED]) as server:
            body = asking(input=SECRET_TEXT)
            answers.append(await exchange(server.url, SPEECH, body))
            (record,) = await asyncio.to_thread(
                server.log.until, lambda log: log.records if len(log.records) == 1 else None
            )
            assert record["cache"] == ("miss" if run == "first" else "hit")
    assert [answer.headers["x-tts-cache"] for answer in answers] == ["miss", "hit"]
    assert answers[0].body == answers[1].body
    (file,) = (tmp_path / FOLDER).iterdir()
    everything = file.read_bytes() + file.name.encode()
    assert not [
        word for word in SECRET_TEXT.split() if len(word) > 4 and word.encode() in everything
    ]


# ---- Idempotency-Key


async def test_the_same_key_gives_the_same_answer_and_is_charged_once(tmp_path: Path) -> None:
    voice = Hoarse()
    headers = {**WITH_KEY, **MY_KEY}
    async with serving_inside(config(), tmp_path, voice=voice) as inside:
        answers = [await ask(inside, headers=headers) for _ in range(4)]
        assert {answer.body for answer in answers} == {answers[0].body}
        assert [a.headers.get("idempotent-replayed") for a in answers] == [None, *["true"] * 3]
        assert [told(answer) for answer in answers] == [told(answers[0])] * 4
        assert voice.entered == 1
        assert await balance(inside) == pytest.approx(CREDIT - COST)
        assert [record.repeat for record in inside.records][:4] == [False, True, True, True]


async def test_many_at_once_under_one_key_are_spoken_and_charged_once(tmp_path: Path) -> None:
    voice = Hoarse(Script((Tone(1.0, 0.02),)))
    headers = {**WITH_KEY, **MY_KEY}
    async with serving_inside(config(), tmp_path, voice=voice) as inside:
        answers = await asyncio.gather(*(ask(inside, headers=headers) for _ in range(8)))
        assert {(answer.status, answer.whole) for answer in answers} == {(200, True)}
        assert len({answer.body for answer in answers}) == 1
        assert voice.entered == 1
        assert await balance(inside) == pytest.approx(CREDIT - COST)


@pytest.mark.parametrize("path", [SPEECH, NEWER, NANO])
async def test_the_same_key_with_another_body_is_a_422_in_every_shape(
    path: str, tmp_path: Path
) -> None:
    voice = Hoarse()
    headers = {**WITH_KEY, **MY_KEY}
    async with serving_inside(config(), tmp_path, voice=voice) as inside:
        assert (await ask(inside, path, headers=headers)).status == 200
        refused = await ask(inside, path, headers=headers, input="Another.")
        assert refused.status == 422
        assert refused.error["code"] == "idempotency_key_reused"
        assert "retry-after" not in refused.headers
        assert voice.entered == 1
        assert await balance(inside) == pytest.approx(CREDIT - COST)


async def test_who_repeats_after_a_broken_body_is_spoken_to_again_for_the_price_of_one(
    tmp_path: Path,
) -> None:
    voice = Hoarse(Script((Tone(1.0), Raise(Broken("x")))))
    headers = {**WITH_KEY, **MY_KEY}
    async with serving_inside(config(), tmp_path, voice=voice) as inside:
        broken = await ask(inside, headers=headers)
        assert not broken.whole
        voice.play = Script((Tone(1.0),))
        answers = [await ask(inside, headers=headers) for _ in range(2)]
        assert [answer.whole for answer in answers] == [True, True]
        assert voice.entered == 2
        assert CREDIT - COST <= await balance(inside) + 1e-9 <= CREDIT + 1e-9


async def test_who_loses_the_line_and_asks_again_is_not_charged_twice(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    voice = Hoarse(Script((Tone(1.0), Until(go_on), Tone(1.0))))
    headers = {**WITH_KEY, **MY_KEY}
    async with serving_inside(config(), tmp_path, voice=voice) as inside, asyncio.timeout(10):
        async with connected(inside.url) as line:
            await line.ask(SPEECH, asking(), headers=headers)
            head = await line.head()
            assert await line.piece(head)
            line.reset()
        await inside.until(lambda i: len(i.held_at_return) == 1)
        go_on.set()
        answers = [await ask(inside, headers=headers) for _ in range(2)]
        assert answers[0].body == answers[1].body
        assert voice.entered == 2
        assert await balance(inside) + 1e-9 >= CREDIT - COST


async def test_nothing_of_an_answer_under_a_key_is_on_disk(tmp_path: Path) -> None:
    own = {"models": models({"it": ("voice",)})}
    async with serving_inside(own, tmp_path, voice=Hoarse()) as inside:
        await say(inside, MY_KEY, input=SECRET_TEXT)
        assert (await say(inside, MY_KEY, input=SECRET_TEXT)).headers["idempotent-replayed"]
        assert await becomes(lambda: len(inside.records) == 2, 5)
        assert json.dumps([r.reason for r in inside.records]) == '["", ""]'
    assert not (tmp_path / "cache" / FOLDER).exists()
