"""The end of a server: what is under way is finished, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import Log, ServerProcess, as_shipped, serving
from tests.support.scripts import SCRIPTED, SPEECH, UNJUDGED, asking, models, scripted
from tests.support.wire import connected, exchange

IDLE_S = 2.0
"""It ends within a second; the other is for a busy machine, and for the interpreter's own end."""
STORY = "It was the best of times, it was the worst of times. " * 70


def _config(**timeouts: float) -> dict[str, Any]:
    providers = {
        "spoken": scripted(seconds=0.8, pace=1),
        "late": scripted(seconds=0.2, first_s=0.6),
        "endless": scripted(seconds=1e6, pace=0.2),
        "torrent": scripted(seconds=1e6),
        "mute": scripted(hang_after_s=0),
    }
    routes = {name: (name,) for name in providers}
    return {
        "integrity": UNJUDGED,
        "providers": providers,
        "models": models(routes),
        "timeouts": timeouts,
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_server_ends_at_once_and_well(number: int, tmp_path: Path) -> None:
    with serving(_config(), tmp_path, plugins=[SCRIPTED]) as server:
        async with connected(server.url), connected(server.url) as kept:
            await kept.ask("/health/live")
            await kept.answer()

            began = time.monotonic()
            os.kill(server.pid, number)
            status = await asyncio.to_thread(server.status)

        assert status == 0
        assert time.monotonic() - began < IDLE_S


async def test_speech_under_way_is_spoken_to_its_last_byte(tmp_path: Path) -> None:
    """Also that which has not yet made a sound; nobody new is let in."""
    with serving(_config(), tmp_path, plugins=[SCRIPTED]) as server:
        async with connected(server.url) as speaking, connected(server.url) as waiting:
            await speaking.ask(SPEECH, asking("spoken"))
            await waiting.ask(SPEECH, asking("late"))
            head = await speaking.head()
            first = await speaking.piece(head)

            server.terminate()
            await asyncio.to_thread(server.log.until, _is_stopping)
            with pytest.raises((ConnectionError, EOFError)):
                await exchange(server.url, "/health/live")
            spoken = await speaking.rest(head)
            late = await waiting.answer()

        assert await asyncio.to_thread(server.status) == 0
        assert spoken.whole
        assert len((first or b"") + spoken.body) == round(0.8 * 48_000)
        assert late.whole
        assert [record["outcome"] for record in server.log.records] == ["spoken", "spoken"]
        assert _complaints(server) == []


@pytest.mark.parametrize("model", ["endless", "torrent"])
async def test_speech_that_outlasts_the_patience_is_broken_off(model: str, tmp_path: Path) -> None:
    """`torrent` fills every buffer of a reader who stalls."""
    with serving(_config(drain_s=1), tmp_path, plugins=[SCRIPTED]) as server:
        async with connected(server.url, receive_bytes=4096) as line:
            await line.ask(SPEECH, asking(model))
            head = await line.head()

            began = time.monotonic()
            server.terminate()
            assert await asyncio.to_thread(server.status) == 0
            took = time.monotonic() - began

            assert not (await line.rest(head)).whole
        assert took < 1 + IDLE_S
        assert len(server.log.records) == 1


async def test_who_has_heard_nothing_when_the_patience_ends_is_told(tmp_path: Path) -> None:
    with serving(_config(drain_s=1), tmp_path, plugins=[SCRIPTED]) as server:
        async with connected(server.url) as line:
            await line.ask(SPEECH, asking("mute"))
            await _is_taken_in(server)

            server.terminate()
            answer = await line.answer()
            assert await asyncio.to_thread(server.status) == 0

        assert (answer.status, answer.headers["content-type"]) == (503, "application/json")
        assert answer.error["code"] == "draining"
        assert len(server.log.records) == 1


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are seen in /proc")
@pytest.mark.parametrize("moment", ["idle", "speaking"])
async def test_espeak_leaves_no_child_behind(moment: str, tmp_path: Path) -> None:
    config = as_shipped()
    config["timeouts"] = {"drain_s": 1}
    with serving(config, tmp_path) as server:
        assert (await exchange(server.url, SPEECH, asking("tts-1"))).whole
        async with connected(server.url, receive_bytes=4096) as line:
            if moment == "speaking":
                await line.ask(SPEECH, asking("tts-1", input=STORY))
                assert (await line.head()).status == 200
            children = _children(server.pid)

            server.terminate()
            assert await asyncio.to_thread(server.status) == 0

        assert children
        assert _still_there(children) == []


def _still_there(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def _is_stopping(log: Log) -> bool:
    return "Shutting down" in log.text


async def _is_taken_in(server: ServerProcess) -> None:
    """The request before this one has been taken in: one thread reads both, in order."""
    assert (await exchange(server.url, "/health/live")).status == 200


def _complaints(server: ServerProcess) -> list[str]:
    return [line for line in server.log.text.splitlines() if '"level":"error"' in line]


def _children(parent: int) -> list[int]:
    """The processes that a process has started and that still are."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just gone
        if int(told[1]) == parent:
            found.append(int(stat.parent.name))
    return found
