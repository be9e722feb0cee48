"""LEAPERone's dialect: JSON, and a form for cloning."""

from __future__ import annotations

import pytest

from router.contract import errors
from router.contract.audio import AudioFormat, Clip, Container
from router.contract.speech import VoiceChoice
from router.testing import misbehaving as mis
from tests.providers.remote import LEAPER, TEXT, WAV, spoken

CLIP = bytes(range(256)) * 4096
"""A megabyte of all bytes there are."""


async def test_a_plain_order_is_a_small_body() -> None:
    async with (
        mis.misbehaving(mis.speaks(WAV)) as upstream,
        LEAPER.opened(upstream.url) as provider,
    ):
        await spoken(provider, LEAPER.order(), LEAPER.wav)
        seen = upstream.requests[0]
        assert (seen.method, seen.target) == ("POST", "/v1/audio/speech")
        assert seen.json() == {
            "model": "moss-tts-nano",
            "input": TEXT,
            "voice": "nova",
            "response_format": "wav",
        }


@pytest.mark.parametrize(
    ("container", "file_name", "media_type"),
    [
        ("mp3", "prompt.mp3", "audio/mpeg"),
        ("wav", "prompt.wav", "audio/wav"),
        ("flac", "prompt.flac", "audio/flac"),
        ("m4a", "prompt.m4a", "audio/mp4"),
        ("ogg", "prompt.ogg", "audio/ogg"),
    ],
)
async def test_a_clip_goes_out_as_it_came_with_a_fitting_name(
    container: Container, file_name: str, media_type: str
) -> None:
    order = LEAPER.order(clip=Clip(CLIP, container), text="“Zwölf” Boxkämpfer\n你好")
    async with (
        mis.misbehaving(mis.speaks(WAV)) as upstream,
        LEAPER.opened(upstream.url) as provider,
    ):
        assert await spoken(provider, order, LEAPER.wav) == WAV
        seen = upstream.requests[0]
        parts = seen.form()
        assert seen.headers["content-length"] == str(len(seen.body))
    clip = parts.pop("prompt_audio")
    assert (clip.file_name, clip.media_type, clip.data) == (file_name, media_type, CLIP)
    assert {name: part.data.decode() for name, part in parts.items()} == {
        "model": "moss-tts-nano",
        "input": "“Zwölf” Boxkämpfer\n你好",
        "voice": "nova",
        "response_format": "wav",
    }


async def test_a_clone_needs_no_voice_beside_the_clip() -> None:
    order = LEAPER.order(clip=Clip(CLIP[:100], "wav"), voice=VoiceChoice(None))
    async with (
        mis.misbehaving(mis.speaks(WAV)) as upstream,
        LEAPER.opened(upstream.url) as provider,
    ):
        await spoken(provider, order, LEAPER.wav)
        assert "voice" not in upstream.requests[0].form()


async def test_a_clip_that_it_does_not_take_is_refused_before_it_is_sent() -> None:
    order = LEAPER.order(clip=Clip(CLIP, "aac"))
    async with (
        mis.misbehaving(mis.speaks(WAV)) as upstream,
        LEAPER.opened(upstream.url) as provider,
    ):
        with pytest.raises(errors.Refused, match="mp3, wav, flac, m4a, ogg"):
            await spoken(provider, order, LEAPER.wav)
        assert not upstream.requests


async def test_a_clone_that_is_cut_off_is_broken() -> None:
    order = LEAPER.order(clip=Clip(CLIP, "wav"))
    cut = mis.breaks_off(WAV, after=9000)
    async with mis.misbehaving(cut) as upstream, LEAPER.opened(upstream.url) as provider:
        with pytest.raises(errors.Broken):
            await spoken(provider, order, LEAPER.wav)


async def test_raw_samples_are_48_khz_stereo() -> None:
    raw = mis.speaks(WAV[44:], media_type="application/octet-stream")
    async with (
        mis.misbehaving(raw) as upstream,
        LEAPER.opened(upstream.url) as provider,
        provider.synthesize(LEAPER.order(), AudioFormat("pcm", 48_000, 2)) as stream,
    ):
        assert stream.format == AudioFormat("pcm", 48_000, 2)
        assert b"".join([chunk async for chunk in stream.chunks]) == WAV[44:]


async def test_the_page_s_model_and_voices_are_on_offer() -> None:
    async with LEAPER.opened("http://127.0.0.1:1") as provider:
        (model,) = provider.offers().values()
        voices = {voice.id: voice for voice in await provider.voices()}
    assert model.formats == (AudioFormat("wav", 48_000, 2), AudioFormat("pcm", 48_000, 2))
    assert model.max_chars == 4096
    assert model.cloning
    assert model.languages is not None
    assert {"zh", "en", "ja", "fa", "el", "tr"} <= model.languages
    assert model.cost is not None
    assert model.cost.per_1k_chars == 0.005
    assert len(voices) == 6 + 6 + 6 + 7 + 29
    assert voices["nova"].languages == ("zh",)
    assert voices["demo-20"].languages == ("ru",)
    assert all(set(voice.languages) <= model.languages for voice in voices.values())
