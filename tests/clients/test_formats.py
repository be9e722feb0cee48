"""Formats as clients ask for them, and as they read what comes: each recipe against the server.

What a body is, ffmpeg says. Sources: LiveKit Agents' openai plugin (da6af86), NanoGPT's page of
2025-10-10 with its Node loop, LEAPERone's page, sfortis/openai_tts 3.7, Open WebUI.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from openai import OpenAI

from router.contract.audio import AudioFormat
from tests.audio.ffmpeg import heard
from tests.support import sound
from tests.support.process import ServerProcess
from tests.support.sound import needed
from tests.support.wire import Answer, exchange

TEXT = "The kettle is on, and the door is open."
OPENAI = {"model": "tts-1", "input": TEXT, "voice": "alloy"}
LEAPER = {"model": "moss-tts-nano", "input": TEXT, "voice": "alloy"}
NANOGPT = {"model": "nano-tts-1", "input": TEXT, "voice": "luna"}

_CODECS = {"wav": "pcm_s16le", "ogg": "opus"}
_CONTAINERS = {"opus": "ogg"}


def is_speech(body: bytes, format: str, folder: Path, raw: AudioFormat | None = None) -> bool:
    """Whether the body is in that format, and as long as the text takes once it is decoded."""
    if format in ("pcm", "pcm16"):
        assert raw is not None
        told = sound.of_pcm(body, raw.sample_rate or 0, raw.channels or 0)
        return told.is_audible and told.could_say(TEXT)
    (came,) = heard([body], folder)
    assert came.container == _CONTAINERS.get(format, format)
    assert came.codec == _CODECS.get(format, format)
    return len(TEXT) / 30 < came.frames / came.rate < len(TEXT) / 5 + 0.5


# ------------------------------------------------------------------------------------------------
# the tables of content types


class Told(NamedTuple):
    """A format, its content type, and what is fixed of raw PCM."""

    format: str
    content_type: str
    raw: AudioFormat | None = None
    fields: Mapping[str, Any] = {}


LEAPERS = (
    Told("wav", "audio/wav"),
    Told("pcm", "application/octet-stream", AudioFormat("pcm", 48_000, 2)),
)
NANOGPTS = (
    Told("mp3", "audio/mpeg"),
    Told("wav", "audio/wav"),
    Told("ogg", "audio/ogg"),
    Told("opus", "audio/opus"),
    Told("aac", "audio/aac"),
    Told("flac", "audio/flac"),
    Told(
        "pcm16",
        "application/octet-stream",
        AudioFormat("pcm", 16_000, 1),
        {"sample_rate": 16_000},
    ),
)
OPENAIS = (
    Told("mp3", "audio/mpeg"),
    Told("opus", "audio/opus"),
    Told("aac", "audio/aac"),
    Told("flac", "audio/flac"),
    Told("wav", "audio/wav"),
    Told("pcm", "audio/pcm", AudioFormat("pcm", 24_000, 1)),
)


@pytest.mark.parametrize("told", LEAPERS, ids=lambda told: told.format)
async def test_leapers_table_of_content_types(
    server: ServerProcess, told: Told, tmp_path: Path
) -> None:
    body = {**LEAPER, "response_format": told.format}
    await _is_as_told(await exchange(server.url, "/v1/audio/speech", body), told, tmp_path)


@pytest.mark.parametrize("told", NANOGPTS, ids=lambda told: told.format)
async def test_nanogpts_table_of_content_types(
    server: ServerProcess, told: Told, tmp_path: Path
) -> None:
    body = {**NANOGPT, "format": told.format, **told.fields}
    await _is_as_told(await exchange(server.url, "/v1/speech", body), told, tmp_path)


@pytest.mark.parametrize("told", OPENAIS, ids=lambda told: told.format)
async def test_openais_formats(server: ServerProcess, told: Told, tmp_path: Path) -> None:
    body = {**OPENAI, "response_format": told.format}
    await _is_as_told(await exchange(server.url, "/v1/audio/speech", body), told, tmp_path)


async def _is_as_told(answer: Answer, told: Told, folder: Path) -> None:
    assert (answer.status, answer.whole) == (200, True), answer.body
    assert answer.headers["content-type"] == told.content_type
    assert is_speech(answer.body, told.format, folder, told.raw)


# ------------------------------------------------------------------------------------------------
# NanoGPT: what is preferred, and its streaming loop


@pytest.mark.parametrize(
    ("accept", "format", "content_type"),
    [
        ("audio/mpeg", "mp3", "audio/mpeg"),
        ("audio/wav", "wav", "audio/wav"),
        ("audio/ogg", "ogg", "audio/ogg"),
        ("audio/opus", "opus", "audio/opus"),
        ("audio/flac;q=0.5, audio/aac", "aac", "audio/aac"),
        ("audio/*", "mp3", "audio/mpeg"),
        ("*/*", "mp3", "audio/mpeg"),
        ("application/octet-stream", "mp3", "audio/mpeg"),
        ("application/json", "mp3", "audio/mpeg"),
        ("audio/L16", "mp3", "audio/mpeg"),
    ],
)
async def test_accept_chooses_where_the_body_names_none(
    server: ServerProcess, accept: str, format: str, content_type: str, tmp_path: Path
) -> None:
    """Never raw PCM, and never 406: it is a wish."""
    answer = await exchange(server.url, "/v1/speech", NANOGPT, headers={"Accept": accept})

    await _is_as_told(answer, Told(format, content_type), tmp_path)


@pytest.mark.parametrize(
    ("accept", "format", "content_type"),
    [
        ("audio/wav", "mp3", "audio/mpeg"),
        ("audio/ogg", "opus", "audio/ogg"),
        ("audio/ogg, audio/opus;q=0.9", "opus", "audio/ogg"),
        ("audio/opus, audio/ogg", "opus", "audio/opus"),
        ("application/octet-stream", "flac", "audio/flac"),
    ],
)
async def test_the_body_names_the_format_and_accept_the_label(
    server: ServerProcess, accept: str, format: str, content_type: str, tmp_path: Path
) -> None:
    body = {**NANOGPT, "format": format}
    answer = await exchange(server.url, "/v1/speech", body, headers={"Accept": accept})

    await _is_as_told(answer, Told(format, content_type), tmp_path)


NODE_LOOP = """
import fs from "node:fs/promises";
const [url, body, name] = process.argv.slice(2);
const res = await fetch(url, {
  method: "POST",
  headers: { Authorization: "Bearer key", "Content-Type": "application/json" },
  body,
});
if (!res.ok) throw new Error(await res.text());
const file = await fs.open(name, "w");
for await (const chunk of res.body) {
  await file.write(chunk);
}
await file.close();
console.log(res.headers.get("content-type"));
"""
"""The loop of NanoGPT's page; only URL, body and name come from outside."""


@pytest.mark.parametrize(
    ("format", "content_type"), [("mp3", "audio/mpeg"), ("opus", "audio/opus")]
)
def test_nanogpts_node_loop_writes_a_file_that_plays(
    server: ServerProcess, format: str, content_type: str, tmp_path: Path
) -> None:
    script, file = tmp_path / "speak.mjs", tmp_path / f"speech.{format}"
    script.write_text(NODE_LOOP)
    body = json.dumps({**NANOGPT, "format": format, "stream": True})
    command = [needed("node"), str(script), f"{server.url}/v1/speech", body, str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == content_type
    assert is_speech(file.read_bytes(), format, tmp_path)


def test_nanogpts_node_loop_throws_what_is_refused(server: ServerProcess, tmp_path: Path) -> None:
    script, file = tmp_path / "speak.mjs", tmp_path / "speech.pcm"
    script.write_text(NODE_LOOP)
    body = json.dumps({**NANOGPT, "format": "pcm16"})
    command = [needed("node"), str(script), f"{server.url}/v1/speech", body, str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)

    assert done.returncode != 0
    assert "invalid_sample_rate" in done.stderr
    assert not file.exists()


# ------------------------------------------------------------------------------------------------
# LiveKit: server-sent events


LIVEKIT = {
    "model": "gpt-4o-mini-tts",
    "input": TEXT,
    "voice": "ash",
    "speed": 1.0,
    "response_format": "mp3",
    "stream_format": "sse",
}


def audio_of_lines(lines: Iterable[str]) -> Iterator[bytes]:
    """As its older reader does: `data: ` lines alone, until one is not a delta."""
    for line in lines:
        if not line.startswith("data: "):
            continue
        event = json.loads(line[len("data: ") :])
        if event["type"] == "speech.audio.delta":
            yield base64.b64decode(event["audio"], validate=True)


def audio_of_events(lines: Iterable[str]) -> Iterator[bytes]:
    """As its newer reader does: events end with an empty line, and either field will do."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[len("data:") :].lstrip())
        elif not line and data:
            text, data = "\n".join(data), []
            if text == "[DONE]":
                return
            event = json.loads(text)
            if event.get("type") == "speech.audio.done":
                assert event["usage"]["input_tokens"] == len(TEXT)
                assert event["usage"]["total_tokens"] > event["usage"]["input_tokens"]
            elif found := event.get("delta") or event.get("audio"):
                yield base64.b64decode(found, validate=True)


@pytest.mark.parametrize("reader", [audio_of_lines, audio_of_events])
@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_livekit_hears_one_stream_out_of_events(
    server: ServerProcess, reader: Any, format: str, tmp_path: Path
) -> None:
    """Its own wish is mp3."""
    body = {**LIVEKIT, "response_format": format}
    with httpx.stream("POST", f"{server.url}/v1/audio/speech", json=body, timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
        assert answer.headers["x-request-id"]
        audio = b"".join(reader(answer.iter_lines()))

    assert is_speech(audio, format, tmp_path, AudioFormat("pcm", 24_000, 1))


def test_livekit_by_the_sdk_gets_the_events_raw(server: ServerProcess, tmp_path: Path) -> None:
    with (
        OpenAI(base_url=f"{server.url}/v1", api_key="key", max_retries=0) as client,
        client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts",
            input=TEXT,
            voice="ash",
            response_format="mp3",
            stream_format="sse",
        ) as response,
    ):
        lines = list(response.iter_lines())

    events = [json.loads(line[6:]) for line in lines if line]
    assert all(line.startswith("data: {") for line in lines if line)
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"
    assert is_speech(b"".join(audio_of_lines(lines)), "mp3", tmp_path)


def test_no_line_of_an_event_is_longer_than_readers_take(server: ServerProcess) -> None:
    """aiohttp's reader refuses lines of more than 64 KiB."""
    body = {**LIVEKIT, "input": TEXT * 20, "response_format": "wav"}
    with httpx.stream("POST", f"{server.url}/v1/audio/speech", json=body, timeout=30) as answer:
        longest = max(map(len, answer.iter_lines()))

    assert longest < 65_536


# ------------------------------------------------------------------------------------------------
# who saves a file, and who has only a dot to say


async def test_open_webui_saves_what_comes_as_mp3(server: ServerProcess, tmp_path: Path) -> None:
    """It names no format, and the file .mp3."""
    answer = await exchange(server.url, "/v1/audio/speech", OPENAI)

    await _is_as_told(answer, Told("mp3", "audio/mpeg"), tmp_path)
    assert not answer.body.startswith(b"ID3")


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav"])
async def test_home_assistants_dot_is_a_short_silence_that_plays(
    server: ServerProcess, format: str, tmp_path: Path
) -> None:
    """Any answer of 400 or more is «cannot connect» to it."""
    body = {"model": "tts-1", "input": ".", "voice": "alloy", "response_format": format}
    answer = await exchange(server.url, "/v1/audio/speech", body)

    assert (answer.status, answer.whole) == (200, True)
    (came,) = heard([answer.body], tmp_path)
    assert came.codec == _CODECS.get(format, format)
    assert 0.25 <= came.frames / came.rate <= 0.5


async def test_a_streamed_wav_says_endless_and_a_whole_one_its_size(server: ServerProcess) -> None:
    """Safari plays no WAV with a size that lies; a stream cannot know its own."""
    body = {**OPENAI, "response_format": "wav"}
    whole = await exchange(server.url, "/v1/audio/speech", body)
    streamed = await exchange(server.url, "/v1/audio/speech", {**body, "stream": True})

    assert int.from_bytes(whole.body[40:44], "little") == len(whole.body) - 44
    assert streamed.body[4:8] == streamed.body[40:44] == b"\xff" * 4
    assert sound.of_pcm(streamed.body[44:], 24_000, 1).could_say(TEXT)
