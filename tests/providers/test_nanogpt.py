"""NanoGPT's dialect: two spellings, and speech by ticket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from providers.nanogpt import Model, Settings
from router.contract import errors
from router.contract.audio import AudioFormat
from router.testing import misbehaving as mis
from tests.providers.remote import MP3, NANOGPT, TEXT, WAV, spoken

QUICK = {"poll_s": 0.01}
"""Quicker than the settings allow to be configured: nobody is there to be polite to."""

STATUS = "/api/tts/status"
FILE = "/files/run-1"


def with_route(script: mis.Script, **routes: mis.Behaviour | list[mis.Behaviour]) -> mis.Script:
    """Tickets with some of their routes replaced: `post`, `status` or `file`."""
    assert isinstance(script, Mapping)
    paths = {"post": "/api/v1/audio/speech", "status": STATUS, "file": FILE}
    return {**script, **{paths[name]: behave for name, behave in routes.items()}}


async def sent(path: str, **fields: Any) -> Any:
    """The body that an order becomes."""
    format = fields.pop("format", AudioFormat("mp3"))
    async with (
        mis.misbehaving(mis.speaks(MP3)) as upstream,
        NANOGPT.opened(upstream.url, path=path) as provider,
        provider.synthesize(NANOGPT.order(**fields), format),
    ):
        assert upstream.requests[0].target == f"/api/v1/{path}"
        return upstream.requests[0].json()


async def test_the_newer_spelling() -> None:
    assert await sent("audio/speech", speed=1.5, model="tts-1") == {
        "model": "tts-1",
        "input": TEXT,
        "voice": "af_bella",
        "speed": 1.5,
        "response_format": "mp3",
        "stream": True,
    }


async def test_a_model_that_cannot_stream_is_not_asked_to() -> None:
    assert "stream" not in await sent("audio/speech")


async def test_the_older_spelling() -> None:
    options = {"emotion": "friendly", "stability": 0.5, "similarity": 0.7}
    assert await sent("speech", language="en-US", pitch=2.0, options=options) == {
        "model": "Kokoro-82m",
        "input": TEXT,
        "voice": "af_bella",
        "format": "mp3",
        "language": "en-US",
        "pitch": 2.0,
        **options,
    }


async def test_raw_samples_are_called_pcm16_in_the_older_spelling() -> None:
    body = await sent("speech", format=AudioFormat("pcm", 16_000, 1))
    assert (body["format"], body["sample_rate"]) == ("pcm16", 16_000)


@pytest.mark.parametrize("path", ["audio/speech", "speech"])
async def test_each_spelling_offers_what_it_can_carry(path: str) -> None:
    models = {"m": Model(formats=("mp3", "ogg", "pcm"), options=("instructions", "emotion"))}
    async with NANOGPT.opened("http://127.0.0.1:1", path=path, models=models) as provider:
        offer = provider.offers()["m"]
    newer = path == "audio/speech"
    assert offer.options == {"instructions" if newer else "emotion"}
    assert (AudioFormat("ogg") in offer.formats) is not newer
    assert AudioFormat("pcm", 24_000, 1) in offer.formats


async def test_the_models_and_voices_of_its_pages_are_on_offer() -> None:
    async with NANOGPT.opened("http://127.0.0.1:1") as provider:
        offers = provider.offers()
        voices = {voice.id: voice for voice in await provider.voices()}
    assert list(offers) == [
        "Kokoro-82m", "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "Elevenlabs-Turbo-V2.5"
    ]  # fmt: skip
    assert offers["Elevenlabs-Turbo-V2.5"].formats == (AudioFormat("mp3"),)
    assert (voices["bm_george"].gender, voices["bm_george"].languages) == ("male", ("en-GB",))
    assert voices["alloy"].models == frozenset({"tts-1", "tts-1-hd", "gpt-4o-mini-tts"})
    assert Settings().base_url == "https://nano-gpt.com/api/v1"


# ------------------------------------------------------------------------------------------------
# tickets


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("path", ["audio/speech", "speech"])
async def test_a_ticket_is_asked_after_until_the_audio_is_there(path: str, status: int) -> None:
    async with (
        mis.misbehaving(mis.tickets(WAV, polls=2, status=status)) as upstream,
        NANOGPT.opened(upstream.url, path=path, **QUICK) as provider,
        provider.synthesize(NANOGPT.order(), NANOGPT.wav) as stream,
    ):
        assert stream.upstream_id == "run-1"
        assert b"".join([chunk async for chunk in stream.chunks]) == WAV
        poll = f"{STATUS}?runId=run-1&model=Kokoro-82m"
        assert [seen.target for seen in upstream.requests] == [
            f"/api/v1/{path}", poll, poll, poll, FILE
        ]  # fmt: skip
        keyed = ["authorization" in seen.headers for seen in upstream.requests]
        assert keyed == [True, True, True, True, False]


async def test_an_address_in_the_first_answer_is_enough() -> None:
    at_once = mis.answers({"audioUrl": FILE, "contentType": "audio/wav", "cost": 0.001})
    script = with_route(mis.tickets(WAV), post=at_once)
    async with mis.misbehaving(script) as upstream, NANOGPT.opened(upstream.url) as provider:
        assert await spoken(provider, NANOGPT.order(), NANOGPT.wav) == WAV
        assert [seen.path for seen in upstream.requests] == ["/api/v1/audio/speech", FILE]


async def test_a_base_url_without_version_has_its_tickets_below_it() -> None:
    script = {
        "/tts-api/audio/speech": mis.answers({"runId": "run-1"}, status=202),
        "/tts-api/tts/status": mis.answers({"status": "completed", "audioUrl": FILE}),
        FILE: mis.speaks(WAV),
    }
    async with mis.misbehaving(script) as upstream:
        base_url = upstream.url + "/tts-api"
        async with NANOGPT.opened(upstream.url, base_url=base_url, **QUICK) as provider:
            assert await spoken(provider, NANOGPT.order(), NANOGPT.wav) == WAV


REFUSED = {"status": "error", "code": "CONTENT_POLICY_VIOLATION", "error": f"not this: {TEXT}"}


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (mis.tickets(WAV, end=REFUSED), errors.Refused),
        (mis.tickets(WAV, end={"status": "error", "error": "out of luck"}), errors.Broken),
        (mis.tickets(WAV, end={"status": "completed"}), errors.NotSpeech),
        (mis.tickets(WAV, end={"status": "completed", "audioUrl": 7}), errors.NotSpeech),
        (
            mis.tickets(WAV, end={"status": "completed", "audioUrl": "file:///etc/passwd"}),
            errors.Broken,
        ),
        (mis.tickets(WAV, end={"status": "completed", "audioUrl": "http://"}), errors.Broken),
        (
            mis.tickets(WAV, end={"status": "completed", "audioUrl": "http://a:b@127.0.0.1/"}),
            errors.Broken,
        ),
        (mis.tickets(MP3), errors.NotSpeech),
        (mis.tickets(b""), errors.NotSpeech),
        (with_route(mis.tickets(WAV), status=mis.refuses(404)), errors.Broken),
        (with_route(mis.tickets(WAV), status=mis.refuses(401)), errors.BadKey),
        (with_route(mis.tickets(WAV), status=mis.refuses(429)), errors.Busy),
        (with_route(mis.tickets(WAV), status=mis.speaks(WAV)), errors.NotSpeech),
        (with_route(mis.tickets(WAV), status=mis.hangs_up()), errors.Unreachable),
        (with_route(mis.tickets(WAV), file=mis.refuses(403)), errors.Broken),
        (with_route(mis.tickets(WAV), file=mis.hangs_up()), errors.Unreachable),
        (with_route(mis.tickets(WAV), file=mis.answers({})), errors.NotSpeech),
        (with_route(mis.tickets(WAV), file=mis.breaks_off(WAV, after=9000)), errors.Broken),
        (with_route(mis.tickets(WAV), post=mis.answers(REFUSED)), errors.Refused),
        (with_route(mis.tickets(WAV), post=mis.answers({"error": "no"})), errors.Broken),
        (with_route(mis.tickets(WAV), post=mis.answers({}, status=202)), errors.NotSpeech),
    ],
)
async def test_a_ticket_s_failures_have_their_errors(
    script: mis.Script, error: type[Exception]
) -> None:
    async with (
        mis.misbehaving(script) as upstream,
        NANOGPT.opened(upstream.url, **QUICK) as provider,
    ):
        with pytest.raises(error) as raised:
            await spoken(provider, NANOGPT.order(), NANOGPT.wav)
        assert type(raised.value) is error
        assert TEXT not in str(raised.value)
        assert sum(seen.method == "POST" for seen in upstream.requests) == 1


async def test_a_ticket_that_is_never_honoured_ends_in_time() -> None:
    script = with_route(mis.tickets(WAV), status=mis.answers({"status": "pending"}))
    async with (
        mis.misbehaving(script) as upstream,
        NANOGPT.opened(upstream.url, **QUICK, ticket_s=0.1) as provider,
    ):
        with pytest.raises(errors.TimedOut, match=r"0\.1 s"):
            await spoken(provider, NANOGPT.order(), NANOGPT.wav)


async def test_a_file_without_end_is_not_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.common.upstream._FILE_BYTES", 10_000)
    async with (
        mis.misbehaving(mis.tickets(WAV)) as upstream,
        NANOGPT.opened(upstream.url, **QUICK) as provider,
    ):
        with pytest.raises(errors.Broken, match="more than can be taken"):
            await spoken(provider, NANOGPT.order(), NANOGPT.wav)


async def test_a_cancelled_ticket_is_asked_after_no_more() -> None:
    script = with_route(mis.tickets(WAV), status=mis.says_nothing())
    async with (
        mis.misbehaving(script) as upstream,
        NANOGPT.opened(upstream.url, **QUICK) as provider,
    ):
        speaking = asyncio.ensure_future(spoken(provider, NANOGPT.order(), NANOGPT.wav))
        poll = await upstream.request(2)
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        await poll.left(1.0)
        assert len(upstream.requests) == 2
