"""Speech to judge, and what is no speech."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from providers.espeak import KIND, Settings
from router.audio.integrity import Expected, Finding, Judge, expected
from router.contract.audio import AudioFormat
from router.contract.provider import Host, Provider
from router.contract.speech import SpeechOrder, VoiceChoice
from router.settings.integrity import Integrity

RATE = 22_050
PCM = AudioFormat("pcm", RATE, 1)
DEFAULTS = Integrity()

Samples = np.ndarray[Any, np.dtype[np.int16]]


# ---- speech


class Mouth:
    """espeak-ng, kept open: what was said once is kept if it is short."""

    def __init__(self, runner: asyncio.Runner, provider: Provider) -> None:
        self._runner = runner
        self._provider = provider
        self._kept: dict[tuple[str, str, float], Samples] = {}

    def say(self, text: str, language: str, speed: float = 1.0) -> Samples:
        wanted = text, language, speed
        if wanted not in self._kept:
            samples = self._runner.run(self._spoken(*wanted))
            if len(samples) > 60 * RATE:
                return samples
            self._kept[wanted] = samples
        return self._kept[wanted]

    async def _spoken(self, text: str, language: str, speed: float) -> Samples:
        order = SpeechOrder(
            model="espeak-ng", text=text, language=language, voice=VoiceChoice(None), speed=speed
        )
        async with self._provider.synthesize(order, PCM) as stream:
            return np.frombuffer(b"".join([chunk async for chunk in stream.chunks]), "<i2")


@contextmanager
def mouth() -> Iterator[Mouth]:
    nowhere = Path("/nonexistent")
    host = Host("espeak", nowhere, nowhere, lambda _event: None)
    opened = KIND.open(Settings(children=1), host)
    with asyncio.Runner() as runner:
        provider = runner.run(opened.__aenter__())
        try:
            yield Mouth(runner, provider)
        finally:
            runner.run(opened.__aexit__(None, None, None))


def recorded(file: Path) -> tuple[Samples, int, int]:
    """A real voice, whatever container it is in: interleaved samples, their rate and channels."""
    with av.open(io.BytesIO(file.read_bytes()), "r") as opened:
        stream = opened.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout=stream.layout.name)
        frames = [
            out.to_ndarray() for frame in opened.decode(stream) for out in resampler.resample(frame)
        ]
        samples = np.concatenate(frames, axis=1).reshape(-1).astype(np.int16)
        return samples, stream.rate, stream.channels


def test_data() -> Path:
    """The folder of real clips and texts; the test is skipped where there is none."""
    folder = os.environ.get("TTS_TEST_DATA")
    if not folder:
        pytest.skip("TTS_TEST_DATA names no folder: it holds recorded voices and their texts")
    return Path(folder)


test_data.__test__ = False  # type: ignore[attr-defined]  # its name begins like a test's


# ---- what is no speech


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), np.int16)


def tone(seconds: float, hertz: float = 440.0, peak: float = 8_000) -> Samples:
    t = np.arange(int(seconds * RATE)) / RATE
    return (peak * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


def noise(seconds: float, strength: float = 2_000) -> Samples:
    drawn = np.random.default_rng(7).normal(0, strength, int(seconds * RATE))
    return np.clip(drawn, -32_768, 32_767).astype(np.int16)


# ---- judging


def findings(
    samples: Samples,
    wanted: Expected,
    *,
    rate: int = RATE,
    channels: int = 1,
    chunk_s: float = 0.25,
    settings: Integrity = DEFAULTS,
) -> list[Finding]:
    """All that is found in a speech, in the order of its finding."""
    judge = Judge(wanted, settings)
    found = [
        judge.feed(chunk, rate, channels)
        for chunk in chunks(samples, int(chunk_s * rate) * channels)
    ]
    return [finding for finding in [*found, judge.finish()] if finding]


def kinds(samples: Samples, text: str, language: str, speed: float = 1.0) -> list[str]:
    return [finding.kind for finding in findings(samples, expected(text, language, speed))]


def chunks(samples: Samples, size: int) -> Iterator[bytes]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size].tobytes()
