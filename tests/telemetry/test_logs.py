"""Every line of a server has one form, and says to which request it belongs."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from router.telemetry import logs
from tests.support.process import Log, ServerProcess, serving
from tests.support.scripts import SCRIPTED, SPEECH, UNJUDGED, asking, models, scripted
from tests.support.wire import exchange

TEXT = "Nobody finds these words in a line of the log."
OURS = {"event", "level", "timestamp"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    config = {
        "integrity": UNJUDGED,
        "providers": {"good": scripted(seconds=0.2), "bug": scripted(fail="bug")},
        "models": models({"good": ("good",), "bug": ("bug", "good")}),
    }
    with serving(config, tmp_path_factory.mktemp("logs"), plugins=[SCRIPTED]) as server:
        yield server


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_every_line_is_json_with_the_same_keys_uvicorns_too(tmp_path: Path) -> None:
    config = {
        "integrity": UNJUDGED,
        "providers": {"good": scripted(seconds=0.2)},
        "models": models({"good": ("good",)}),
    }
    with serving(config, tmp_path, plugins=[SCRIPTED]) as server:
        assert (await exchange(server.url, SPEECH, asking("good"))).status == 200
        server.terminate()
        assert await asyncio.to_thread(server.status) == 0

    found = lines(server.log.text)
    assert all(line.keys() >= OURS for line in found)
    events = [line["event"] for line in found]
    assert {"speech", "Shutting down", "Application startup complete."} <= set(events), events


async def test_a_line_has_all_but_the_text(server: ServerProcess) -> None:
    headers = {"X-Request-ID": "all-of-it"}
    answer = await exchange(server.url, SPEECH, asking("good", input=TEXT), headers=headers)
    line = await asyncio.to_thread(server.log.record, "all-of-it")

    assert line["characters"] == len(TEXT)
    assert re.fullmatch(r"[0-9a-f]{16}", line["text_key"])
    assert line["audio_bytes"] == len(answer.body)
    assert line["total_s"] >= line["first_audio_s"] >= line["place_s"] >= 0
    assert (line["model"], line["provider"], line["upstream_model"]) == ("good", "good", "tone-1")
    assert not any(word in server.log.text for word in (TEXT, TEXT[:20], TEXT[-20:]))


async def test_the_same_text_has_the_same_hash_and_another_one_another(
    server: ServerProcess,
) -> None:
    keys = []
    for number, text in enumerate((TEXT, TEXT, TEXT + "!")):
        headers = {"X-Request-ID": f"hash-{number}"}
        await exchange(server.url, SPEECH, asking("good", input=text), headers=headers)
        line = await asyncio.to_thread(server.log.record, f"hash-{number}")
        keys.append(line["text_key"])

    assert keys[0] == keys[1] != keys[2]


async def test_what_is_logged_on_the_way_says_to_which_request_it_belongs(
    server: ServerProcess,
) -> None:
    """Two at once: each line has the id of its own."""
    ids = [f"on-the-way-{number}" for number in range(2)]
    asked = [
        exchange(server.url, SPEECH, asking("bug"), headers={"X-Request-ID": id}) for id in ids
    ]
    assert [answer.status for answer in await asyncio.gather(*asked)] == [200, 200]

    def told(log: Log) -> list[str] | None:
        bugs = [line for line in lines(log.text) if line["event"] == "a provider has a bug"]
        found = sorted(line["request_id"] for line in bugs if line["request_id"] in ids)
        return found if len(found) == len(ids) else None

    assert await asyncio.to_thread(server.log.until, told) == ids


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", "<script>", "ünïcode", "a\tb"])
async def test_an_id_that_could_do_harm_is_not_taken(server: ServerProcess, given: str) -> None:
    answer = await exchange(server.url, "/nowhere", headers={"X-Request-ID": given})

    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_a_refusal_outside_of_speech_has_the_callers_id(server: ServerProcess) -> None:
    answer = await exchange(server.url, "/nowhere", headers={"X-Request-ID": "its-own"})

    assert answer.headers["x-request-id"] == "its-own"


def fail() -> None:
    raise ValueError(TEXT)


@pytest.mark.parametrize("json", [True, False])
def test_an_exception_is_told_by_its_class_and_place_and_without_its_words(json: bool) -> None:
    """In a line of ours and in one of a library."""
    try:
        fail()
    except ValueError as error:
        ours: Any = {"event": "failed", "exc_info": error}
        for process in logs.processors(json=json):
            ours = process(None, "error", ours)
        record = logging.LogRecord("lib", 40, "", 1, "failed", (), (ValueError, error, None))
    theirs = logs.formatter(json=json).format(record)

    for line in (ours, theirs):
        assert "ValueError" in line
        assert "failed" in line
        assert TEXT not in line
    assert "test_logs.py" in ours


def test_the_form_for_people_has_the_requests_id_too() -> None:
    with structlog.contextvars.bound_contextvars(request_id="mine"):
        line: Any = {"event": "speech", "status": 200}
        for process in logs.processors(json=False):
            line = process(None, "info", line)

    plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z \[info +\] speech +", plain)
    assert "request_id=mine" in plain
    assert "status=200" in plain
