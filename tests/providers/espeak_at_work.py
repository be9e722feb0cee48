"""What the tests of the espeak provider share: a provider, orders for it, and a look at its
processes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from providers.espeak import KIND, Settings
from router.contract.audio import AudioFormat, AudioStream
from router.contract.provider import Host, Provider
from router.contract.speech import Gender, SpeechOrder, VoiceChoice

PCM = AudioFormat("pcm", 22050, 1)
SENTENCE = "Hello, welcome to the house."
STORY = "It was the best of times, it was the worst of times. " * 75
"""Four minutes of speech: more than fits into the pipe, so its child is busy until it is read."""


@asynccontextmanager
async def opened(children: int = 2) -> AsyncIterator[Provider]:
    nowhere = Path("/nonexistent")
    host = Host("espeak", nowhere, nowhere, lambda _event: None)
    async with KIND.open(Settings(children=children), host) as provider:
        yield provider


def order(
    text: str = SENTENCE,
    language: str = "en",
    *,
    voice: str | None = None,
    gender: Gender | None = None,
    speed: float = 1.0,
    pitch: float | None = None,
) -> SpeechOrder:
    return SpeechOrder(
        model="espeak-ng",
        text=text,
        language=language,
        voice=VoiceChoice(voice, gender=gender),
        speed=speed,
        pitch=pitch,
    )


async def audio_of(stream: AudioStream) -> bytes:
    return b"".join([chunk async for chunk in stream.chunks])


async def spoken(provider: Provider, wanted: SpeechOrder) -> bytes:
    async with provider.synthesize(wanted, PCM) as stream:
        return await audio_of(stream)


async def seconds(provider: Provider, wanted: SpeechOrder) -> float:
    return len(await spoken(provider, wanted)) / (2 * 22050)


def children(of: int | None = None) -> list[int]:
    """Pids of the espeak-ng children of a process, zombies among them; the kernel's own list."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            parent = int(rest.split()[1])
            command = (stat.parent / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue  # it has just gone
        is_zombie = not command and name.startswith("python")
        if parent == (of or os.getpid()) and (is_zombie or b"espeak" in command):
            found.append(int(stat.parent.name))
    return found


def told_of(pid: int, file: str) -> str:
    """What the kernel tells of a process; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/{file}").read_text(errors="replace")
    except OSError:
        return ""


def state(pid: int) -> str:
    """R, S, T, Z …, or nothing when there is no such process."""
    return "".join(told_of(pid, "stat").rpartition(")")[2].split()[:1])


def open_files() -> int:
    """File descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def eventually(holds: Callable[[], bool], within_s: float = 2.0) -> None:
    """Wait until it holds."""
    limit = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < limit, "it never came to hold"
        await asyncio.sleep(0.005)
