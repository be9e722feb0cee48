"""SIGTERM while speech is under way: it is said to the end, and whoever comes new is told to come
again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import ServerProcess, serving
from tests.support.scripts import SCRIPTED, SPEECH, UNJUDGED, asking, models, scripted
from tests.support.wire import Line, connected, exchange

READY, NANOGPT, NEWER = "/health/ready", "/v1/speech", "/api/v1/audio/speech"
SPOKEN_S = 2.5


def config(**more: Any) -> dict[str, Any]:
    providers = {
        "spoken": scripted(seconds=SPOKEN_S, pace=1),
        "endless": scripted(seconds=1e6, pace=0.2),
    }
    routes = {name: (name,) for name in providers}
    return {
        "integrity": UNJUDGED,
        "providers": providers,
        "models": models(routes),
        **more,
    }


async def closing(server: ServerProcess) -> dict[str, Any]:
    """What readiness says, once it has been told to stop: as soon as the signal has arrived."""
    server.terminate()
    return await until(server, lambda ready: ready["status"] == "not ready")


async def until(
    server: ServerProcess, condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            ready: dict[str, Any] = (await exchange(server.url, READY)).json
            if condition(ready):
                return ready
            await asyncio.sleep(0.01)


async def begun(line: Line, model: str) -> Any:
    await line.ask(SPEECH, asking(model))
    head = await line.head()
    await line.piece(head)
    return head


async def test_new_speech_is_refused_while_old_speech_is_said_to_the_end(tmp_path: Path) -> None:
    with serving(config(), tmp_path, plugins=[SCRIPTED]) as server:
        async with connected(server.url) as speaking, connected(server.url) as kept:
            await kept.ask("/health/live")
            await kept.answer()
            await speaking.ask(SPEECH, asking("spoken"))
            head = await speaking.head()
            first = await speaking.piece(head)

            ready = await closing(server)
            new = await exchange(server.url, SPEECH, asking("spoken"))
            await kept.ask(SPEECH, asking("spoken"))
            on_a_kept_line = await kept.answer()
            is_closed = await kept.is_over()
            live = await exchange(server.url, "/health/live")
            rest = await speaking.rest(head)

        assert await asyncio.to_thread(server.status) == 0
        assert "the server is going down" in ready["reasons"]
        for answer in (new, on_a_kept_line):
            assert (answer.status, answer.error["code"]) == (503, "draining")
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["connection"] == "close"
        assert is_closed
        assert live.status == 200
        assert rest.whole
        assert len((first or b"") + rest.body) == SPOKEN_S * 48_000
        outcomes = sorted(record["outcome"] for record in server.log.records)
        assert outcomes == ["refused", "refused", "spoken"]


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        (SPEECH, {"model": "spoken", "input": "Hi.", "voice": "alloy"}, "service_unavailable"),
        (SPEECH, {"model": "spoken", "input": "Hi."}, "service_unavailable"),
        (NEWER, {"model": "spoken", "input": "Hi."}, "service_unavailable"),
        (NANOGPT, {"model": "spoken", "text": "Hi."}, "service_unavailable"),
    ],
)
async def test_a_refusal_is_told_in_the_callers_envelope(
    path: str, body: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with serving(config(timeouts={"drain_s": 1}), tmp_path, plugins=[SCRIPTED]) as server:
        async with connected(server.url) as line:
            await begun(line, "endless")
            await closing(server)

            answer = await exchange(server.url, path, body)

        assert answer.status == 503
        assert answer.error["type"] == said
        assert set(answer.error) == {"message", "type", "param", "code"}
        assert "retry-after" in answer.headers


async def test_the_door_is_open_no_longer_than_patience_lasts(tmp_path: Path) -> None:
    with serving(config(timeouts={"drain_s": 1}), tmp_path, plugins=[SCRIPTED]) as server:
        async with connected(server.url) as line:
            head = await begun(line, "endless")
            began = time.monotonic()
            await closing(server)
            while True:
                try:
                    answer = await exchange(server.url, SPEECH, asking("spoken"))
                except (ConnectionError, EOFError):
                    break
                assert answer.status == 503
                assert time.monotonic() - began < 10
                await asyncio.sleep(0.02)

            assert time.monotonic() - began > 0.8
            assert not (await line.rest(head)).whole
        assert await asyncio.to_thread(server.status) == 0


async def test_whoever_was_waiting_for_a_place_still_gets_it(tmp_path: Path) -> None:
    """They came before the end was known."""
    places = {"places": 1}
    with serving(config(server=places), tmp_path, plugins=[SCRIPTED]) as server:
        async with connected(server.url) as speaking, connected(server.url) as waiting:
            head = await begun(speaking, "spoken")
            await waiting.ask(SPEECH, asking("spoken"))
            await until(server, lambda ready: ready["places"]["waiting"] == 1)

            await closing(server)
            spoken, late = await speaking.rest(head), await waiting.answer()

        assert spoken.whole
        assert (late.status, late.whole, len(late.body)) == (200, True, SPOKEN_S * 48_000)
        assert await asyncio.to_thread(server.status) == 0
