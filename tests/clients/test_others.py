"""Requests as other clients send them, each as it was seen in that client's source or issues.

None of them may ever meet a redirect, a 5xx or an empty body.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from openai import AsyncOpenAI

from tests.support import sound
from tests.support.process import ServerProcess
from tests.support.wire import exchange

TEXT = "The kettle is on, and the door is open."


class Sent(msgspec.Struct, frozen=True):
    """A client's request for speech, and the type that it expects."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = {}
    answers: str = "audio/mpeg"


SENT = {
    "Open WebUI, its settings empty": Sent(
        "/v1/audio/speech",
        {"input": TEXT, "voice": "alloy", "model": "tts-1"},
        {"Authorization": "Bearer "},
    ),
    "Open WebUI, with a format among its parameters": Sent(
        "/v1/audio/speech",
        {"input": TEXT, "voice": "alloy", "model": "tts-1", "response_format": "wav"},
        {"Authorization": "Bearer sk-any", "X-OpenWebUI-User-Name": "A"},
        "audio/wav",
    ),
    "SillyTavern, a voice of a list that nobody trimmed": Sent(
        "/v1/audio/speech",
        {
            "input": TEXT,
            "response_format": "mp3",
            "voice": " echo",
            "speed": 1.05,
            "model": "tts-1",
        },
        {"Authorization": "Bearer "},
    ),
    "Home Assistant, as it sets itself up": Sent(
        "/v1/audio/speech",
        {"model": "tts-1", "input": ".", "voice": "alloy", "response_format": "mp3"},
        {"User-Agent": "HomeAssistant-OpenAI-TTS"},
    ),
    "Home Assistant, at work": Sent(
        "/v1/audio/speech",
        {
            "model": "tts-1",
            "input": TEXT,
            "voice": "shimmer",
            "response_format": "mp3",
            "speed": 1.0,
            "instructions": "Speak kindly.",
            "chunk_size": 1024,
            "volume": 3,
        },
    ),
    "Dify, as it checks a model": Sent(
        "/v1/audio/speech",
        {
            "model": "gpt-4o-mini-tts",
            "input": "Test.",
            "voice": "alloy",
            "instruction": None,
            "response_format": "mp3",
        },
        {"Authorization": "Bearer key"},
    ),
    "Dify, with nulls for all that is not set": Sent(
        "/v1/audio/speech",
        {
            "model": "tts-1",
            "input": TEXT,
            "voice": "alloy",
            "response_format": "wav",
            "speed": None,
            "instructions": None,
            "stream_format": None,
            "language": None,
        },
        answers="audio/wav",
    ),
    "LibreChat, LocalAI's field with it": Sent(
        "/v1/audio/speech",
        {"input": TEXT, "model": "tts-1", "voice": "alloy", "backend": "piper"},
        {"Accept": "application/json, text/plain, */*", "Authorization": "Bearer user_provided"},
    ),
    "n8n": Sent(
        "/v1/audio/speech",
        {
            "model": "tts-1-hd",
            "input": TEXT,
            "voice": "onyx",
            "response_format": "opus",
            "speed": 1,
        },
        answers="audio/opus",
    ),
    "NextChat": Sent(
        "/v1/audio/speech",
        {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "mp3", "speed": 1},
        {"Origin": "http://localhost:3000", "Authorization": "Bearer nk-any"},
    ),
    "Amica, which adds /v1 itself": Sent(
        "/v1/v1/audio/speech", {"model": "tts-1", "input": TEXT, "voice": "nova"}
    ),
    "voxtype, whose base has no /v1": Sent(
        "/audio/speech",
        {"model": "tts-1", "input": TEXT, "voice": "nova", "response_format": "wav"},
        answers="audio/wav",
    ),
    "a client with a trailing slash": Sent(
        "/v1/audio/speech/",
        {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "pcm"},
        answers="audio/pcm",
    ),
    "Marinara, with NanoGPT's host": Sent(
        "/api/v1/audio/speech",
        {"model": "tts-1", "input": TEXT, "voice": "alloy", "speed": 1, "response_format": "mp3"},
    ),
    "NanoGPT's own sample, its key with a blank behind": Sent(
        "/api/v1/speech",
        {"model": "nano-tts-1", "input": TEXT, "voice": "verse", "format": "wav"},
        {"Authorization": "Bearer key "},
        "audio/wav",
    ),
    "openai-node, with a stream in the body": Sent(
        "/v1/audio/speech",
        {"model": "tts-1", "input": TEXT, "voice": "alloy", "stream": True},
        {"Accept": "application/octet-stream", "Accept-Language": "*", "Sec-Fetch-Mode": "cors"},
    ),
}


@pytest.mark.parametrize("name", SENT)
async def test_what_a_client_sends_is_spoken(server: ServerProcess, name: str) -> None:
    sent = SENT[name]
    answer = await exchange(server.url, sent.path, sent.body, headers=sent.headers)

    assert (answer.status, answer.whole) == (200, True)
    assert answer.headers["content-type"] == sent.answers
    assert len(answer.body) > 500


@pytest.mark.parametrize("name", SENT)
async def test_without_a_format_it_can_be_had_as_wav(server: ServerProcess, name: str) -> None:
    """The same request with `wav`: heard, and as long as the text takes."""
    sent = SENT[name]
    body = {**sent.body, "response_format": "wav", "format": "wav", "stream": False, "speed": 1}
    answer = await exchange(server.url, sent.path, body, headers=sent.headers)

    heard = sound.of_wav(answer.body)
    if body["input"] == TEXT:
        assert heard.is_audible
        assert heard.could_say(TEXT)
    assert heard.seconds >= 0.1


@pytest.mark.parametrize("path", ["/v1/audio/models", "/audio/models", "/v1/models", "/models"])
async def test_open_webui_finds_models_without_a_key(server: ServerProcess, path: str) -> None:
    """It reads `models[].id`; the SDKs read `data[].id`."""
    found = (await exchange(server.url, path)).json

    assert {"id"} <= set(found["models"][0])
    assert found["data"] == found["models"]
    assert found["object"] == "list"


@pytest.mark.parametrize(
    "path", ["/v1/audio/voices", "/audio/voices", "/v1/voices", "/v1/audio/speech/voices"]
)
async def test_open_webui_finds_voices_without_a_key(server: ServerProcess, path: str) -> None:
    """A voice without a `name` makes it fall back to six of OpenAI's."""
    found = (await exchange(server.url, path, headers={"Content-Type": "application/json"})).json

    assert {"alloy", "nova", "demo-29", "luna"} <= {voice["id"] for voice in found["voices"]}
    assert all(voice["name"] for voice in found["voices"])
    assert found["data"] == found["voices"]


async def test_home_generative_agent_finds_the_models(server: ServerProcess) -> None:
    """It refuses a server without them."""
    assert (await exchange(server.url, "/v1/models")).status == 200


@pytest.mark.parametrize("path", ["/v1/readyz", "/v1/test", "/readyz", "/test"])
async def test_wyoming_openai_takes_us_for_nobody_else(server: ServerProcess, path: str) -> None:
    """It knows LocalAI and Kokoro by a 200 there, and then asks for voices in other ways."""
    assert (await exchange(server.url, path)).status == 404
    assert (await exchange(server.url, "/health/live")).body != b"OK"


async def test_wyoming_openai_reads_the_header_in_the_first_2_kib(server: ServerProcess) -> None:
    async with (
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1", input=TEXT, voice="alloy", response_format="wav"
        ) as response,
    ):
        pieces = response.iter_bytes(chunk_size=2048)
        first = await anext(pieces)
        with wave.open(io.BytesIO(first)) as file:
            header = file.getframerate(), file.getnchannels(), file.getsampwidth()
        rest = [piece async for piece in pieces]

    assert header == (24_000, 1, 2)
    assert sound.of_wav(first + b"".join(rest)).could_say(TEXT)


async def test_pipecat_hears_24_khz_mono(server: ServerProcess) -> None:
    """It looks at no header."""
    async with (
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="key") as client,
        client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", input=TEXT, voice="marin", response_format="pcm"
        ) as response,
    ):
        assert response.status_code == 200
        heard = b"".join([piece async for piece in response.iter_bytes(1024)])

    assert len(heard) % 2 == 0
    assert sound.of_pcm(heard, 24_000, 1).could_say(TEXT)


@pytest.mark.parametrize("text", [".", "…", "🙂", "**", "—", "Test."])
async def test_vercels_sdk_never_gets_an_empty_body(server: ServerProcess, text: str) -> None:
    """An empty 200 is its NoSpeechGeneratedError."""
    body = {"model": "tts-1", "input": text, "voice": "alloy", "response_format": "wav"}
    answer = await exchange(server.url, "/v1/audio/speech", body)

    assert answer.status == 200
    assert sound.of_wav(answer.body).seconds >= 0.1


async def test_vercels_sdk_can_read_a_refusal(server: ServerProcess) -> None:
    """Without `error.message` it shows the status line alone."""
    body = {"model": "no", "input": "x", "voice": "y"}
    answer = await exchange(server.url, "/v1/audio/speech", body)

    assert answer.status == 404
    assert isinstance(answer.error["message"], str)


async def test_librechats_pieces_may_be_joined(server: ServerProcess) -> None:
    """It cuts a long text and writes the answers one behind the other: mp3 frames, without a tag
    or a Xing header of one piece in the middle."""
    body = {"model": "tts-1", "input": TEXT, "voice": "alloy"}
    for _ in range(2):
        answer = await exchange(server.url, "/v1/audio/speech", body)

        assert answer.body[0] == 0xFF
        assert not {b"Xing", b"Info"} & {answer.body[at : at + 4] for at in range(200)}
