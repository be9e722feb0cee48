"""What the tests of the remote providers share: sound, orders, and the three kinds."""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from providers import leaper, nanogpt, openai
from router.contract.audio import AudioFormat
from router.contract.provider import Host, Kind, Provider, Secret
from router.contract.speech import SpeechOrder, VoiceChoice
from router.testing import misbehaving as mis

KEY = "sk-test-0123456789"
TEXT = "Nobody may read this sentence in an error."


def wav(rate: int, channels: int, seconds: float = 0.25) -> bytes:
    """A tone in a whole WAV."""
    frames = (int(8000 * math.sin(n / 20)) for n in range(int(rate * seconds)))
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"".join(struct.pack("<h", frame) * channels for frame in frames))
    return held.getvalue()


WAV = wav(48_000, 2)
MP3 = b"\xff\xfb\x90\x00" + bytes(413)
BODIES = {
    "mp3": MP3,
    "opus": b"OggS" + bytes(24) + b"OpusHead" + bytes(100),
    "aac": b"\xff\xf1\x50\x80" + bytes(100),
    "flac": b"fLaC" + bytes(100),
}
"""Beginnings of what each format is, with nothing in it."""


class Remote(msgspec.Struct, frozen=True):
    """A kind of remote provider with an order that it takes."""

    kind: Kind
    prefix: str
    model: str
    voice: str
    wav: AudioFormat
    wav_first: dict[str, Any] = {}
    """Settings, as in the YAML, with which its model offers `wav` before all else."""

    @asynccontextmanager
    async def opened(self, url: str, **settings: Any) -> AsyncIterator[Provider]:
        """The provider in front of `url`, with a key."""
        given = {"base_url": url + self.prefix, "key": Secret(KEY), **settings}
        host = Host(name="it", data_dir=Path(), cache_dir=Path(), publish=lambda event: None)
        async with self.kind.open(self.kind.settings(**given), host) as provider:
            yield provider

    async def speak_as_asked(self, exchange: mis.Exchange) -> None:
        """Behave as a good server of this kind would, slowly."""
        request = exchange.request
        if "json" in request.headers["content-type"]:
            asked = request.json()["response_format"]
        else:
            asked = request.form()["response_format"].data.decode()
        whole = wav(self.wav.sample_rate or 24_000, self.wav.channels or 1)
        body = {**BODIES, "wav": whole, "pcm": whole[44:]}[asked]
        await mis.speaks(body, media_type=None, piece_bytes=512, every_s=0.001)(exchange)

    def order(self, **fields: Any) -> SpeechOrder:
        asked = {
            "model": self.model,
            "text": TEXT,
            "voice": VoiceChoice(self.voice),
            "language": "en",
        }
        return SpeechOrder(**{**asked, **fields})


_WAV_FIRST = {"models": {"tts-1": {"formats": ["wav", "mp3", "opus", "aac", "flac", "pcm"]}}}

OPENAI = Remote(openai.KIND, "/v1", "tts-1", "alloy", AudioFormat("wav", 24_000, 1), _WAV_FIRST)
LEAPER = Remote(leaper.KIND, "/v1", "moss-tts-nano", "nova", AudioFormat("wav", 48_000, 2))
NANOGPT = Remote(nanogpt.KIND, "/api/v1", "Kokoro-82m", "af_bella", AudioFormat("wav"))
REMOTES = (OPENAI, LEAPER, NANOGPT)


async def spoken(provider: Provider, order: SpeechOrder, format: AudioFormat) -> bytes:
    """All that a provider says."""
    async with provider.synthesize(order, format) as stream:
        return b"".join([chunk async for chunk in stream.chunks])
