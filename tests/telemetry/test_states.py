"""What is so at the moment: in metrics, in readiness, and in `tts-router status`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from router.cli import main
from router.contract.caller import OpenGate, Trouble
from router.contract.errors import BadKey
from router.contract.provider import ServingPath, State
from router.registry import Kinds
from router.settings.structs import Settings
from router.telemetry.loop_delay import EVERY_S
from router.testing.script import Raise, Script, Tone, Until
from router.testing.scripted import Scripted
from tests.support.inside import serving_inside
from tests.support.redis import BINARY, NO_REDIS, RedisServer, redis_server
from tests.support.scripts import SPEECH, asking
from tests.support.wire import exchange
from tests.telemetry.telling import configured, counted, series, telling

BRIEF = Script(speaking=(Tone(0.05),))
CALLER = "sk-of-a-caller-0123456789"
LATE = "tts_event_loop_delay_seconds_count"
METRICS_KEY = "for-prometheus-alone-0123"


class Engine(Scripted):
    """A provider that tells of its inside."""

    def state(self) -> State:
        return State(
            line="2 of 8 rows speak.",
            gauges={"rows": 2, "rows_most": 8, "load_seconds": 1.5, "its_heat": 40},
            counters={"frames": 125, "codec_seconds": 0.5, "chunks_regenerated_loop": 9},
            paths={
                "language_model": ServingPath("int8"),
                "decoder": ServingPath("reference", "the settings say so"),
            },
        )


class Broken(Scripted):
    """One that has a bug where it should tell of its inside."""

    def state(self) -> State:
        raise RuntimeError("kept to ourselves")


def said(url: str, *arguments: str) -> str:
    return CliRunner().invoke(main, ["status", "--url", url, *arguments]).output


async def test_a_breaker_that_opened_is_seen_everywhere(tmp_path: Path) -> None:
    ill = Scripted(Script(entering=(Raise(BadKey("x")),)))
    routes = [{"provider": "ill"}]
    config = {"models": {"it": {"routes": routes}}, "outlook": {"probe": "off"}}
    async with serving_inside(config, tmp_path, ill=ill) as server:
        await exchange(server.url, SPEECH, asking())
        told = series((await exchange(server.url, "/metrics")).body.decode())
        ready = (await exchange(server.url, "/health/ready")).json
        status = await asyncio.to_thread(said, server.url)

    who = 'provider="ill",state="open",upstream_model="tone-1"'
    assert told[f"tts_breaker_state{{{who}}}"] == 1
    assert ready["providers"]["ill"]["breakers"]["tone-1"]["state"] == "open"
    assert "tone-1: left alone for" in status
    assert "(bad_key)" in status


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.mark.skipif(BINARY is None, reason=NO_REDIS)
@pytest.mark.parametrize(("on_loss", "ready"), [("open", 1), ("closed", 0)])
async def test_limits_that_are_lost_are_seen_everywhere(
    on_loss: str, ready: int, redis: RedisServer, tmp_path: Path
) -> None:
    accounts = {"redis": redis.url, "on_loss": on_loss, "keys": {"one": {"key": CALLER}}}
    accounts["limits"] = {"key": {"requests_per_minute": 1000}, "looking": None}
    config = {
        "models": {"it": {"routes": [{"provider": "one"}]}},
        "accounts": accounts,
        "metrics": {"key": METRICS_KEY},
    }
    with_key = {"Authorization": f"Bearer {METRICS_KEY}"}
    async with serving_inside(config, tmp_path, one=Scripted(BRIEF)) as server:

        async def told() -> dict[str, float]:
            answer = await exchange(server.url, "/metrics", headers=with_key)
            return series(answer.body.decode())

        before = await told()
        await asyncio.to_thread(redis.kill)
        await exchange(server.url, SPEECH, asking(), headers={"X-API-Key": CALLER})
        after = await told()
        found = (await exchange(server.url, "/health/ready")).json
        status = await asyncio.to_thread(said, server.url)

    assert (before["tts_limits_lost"], after["tts_limits_lost"]) == (0, 1)
    assert counted(before, after)["tts_limits_losses_total"] == 1
    assert (after["tts_ready"], after["tts_books_lost"]) == (ready, 0)
    assert any("store of limits is lost" in reason for reason in found["reasons"])
    assert "store of limits is lost" in status


async def test_an_engine_tells_of_its_inside_under_known_names(tmp_path: Path) -> None:
    async with telling(tmp_path, engine=Engine(BRIEF), broken=Broken(BRIEF)) as it:
        told = await it.metrics()
        text = (await it.client.get("/metrics")).text

    assert told['tts_engine_rows{provider="engine"}'] == 2
    assert told['tts_engine_rows_limit{provider="engine"}'] == 8
    assert told['tts_engine_load_seconds{provider="engine"}'] == 1.5
    assert told['tts_engine_frames_total{provider="engine"}'] == 125
    assert told['tts_engine_stage_seconds_total{provider="engine",stage="codec"}'] == 0.5
    assert told['tts_provider_figure{name="its_heat",provider="engine"}'] == 40
    shipped = 'path="reference",provider="engine",why="the settings say so"'
    assert told[f'tts_engine_path_info{{part="decoder",{shipped}}}'] == 1
    assert told['tts_engine_path_info{part="language_model",path="int8",provider="engine",why=""}']
    assert not any("regenerated" in name for name in told), "an event counts each"
    assert "kept to ourselves" not in text


async def test_what_waits_is_told_with_how_long_it_would_wait(tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    voice = Scripted(Script(speaking=(Until(goes_on), Tone(0.05))))
    config = {"server": {"places": 1}}
    async with telling(tmp_path, config, one=voice) as it:
        asked = [asyncio.create_task(it.asks()) for _ in range(2)]
        async with asyncio.timeout(5):
            while (during := await it.metrics())["tts_places_waiting"] < 1:
                pass
            goes_on.set()
            await asyncio.gather(*asked)
        after = await it.metrics()

    assert (during["tts_places_in_use"], during["tts_places_free"]) == (1, 0)
    assert during["tts_http_requests"] == 3
    assert 'tts_predicted_wait_seconds{provider="",queue="place"}' in during
    assert (after["tts_places_in_use"], after["tts_places_waiting"]) == (0, 0)
    waited = 'tts_queue_wait_seconds_sum{provider="",queue="place"}'
    assert after[waited] > 0


async def test_a_reload_keeps_counters_and_forgets_models_that_left(tmp_path: Path) -> None:
    def another(kinds: Kinds) -> Settings:
        return configured(tmp_path, kinds, {"models": {"new": routes()}})

    first = {"models": {"it": routes()}}
    async with telling(tmp_path, first, reread=another, one=Scripted(BRIEF)) as it:
        await it.asks("it")
        before = await it.metrics()
        it.reloads.ask()
        async with asyncio.timeout(5):
            while (after := await it.metrics())['tts_config_reloads_total{result="ok"}'] < 1:
                pass
        assert (await it.asks("it")).status_code == 404
        assert (await it.asks("new")).status_code == 200
        last = await it.metrics()

    spoken = 'tts_requests_total{model="%s",outcome="spoken",shape="openai",status_class="2xx"}'
    assert (before[spoken % "it"], last[spoken % "it"], last[spoken % "new"]) == (1, 1, 1)
    assert before['tts_model_ready{model="it"}'] == last['tts_model_ready{model="new"}'] == 1
    assert 'tts_model_ready{model="it"}' not in last
    assert after["tts_config_reload_success"] == 1
    assert after["tts_config_reload_timestamp_seconds"] > 1e9
    assert (
        after["tts_config_loaded_timestamp_seconds"]
        >= before["tts_config_loaded_timestamp_seconds"]
    )


async def test_a_config_that_is_not_taken_is_told(tmp_path: Path) -> None:
    def bad(_kinds: Kinds) -> Settings:
        raise RuntimeError("no config at all")

    async with telling(tmp_path, reread=bad, one=Scripted(BRIEF)) as it:
        it.reloads.ask()
        async with asyncio.timeout(5):
            while (told := await it.metrics())['tts_config_reloads_total{result="refused"}'] < 1:
                pass

    assert told["tts_config_reload_success"] == 0
    assert told['tts_config_reloads_total{result="ok"}'] == 0


async def test_credit_that_was_charged_is_counted(tmp_path: Path) -> None:
    model: dict[str, Any] = {"price": {"credits_per_1k_chars": 1.0}, "share": False, **routes()}
    config = {
        "models": {"it": model},
        "accounts": {"keys": {"paying": {"key": CALLER, "credits": 5}}},
        "metrics": {"key": METRICS_KEY},
    }
    async with telling(tmp_path, config, one=Scripted(BRIEF)) as it:
        for key in (CALLER, METRICS_KEY):
            it.client.headers["Authorization"] = f"Bearer {key}"
            answer: httpx.Response = await it.asks(input="x" * 100)
        told = await it.metrics()

    assert answer.status_code == 401
    assert told['tts_credits_charged_total{model="it",provider="one"}'] == pytest.approx(0.1)
    assert CALLER not in str(told)


def routes() -> dict[str, Any]:
    return {"routes": [{"provider": "one"}]}


async def test_jobs_are_counted_and_seen(tmp_path: Path) -> None:
    ended = 'tts_job_changes_total{model="it",state="completed"}'
    kept = 'tts_jobs{state="completed"}'
    async with telling(tmp_path, one=Scripted(BRIEF)) as it:
        before = await it.metrics()
        taken = await it.client.post("/v1/audio/speech/jobs", json=asking())
        assert taken.status_code == 202, taken.text
        async with asyncio.timeout(15):
            while not ((after := await it.metrics())[kept] and after.get(ended)):
                pass  # told just after it is so, and the store is read before what was told

    assert before[kept] == after['tts_jobs{state="queued"}'] == 0
    assert after[kept] == 1
    moved = counted(before, after)
    accepted = 'model="it",outcome="accepted",shape="openai",status_class="2xx"'
    piece = 'model="it",outcome="spoken",shape="jobs",status_class="2xx"'
    assert moved[f"tts_requests_total{{{accepted}}}"] == 1
    assert moved[f"tts_requests_total{{{piece}}}"] == 1
    assert not any(name.startswith("tts_first_audio") for name in moved), "nobody listens yet"
    assert moved['tts_job_changes_total{model="it",state="queued"}'] == 1
    assert moved[ended] == 1
    assert moved['tts_job_seconds_count{model="it",state="completed"}'] == 1
    assert after["tts_jobs_oldest_queued_seconds"] == 0
    assert after["tts_jobs_disk_bytes"] > 0


class Forgetful(OpenGate):
    """A gate whose store is gone."""

    def troubles(self) -> list[Trouble]:
        return [Trouble("the books are lost", stops=False, store="books")]


async def test_books_that_are_lost_are_seen(tmp_path: Path) -> None:
    async with telling(tmp_path, one=Scripted(BRIEF)) as it:
        it.speaker.gate = Forgetful()
        told = await it.metrics()

    assert (told["tts_books_lost"], told["tts_limits_lost"]) == (1, 0)


async def test_a_timer_that_comes_late_is_seen(tmp_path: Path) -> None:
    async with telling(tmp_path, one=Scripted(BRIEF)) as it:
        before = await it.metrics()
        time.sleep(1.1 + EVERY_S)  # noqa: ASYNC251  # what must not be: it blocks the loop
        async with asyncio.timeout(5):
            while (after := await it.metrics())[LATE] == before[LATE]:
                pass

    assert after["tts_event_loop_delay_seconds_sum"] > 1
    assert after[LATE] - after['tts_event_loop_delay_seconds_bucket{le="1.0"}'] >= 1


async def test_what_a_job_costs_is_counted_at_its_end(tmp_path: Path) -> None:
    model = {"price": {"credits_per_1k_chars": 1.0}, **routes()}
    accounts = {"keys": {"paying": {"key": CALLER, "credits": 5}}}
    config = {"models": {"it": model}, "accounts": accounts, "metrics": {"key": METRICS_KEY}}
    async with telling(tmp_path, config, one=Scripted(BRIEF)) as it:
        paying = {"Authorization": f"Bearer {CALLER}"}
        body = asking(input="x" * 100)
        taken = await it.client.post("/v1/audio/speech/jobs", json=body, headers=paying)
        assert taken.status_code == 202, taken.text
        it.client.headers["Authorization"] = f"Bearer {METRICS_KEY}"
        charged = 'tts_credits_charged_total{model="it",provider="one"}'
        async with asyncio.timeout(15):
            while not (cost := (await it.metrics()).get(charged)):
                pass

    assert cost == pytest.approx(0.1)
