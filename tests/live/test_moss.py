"""The local engine behind a real server: every shape, every format, samples, and bad days."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from router.contract.audio import ENCODINGS, container_of
from tests.live.moss import (
    MOSS,
    MULTIPART,
    READY,
    SHAPES,
    TEXT,
    about,
    comes,
    form,
    is_at_rest,
    speaking,
    until_ready,
    wav,
)
from tests.support.process import ROOT, ServerProcess
from tests.support.scripts import SPEECH
from tests.support.tiny_moss import TTS_FOLDER, write
from tests.support.wire import Answer, Line, connected, exchange

CONTAINERS = {name: name for name in ("mp3", "aac", "flac", "wav", "ogg")} | {"opus": "ogg"}
LET_GO_S = 5.0
CLIPS = ("en_2.wav", "en_6.wav", "en_8.wav", "jp_2.wav", "zh_1.wav", "zh_10.wav")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose only voice is the engine, over the shipped graphs, so that it speaks at
    once."""
    settings = {"directory": str(model), "pull": "never", "graphs": "shipped"}
    with speaking(settings, tmp_path_factory.mktemp("server")) as running:
        yield running


async def cloned(url: str, clip: bytes, **fields: Any) -> Answer:
    body = form({"input": TEXT, "response_format": "pcm", "seed": 3, **fields}, clip)
    return await exchange(url, SPEECH, body, headers=MULTIPART)


async def said(url: str, **fields: Any) -> Answer:
    body = {"model": MOSS, "input": TEXT, "voice": "en-news", "response_format": "pcm", **fields}
    return await exchange(url, SPEECH, body)


def is_spoken(answer: Answer) -> bool:
    """By the engine, and to its end."""
    told = (answer.status, answer.whole, answer.headers.get("x-tts-provider"))
    assert told == (200, True, "moss"), answer.body[:300]
    return len(answer.body) > 1000


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_shape_is_spoken_in_the_format_that_its_api_has_by_default(
    server: ServerProcess, shape: str
) -> None:
    path, body = SHAPES[shape]
    answer = await exchange(server.url, path, body)

    assert is_spoken(answer)
    assert container_of(answer.body[:12]) == ("wav" if shape == "leaper" else "mp3")
    assert server.log.record(answer.headers["x-request-id"])["shape"] == shape


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_every_format_can_be_had(server: ServerProcess, encoding: str) -> None:
    answer = await said(server.url, response_format=encoding, stream=True)

    assert is_spoken(answer)
    assert container_of(answer.body[:12]) == CONTAINERS.get(encoding)


async def test_a_seed_says_the_same_again_and_another_seed_does_not(server: ServerProcess) -> None:
    one, same, other = [await said(server.url, seed=seed) for seed in (3, 3, 4)]

    assert is_spoken(one)
    assert len(one.body) == len(same.body)
    assert one.body != other.body


@pytest.mark.parametrize("name", CLIPS)
async def test_every_recording_is_cloned(server: ServerProcess, name: str) -> None:
    folder = os.environ.get("TTS_TEST_DATA")
    if not folder:
        pytest.skip("TTS_TEST_DATA names no folder: it holds recordings of voices")
    clip = (Path(folder) / "clips" / name).read_bytes()

    answer = await cloned(server.url, clip)

    assert is_spoken(answer)
    assert answer.headers["x-tts-ignored"] == "none"
    assert answer.body != (await said(server.url, seed=3)).body


@pytest.mark.parametrize("encoding", ["mp3", "flac", "ogg", "wav"])
async def test_a_sample_may_come_in_any_container(server: ServerProcess, encoding: str) -> None:
    sample = (await said(server.url, response_format=encoding, seed=5)).body

    answer = await cloned(server.url, sample)

    assert is_spoken(answer)
    assert answer.headers["x-tts-ignored"] == "none"


@pytest.mark.parametrize(("seconds", "rate"), [(2, 16_000), (4, 44_100), (10, 48_000), (25, 8_000)])
async def test_a_sample_of_any_rate_and_length_is_cloned_and_the_same_again(
    server: ServerProcess, seconds: float, rate: int
) -> None:
    sample = wav(seconds, rate=rate)

    cold, warm = [await cloned(server.url, sample) for _ in range(2)]

    assert is_spoken(cold)
    assert len(cold.body) == len(warm.body)


async def test_a_sample_in_which_nobody_speaks_is_refused(server: ServerProcess) -> None:
    answer = await cloned(server.url, wav(3, loudness=0.0))

    assert answer.status == 400
    assert "silent" in answer.error["message"]


async def test_of_eight_at_once_who_stays_hears_all_and_who_leaves_leaves_nothing(
    server: ServerProcess,
) -> None:
    async with asyncio.TaskGroup() as group:
        stay = [group.create_task(said(server.url, seed=n)) for n in range(4)]
        for leaves_after in (0, 1, 2, 3):
            group.create_task(_leaves(server.url, leaves_after))

    assert all(is_spoken(task.result()) for task in stay)
    assert await comes(lambda: is_at_rest(server.url), LET_GO_S)
    alone = await said(server.url, seed=0)
    assert len(alone.body) == len(stay[0].result().body)


async def _leaves(url: str, leaves_after: int) -> None:
    body = {"model": MOSS, "input": TEXT * 20, "voice": "nova", "response_format": "pcm"}
    async with connected(url) as line:
        await line.ask(SPEECH, body)
        if leaves_after:
            await _heard(line, leaves_after)
        line.reset()


async def _heard(line: Line, pieces: int) -> None:
    head = await line.head()
    for _ in range(pieces):
        assert await line.piece(head)


async def test_status_tells_how_the_engine_is(server: ServerProcess) -> None:
    await said(server.url)
    inside = (await about(server.url))["inside"]
    told = await asyncio.to_thread(_status, server.url)

    assert inside["counters"]["frames"] > 0
    assert inside["counters"]["decode_seconds"] > 0
    assert inside["gauges"]["rows_most"] > 0
    assert inside["facts"]["decoder"] == "shipped: the settings say so"
    assert "rows speak" in told
    assert "all graphs are the shipped ones" in told
    assert "all graphs are the shipped ones (the settings say so)" in server.log.text


def _status(url: str) -> str:
    command = (sys.executable, "-m", "router", "status", "--url", url)
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


async def test_espeak_speaks_until_the_engine_has_built_its_graphs(
    model: Path, tmp_path: Path
) -> None:
    settings = {"directory": str(model), "pull": "never"}
    with speaking(settings, tmp_path / "server", fallback=True) as server:
        assert "moss is not ready: " in server.log.text
        early = await said(server.url)
        found = await until_ready(server.url)
        late = await said(server.url)
        log = server.log.text

    assert "all graphs are the faster ones" in log
    assert (early.status, early.headers["x-tts-provider"]) == (200, "espeak")
    assert is_spoken(late)
    assert found["inside"]["facts"]["language_model"] == "faster"


def _without_a_graph(model: Path, folder: Path) -> Mapping[str, Any]:
    """Another's weights are linked to; one graph is missing."""
    broken = folder / "broken"
    for path in model.rglob("*"):
        target = broken / path.relative_to(model)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif path.name != "moss_tts_prefill.onnx":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    assert (broken / TTS_FOLDER).is_dir()
    return {"directory": str(broken), "pull": "never"}


def _empty(model: Path, folder: Path) -> Mapping[str, Any]:
    return {"directory": str(folder), "pull": "never"}


def _without_a_network(model: Path, folder: Path) -> Mapping[str, Any]:
    return {"pull": "auto", "endpoint": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("plight", "word"),
    [
        (_without_a_graph, "moss_tts_prefill.onnx"),
        (_empty, "none"),
        (_without_a_network, "http://127.0.0.1:9"),
    ],
    ids=["a graph is missing", "an empty directory", "no network"],
)
async def test_what_keeps_the_engine_from_starting_is_told_in_one_line_and_espeak_speaks(
    plight: Any, word: str, model: Path, tmp_path: Path
) -> None:
    nothing = tmp_path / "none"
    nothing.mkdir()
    settings = plight(model, nothing)
    with speaking(settings, tmp_path / "server", fallback=True) as server:

        async def is_told() -> bool:
            return word in (await about(server.url))["reason"]

        assert await comes(is_told, 8)
        ready = await exchange(server.url, READY)
        found = ready.json["providers"]["moss"]
        answer = await said(server.url)
        log = server.log.text

    assert (ready.status, found["state"]) == (200, "not ready")
    assert "\n" not in found["reason"]
    assert (answer.status, answer.headers["x-tts-provider"]) == (200, "espeak")
    assert sum("moss is not ready: " in line for line in log.splitlines()) == 1
    assert "Traceback" not in log
