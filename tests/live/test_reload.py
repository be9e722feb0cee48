"""SIGHUP: a new config while speech is under way. Nothing is lost, and a bad file changes
nothing."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.process import ROOT, Log, ServerProcess, serving
from tests.support.scripts import SCRIPTED, SPEECH, UNJUDGED, asking, models, scripted
from tests.support.wire import connected, exchange

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")

BYTES_PER_S = 48_000
SECRET = "sk-written-in-the-wrong-place"
KEY = "sk-of-a-caller-0123456789"
READY = "/health/ready"


def config(**providers: dict[str, Any]) -> dict[str, Any]:
    """Each provider, with a model of its own name."""
    routes = {name: (name,) for name in providers}
    return {"integrity": UNJUDGED, "providers": providers, "models": models(routes)}


class Reloaded:
    """A server whose config is written anew."""

    def __init__(self, server: ServerProcess, file: Path) -> None:
        self.server = server
        self.url = server.url
        self._file = file
        self._seen = 0

    async def with_(self, wanted: dict[str, Any] | str) -> dict[str, Any]:
        """Write it, send SIGHUP, and wait for what the log says of it."""
        if isinstance(wanted, dict):
            own = yaml.safe_load(self._file.read_text("utf-8")).get("server", {})
            wanted = yaml.safe_dump({**wanted, "server": {**own, **wanted.get("server", {})}})
        self._file.write_text(wanted, "utf-8")
        os.kill(self.server.pid, signal.SIGHUP)
        self._seen += 1
        return await asyncio.to_thread(self.server.log.until, self._outcome)

    def _outcome(self, log: Log) -> dict[str, Any] | None:
        lines = [json.loads(line) for line in log.text.splitlines() if line.startswith("{")]
        found = [line for line in lines if line["event"] in ("config loaded again", NOT_TAKEN)]
        return found[self._seen - 1] if len(found) >= self._seen else None


NOT_TAKEN = "config not taken"


@contextmanager
def served(folder: Path, **providers: dict[str, Any]) -> Iterator[Reloaded]:
    with serving(config(**providers), folder, plugins=[SCRIPTED]) as server:
        yield Reloaded(server, folder / "router.yaml")


async def test_speech_under_way_ends_with_the_config_it_began_with(tmp_path: Path) -> None:
    """Its provider is not in the new one."""
    with served(tmp_path, old=scripted(seconds=1.5, pace=1)) as reloaded:
        async with connected(reloaded.url) as line:
            await line.ask(SPEECH, asking("old"))
            head = await line.head()
            begun = await line.piece(head)

            await reloaded.with_(config(new=scripted(seconds=0.2)))
            new = await exchange(reloaded.url, SPEECH, asking("new"))
            old = await exchange(reloaded.url, SPEECH, asking("old"))
            rest = await line.rest(head)

        assert (new.status, new.whole) == (200, True)
        assert (old.status, old.error["code"]) == (404, "model_not_found")
        assert rest.whole
        assert len((begun or b"") + rest.body) == 1.5 * BYTES_PER_S


async def test_nobody_is_lost_or_refused_in_steady_traffic(tmp_path: Path) -> None:
    """Kept and new lines, short speech and speech that lasts over several reloads."""
    steady = scripted(seconds=0.1)
    with served(tmp_path, it=steady, long=scripted(seconds=0.6, pace=1)) as reloaded:
        is_over = asyncio.Event()
        outcomes: list[tuple[int, bool, int]] = []

        async def on_a_kept_line(model: str) -> None:
            async with connected(reloaded.url) as line:
                while not is_over.is_set():
                    await line.ask(SPEECH, asking(model))
                    answer = await line.answer()
                    outcomes.append((answer.status, answer.whole, len(answer.body)))

        async def on_new_lines() -> None:
            while not is_over.is_set():
                answer = await exchange(reloaded.url, SPEECH, asking("it"))
                outcomes.append((answer.status, answer.whole, len(answer.body)))

        async with asyncio.TaskGroup() as callers:
            for _ in range(3):
                callers.create_task(on_a_kept_line("it"))
                callers.create_task(on_a_kept_line("long"))
                callers.create_task(on_new_lines())
            for turn in range(5):
                last = scripted(seconds=0.6, pace=1, chunk_ms=40 + turn)  # is opened anew
                told = await reloaded.with_(config(it=steady, long=last, more=scripted()))
                assert told["event"] != NOT_TAKEN
            is_over.set()

        sizes = {round(0.1 * BYTES_PER_S), round(0.6 * BYTES_PER_S)}
        assert len(outcomes) > 20
        assert {(status, whole) for status, whole, _ in outcomes} == {(200, True)}
        assert {size for _, _, size in outcomes} == sizes


async def test_a_bad_file_changes_nothing_and_says_why(tmp_path: Path) -> None:
    """What is written in it is told to the log alone."""
    with served(tmp_path, it=scripted()) as reloaded:
        before = (await exchange(reloaded.url, READY)).json["config"]
        bad = {**config(it=scripted()), "timeouts": {"stall_s": 0}, "integrity": {"judges": SECRET}}

        told = await reloaded.with_(bad)
        ready = await _until(reloaded, lambda config: config["refused"] is not None)

        assert told["event"] == NOT_TAKEN
        assert any("timeouts.stall_s" in mistake for mistake in told["mistakes"])
        assert ready["status"] == "ready"
        assert ready["config"]["loaded"] == before["loaded"]
        assert "timeouts.stall_s" in ready["config"]["refused"]
        assert SECRET not in json.dumps(ready)
        assert (await exchange(reloaded.url, SPEECH, asking("it"))).whole

        await reloaded.with_(config(it=scripted()))
        await _until(reloaded, lambda config: config["refused"] is None)


@pytest.mark.parametrize("text", ["models: [", "models: {it: {routes: [{provider: nobody}]}}"])
async def test_a_file_that_is_no_config_changes_nothing(text: str, tmp_path: Path) -> None:
    with served(tmp_path, it=scripted()) as reloaded:
        assert (await reloaded.with_(text))["event"] == NOT_TAKEN
        assert (await exchange(reloaded.url, SPEECH, asking("it"))).whole


async def test_a_provider_that_cannot_start_any_more_changes_nothing(tmp_path: Path) -> None:
    with served(tmp_path, it=scripted()) as reloaded:
        told = await reloaded.with_(config(it=scripted(files={"mp3": str(tmp_path / "none")})))

        assert told["event"] == NOT_TAKEN
        assert "it cannot start" in told["why"]
        assert (await exchange(reloaded.url, SPEECH, asking("it"))).whole


@pytest.mark.parametrize(
    "wrong", [{"kind": "no such kind"}, {"kind": "scripted", "seconds": "${TTS_NO_SUCH_VARIABLE}"}]
)
async def test_a_file_by_which_a_provider_that_speaks_would_be_off_changes_nothing(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    """Who means it takes the provider out of the file."""
    with served(tmp_path, it=scripted(), that=scripted()) as reloaded:
        told = await reloaded.with_(config(it=wrong, that=scripted()))

        assert told["event"] == NOT_TAKEN
        assert "it cannot start" in told["why"]
        assert (await exchange(reloaded.url, SPEECH, asking("it"))).whole
        assert (await reloaded.with_(config(that=scripted())))["event"] != NOT_TAKEN
        assert (await exchange(reloaded.url, SPEECH, asking("it"))).status == 404


@pytest.mark.parametrize("text", ["", "# to be written\n", "models: {}\n"])
async def test_a_file_without_a_model_changes_nothing(text: str, tmp_path: Path) -> None:
    """An editor empties a file before it writes it."""
    with served(tmp_path, it=scripted()) as reloaded:
        told = await reloaded.with_(text)

        assert (told["event"], told["why"]) == (NOT_TAKEN, "the new config names no model")
        assert (await exchange(reloaded.url, SPEECH, asking("it"))).whole


async def test_what_needs_a_restart_is_said(tmp_path: Path) -> None:
    with served(tmp_path, it=scripted()) as reloaded:
        wanted = config(it=scripted(), more=scripted())
        wanted["server"] = {"port": 9, "data_dir": str(tmp_path / "elsewhere"), "places": 3}

        told = await reloaded.with_(wanted)
        ready = await _until(reloaded, lambda config: bool(config["restart"]))

        assert told["needs_restart"] == ["server.port", "server.data_dir"]
        assert ready["config"]["restart"] == told["needs_restart"]
        assert ready["places"]["size"] == 3
        assert (await exchange(reloaded.url, SPEECH, asking("more"))).whole
        assert not (tmp_path / "elsewhere").exists()


async def test_status_tells_when_the_config_was_loaded_and_what_came_of_the_last(
    tmp_path: Path,
) -> None:
    with served(tmp_path, it=scripted()) as reloaded:
        await reloaded.with_("models: [")
        await _until(reloaded, lambda config: config["refused"] is not None)

        told = await asyncio.to_thread(_status, reloaded.url)

        assert "config loaded 20" in told
        assert "a newer config was not taken" in told


async def test_a_provider_left_alone_is_left_alone_by_the_next_config_too(tmp_path: Path) -> None:
    """So is one whose breaker has other figures from now on."""
    ill = scripted(fail="bad_key")
    long, longer = ({"outlook": {"cool_s": s, "cool_most_s": 900.0}} for s in (300.0, 600.0))
    with served(tmp_path, ill=ill) as reloaded:
        await reloaded.with_({**config(ill=ill), **long})
        await exchange(reloaded.url, SPEECH, asking("ill"))
        both = config(ill=ill, it=scripted())
        for wanted in ({**both, **long}, {**both, **longer}):
            await reloaded.with_(wanted)
            assert "tone-1: left alone for" in await asyncio.to_thread(_status, reloaded.url)

            ready = (await exchange(reloaded.url, READY)).json
            breaker = ready["providers"]["ill"]["breakers"]["tone-1"]
            assert (breaker["state"], breaker["reason"]) == ("open", "bad_key")

        await reloaded.with_(config(ill=scripted()))  # another key
        assert (await exchange(reloaded.url, SPEECH, asking("ill"))).whole


async def test_keys_come_and_go_and_what_was_counted_stays_counted(tmp_path: Path) -> None:
    """As long as nothing changes of keys and limits."""
    one, two = {"key": KEY, "limits": {"requests_per_day": 2}}, {"key": f"{KEY}-2"}
    wanted = {**config(it=scripted()), "accounts": {"keys": {"one": one}}}
    with serving(wanted, tmp_path, plugins=[SCRIPTED]) as server:
        reloaded = Reloaded(server, tmp_path / "router.yaml")
        statuses = [await _spoken(reloaded, KEY), await _spoken(reloaded, f"{KEY}-2")]
        more = {**config(it=scripted(), more=scripted()), "accounts": wanted["accounts"]}
        await reloaded.with_(more)
        statuses += [await _spoken(reloaded, KEY), await _spoken(reloaded, KEY)]
        await reloaded.with_({**more, "accounts": {"keys": {"two": two}}})
        statuses += [await _spoken(reloaded, KEY), await _spoken(reloaded, f"{KEY}-2")]

    assert statuses == [200, 401, 200, 429, 401, 200]


def test_a_server_ends_with_its_terminal(tmp_path: Path) -> None:
    """SIGHUP says so, and no config is to be read again."""
    file = tmp_path / "router.yaml"
    places = {"data_dir": str(tmp_path / "data"), "cache_dir": str(tmp_path / "cache")}
    file.write_text(json.dumps({"server": places}), "utf-8")
    ours, theirs = pty.openpty()
    command = (sys.executable, "-m", "router", "serve", "--port", "0", "--config", str(file))
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        _started(ours)
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


async def _spoken(reloaded: Reloaded, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return (await exchange(reloaded.url, SPEECH, asking("it"), headers=headers)).status


def _started(terminal: int) -> None:
    told = b""
    while b"tts-router serves" not in told or b"\n" not in told.partition(b"serves")[2]:
        told += os.read(terminal, 4096)


def _status(url: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "router", "status", "--url", url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


async def _until(reloaded: Reloaded, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Readiness, once its part about the config is as it should be."""
    async with asyncio.timeout(5):
        while True:
            ready: dict[str, Any] = (await exchange(reloaded.url, READY)).json
            if condition(ready["config"]):
                return ready
            await asyncio.sleep(0.01)
