"""OpenAI's dialect: what is sent, and speech as events."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from providers import openai
from providers.openai import Model, Settings
from providers.openai.events import Lines
from router.contract import errors
from router.contract.audio import AudioFormat
from router.contract.speech import SpeechOrder, VoiceChoice
from router.testing import misbehaving as mis
from tests.providers.remote import MP3, OPENAI, TEXT, spoken

WAV = AudioFormat("wav", 24_000, 1)
BODY = MP3 * 3


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def delta(audio: bytes, field: str = "audio") -> bytes:
    return event(type="speech.audio.delta", **{field: base64.b64encode(audio).decode()})


DONE = event(type="speech.audio.done", usage={"input_tokens": 1})


async def sent(order: SpeechOrder, format: AudioFormat, **settings: Any) -> Any:
    """The body that an order becomes."""
    async with (
        mis.misbehaving(mis.speaks(MP3, media_type="audio/mpeg")) as upstream,
        OPENAI.opened(upstream.url, **settings) as provider,
        provider.synthesize(order, format),
    ):
        assert upstream.requests[0].target == "/v1/audio/speech"
        return upstream.requests[0].json()


async def heard(
    events: bytes, *, piece_bytes: int = 4096, framing: mis.Framing = "chunked"
) -> bytes:
    """What a stream of events says; it must be framed, for its end is told."""
    told = mis.speaks(
        events, media_type="text/event-stream", piece_bytes=piece_bytes, framing=framing
    )
    async with (
        mis.misbehaving(told) as upstream,
        OPENAI.opened(upstream.url, stream_format="sse") as provider,
        provider.synthesize(OPENAI.order(), AudioFormat("mp3")) as stream,
    ):
        assert stream.framed
        return b"".join([chunk async for chunk in stream.chunks])


async def test_a_plain_order_is_a_small_body() -> None:
    assert await sent(OPENAI.order(), AudioFormat("mp3")) == {
        "model": "tts-1",
        "input": TEXT,
        "voice": "alloy",
        "response_format": "mp3",
    }


async def test_speed_options_and_settings_are_told() -> None:
    order = OPENAI.order(
        model="gpt-4o-mini-tts",
        speed=1.5,
        voice=VoiceChoice(None),
        options={"instructions": "softly", "extra": {"seed": 7, "model": "tts-9"}},
    )
    body = await sent(order, AudioFormat("flac"), extra={"lang_code": "e"}, stream_format="sse")
    assert body == {
        "model": "gpt-4o-mini-tts",
        "input": TEXT,
        "response_format": "flac",
        "speed": 1.5,
        "stream_format": "sse",
        "instructions": "softly",
        "seed": 7,
        "lang_code": "e",
    }


async def test_the_defaults_are_openai_s() -> None:
    async with OPENAI.opened("http://127.0.0.1:1") as provider:
        offers, voices = provider.offers(), await provider.voices()
    assert list(offers) == ["gpt-4o-mini-tts", "tts-1", "tts-1-hd"]
    assert [name for name, model in offers.items() if "instructions" in model.options] == [
        "gpt-4o-mini-tts"
    ]
    for model in offers.values():
        assert model.max_chars == 4096
        assert model.speed == (0.25, 4.0)
        assert not model.cloning
        assert {str(format) for format in model.formats} == {
            "mp3", "opus", "aac", "flac", "wav 24000 Hz mono", "pcm 24000 Hz mono"
        }  # fmt: skip
    assert len(voices) == 13
    assert {voice.id for voice in voices if voice.models} == {"ballad", "verse", "marin", "cedar"}


def test_another_server_is_described_in_the_settings() -> None:
    settings = msgspec.convert(
        {
            "base_url": "http://127.0.0.1:8880/v1/",
            "models": {
                "kokoro": {
                    "formats": ["mp3", "pcm"],
                    "max_chars": None,
                    "languages": ["en", "ja"],
                    "speed": [0.25, 4],
                    "cost": {"per_1k_chars": 0},
                }
            },
            "voices": ["af_bella"],
        },
        Settings,
    )
    assert settings.models["kokoro"].languages == ("en", "ja")
    assert openai.KIND.settings is Settings


@pytest.mark.parametrize("models", [{}, {"kokoro": {"formatz": ["mp3"]}}])
def test_models_without_sense_are_refused(models: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"models": models}, Settings)


async def test_a_server_without_a_list_of_models_is_well() -> None:
    async with (
        mis.misbehaving(mis.refuses(404)) as upstream,
        OPENAI.opened(upstream.url) as provider,
    ):
        await provider.health()


async def test_raw_samples_have_the_rate_of_the_settings() -> None:
    models = {"piper": Model(formats=("wav", "pcm"), sample_rate=22_050)}
    async with OPENAI.opened("http://127.0.0.1:1", models=models) as provider:
        assert provider.offers()["piper"].formats == (
            AudioFormat("wav", 22_050, 1),
            AudioFormat("pcm", 22_050, 1),
        )


# ------------------------------------------------------------------------------------------------
# speech as events


@pytest.mark.parametrize("piece_bytes", [1, 7, 4096])
async def test_events_become_the_audio_that_is_in_them(piece_bytes: int) -> None:
    events = (
        b": hello\n\nevent: speech.audio.delta\n" + delta(BODY[:500]) + delta(BODY[500:]) + DONE
    )
    assert await heard(events, piece_bytes=piece_bytes) == BODY


@pytest.mark.parametrize(
    "events",
    [
        delta(BODY, "delta") + DONE,
        delta(BODY) + b"data: [DONE]\n\n",
        (delta(BODY) + DONE).replace(b"\n", b"\r\n"),
        delta(BODY).replace(b"data: ", b"data:") + DONE,
        delta(b"") + delta(BODY) + event(type="speech.audio.thinking") + DONE,
    ],
    ids=["delta", "[DONE]", "CRLF", "no space", "unknown events"],
)
async def test_the_dialects_of_events_are_understood(events: bytes) -> None:
    assert await heard(events) == BODY


@pytest.mark.parametrize(
    ("events", "error"),
    [
        (delta(BODY), errors.Broken),
        (delta(BODY) + event(type="speech.audio.error", error={"message": "x"}), errors.Broken),
        (event(error={"message": "x"}), errors.Broken),
        (DONE, errors.NotSpeech),
        (delta(b"<html>") + DONE, errors.NotSpeech),
        (delta(BODY) + b"data: {not json\n\n", errors.NotSpeech),
        (event(type="speech.audio.delta", audio="a") + DONE, errors.NotSpeech),
        (b"", errors.Broken),
    ],
    ids=[
        "no end",
        "an error",
        "another error",
        "no audio",
        "HTML",
        "no JSON",
        "no base64",
        "empty",
    ],
)
@pytest.mark.parametrize("framing", ["chunked", "none"])
async def test_events_without_their_end_or_sense_fail(
    events: bytes, error: type[Exception], framing: mis.Framing
) -> None:
    with pytest.raises(error):
        await heard(events, framing=framing)


async def test_the_tokens_that_the_last_event_tells_are_the_streams() -> None:
    done = event(type="speech.audio.done", usage={"input_tokens": 4, "total_tokens": 54})
    told = mis.speaks(delta(BODY) + done, media_type="text/event-stream")
    async with (
        mis.misbehaving(told) as upstream,
        OPENAI.opened(upstream.url, stream_format="sse") as provider,
        provider.synthesize(OPENAI.order(), AudioFormat("mp3")) as stream,
    ):
        assert stream.tokens is None
        assert b"".join([chunk async for chunk in stream.chunks]) == BODY
        assert stream.tokens == 54


async def test_plain_audio_instead_of_events_is_taken() -> None:
    async with (
        mis.misbehaving(mis.speaks(MP3, media_type="audio/mpeg")) as upstream,
        OPENAI.opened(upstream.url, stream_format="sse") as provider,
    ):
        assert await spoken(provider, OPENAI.order(), AudioFormat("mp3")) == MP3


async def test_a_connection_serves_again_after_events() -> None:
    told = mis.speaks(delta(MP3) + DONE, media_type="text/event-stream")
    async with (
        mis.misbehaving(told) as upstream,
        OPENAI.opened(upstream.url, stream_format="sse") as provider,
    ):
        for _ in range(3):
            assert await spoken(provider, OPENAI.order(), AudioFormat("mp3")) == MP3
        assert {seen.connection for seen in upstream.requests} == {1}


async def test_events_that_lag_behind_their_last_one_do_not_hold_up_the_end() -> None:
    async def lag(exchange: mis.Exchange) -> None:
        await exchange.begin(headers={"content-type": "text/event-stream"})
        await exchange.give(delta(MP3) + DONE)
        await exchange.rest()

    async with (
        mis.misbehaving(lag) as upstream,
        OPENAI.opened(upstream.url, stream_format="sse") as provider,
    ):
        assert await spoken(provider, OPENAI.order(), AudioFormat("mp3")) == MP3
        await upstream.requests[0].left(1.0)


def test_a_line_without_end_is_not_kept() -> None:
    lines = Lines()
    for _ in range(8):
        assert not list(lines.feed(b"x" * 1024 * 1024))
    with pytest.raises(OverflowError):
        list(lines.feed(b"x"))
