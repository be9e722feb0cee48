"""The provider over a small model, as the router opens it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from providers.moss_tts_nano import KIND
from router.contract.audio import AudioFormat, Clip
from router.contract.provider import Host, Provider
from router.contract.record import Event
from router.contract.speech import Priority, SpeechOrder, VoiceChoice
from router.testing.subject import decoded
from router.testing.watch import becomes

MODEL = "moss-tts-nano"
FORMAT = AudioFormat("pcm", 48000, 2)
SENTENCE = "The quick brown fox jumps over the lazy dog."
PATIENCE_S = 30.0


@asynccontextmanager
async def opened(
    directory: Path, cache: Path, events: list[Event] | None = None, **settings: Any
) -> AsyncIterator[Provider]:
    """Open; not yet ready where something is to be built."""
    told: list[Event] = events if events is not None else []
    given = {"directory": str(directory), "pull": "never", "spell_out": False, **settings}
    host = Host(name="moss", data_dir=cache / "data", cache_dir=cache, publish=told.append)
    async with KIND.open(decoded(KIND, given), host) as provider:
        yield provider


@asynccontextmanager
async def ready(directory: Path, cache: Path, **settings: Any) -> AsyncIterator[Provider]:
    """Open over the shipped graphs, and ready."""
    async with opened(directory, cache, **{"graphs": "shipped", **settings}) as provider:
        await provider.health()
        yield provider


async def until_ready(provider: Provider) -> None:
    assert await becomes(lambda: bool(provider.offers()), PATIENCE_S), "it does not become ready"


def order(
    text: str = SENTENCE,
    *,
    voice: str | None = "nova",
    clip: Clip | None = None,
    options: Mapping[str, Any] | None = None,
    priority: Priority = "live",
    language: str = "en",
) -> SpeechOrder:
    return SpeechOrder(
        model=MODEL,
        text=text,
        voice=VoiceChoice(voice),
        language=language,
        clip=clip,
        options={"seed": 3} if options is None else options,
        priority=priority,
    )


async def said(provider: Provider, asked: SpeechOrder) -> bytes:
    async with asyncio.timeout(PATIENCE_S), provider.synthesize(asked, FORMAT) as stream:
        return b"".join([chunk async for chunk in stream.chunks])


def voice_sample(
    seconds: float, *, seed: int = 0, loudness: float = 0.2, lead_s: float = 0.0
) -> NDArray[np.float32]:
    """Something like speech: noise in syllables with pauses, float32 [2, length] at 48 kHz."""
    rate = 48_000
    length = round(seconds * rate)
    times = np.arange(length) / rate
    noise = np.random.default_rng(seed).normal(size=length) * loudness
    syllables = (np.sin(2 * np.pi * 4 * times) > -0.3) * (times % 3.0 < 2.7)
    quiet = np.zeros(round(lead_s * rate))
    mono = np.concatenate([quiet, noise * syllables]).astype(np.float32)
    return np.stack([mono, mono])


def clip_of(samples: NDArray[np.float32], data: bytes | None = None) -> Clip:
    return Clip(
        data=data if data is not None else samples.tobytes()[:4096],
        container="wav",
        seconds=samples.shape[1] / 48_000,
        samples=samples,
    )
