"""A server whose voice is the local engine over a tiny model, and what is asked of it."""

from __future__ import annotations

import asyncio
import io
import time
import wave
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.providers.moss.opening import voice_sample
from tests.support.process import ServerProcess, serving
from tests.support.scripts import UNJUDGED
from tests.support.wire import exchange

MOSS = "moss-tts-nano"
TEXT = "The kettle is on, the door is open, and nobody minds the rain."
SHAPES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "leaper": ("/v1/audio/speech", {"model": MOSS, "input": TEXT, "voice": "en-news"}),
    "nanogpt": ("/v1/speech", {"model": "nano-tts-1", "input": TEXT, "voice": "luna"}),
    "openai": ("/v1/audio/speech", {"model": "tts-1", "input": TEXT, "voice": "alloy"}),
}
READY = "/health/ready"
READY_S = 30.0
GUARDS = {"silent_frames": 0, "loops": False, "fewest_frames_share": 0, "most_frames": 50}
"""What random weights make is neither speech nor silence; how long it may last still holds."""
_BOUNDARY = "a-line-that-no-sound-has"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}


def config(moss: Mapping[str, Any], *, fallback: bool = False) -> dict[str, Any]:
    """Every shape's model goes to the engine, whose settings are given; then to espeak, if there
    is a `fallback`. Each request is spoken for itself."""
    espeak: dict[str, Any] = {"espeak": {"kind": "espeak"}} if fallback else {}
    routes = [{"provider": name} for name in ("moss", *espeak)]
    return {
        "integrity": UNJUDGED,
        "providers": {"moss": {"kind": MOSS, "guards": GUARDS, **moss}, **espeak},
        "models": {
            MOSS: {"family": "leaper", "routes": routes, "share": False},
            "nano-tts-1": {"same_as": MOSS, "family": "nanogpt"},
            "tts-1": {"same_as": MOSS, "family": "openai"},
        },
    }


@contextmanager
def speaking(
    moss: Mapping[str, Any], folder: Path, *, fallback: bool = False
) -> Iterator[ServerProcess]:
    """A server as by `config`. `folder` is made; if the engine wants to fetch its model, it may ask
    the endpoint that the settings name."""
    folder.mkdir(parents=True, exist_ok=True)
    asks = {"HF_HUB_OFFLINE": "0"} if "endpoint" in moss else {}
    with serving(config(moss, fallback=fallback), folder, environ=asks) as server:
        yield server


async def about(url: str) -> dict[str, Any]:
    """What the server tells of the engine now."""
    found: dict[str, Any] = (await exchange(url, READY)).json["providers"]["moss"]
    return found


async def comes(condition: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Whether it comes true; asked over HTTP, for nothing tells from outside."""
    end = time.monotonic() + within_s
    while not await condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)
    return True


async def until_ready(url: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_on() -> bool:
        nonlocal found
        found = await about(url)
        return bool(found["state"] == "on")

    assert await comes(is_on, READY_S), found
    return found


async def is_at_rest(url: str) -> bool:
    """Whether nobody has a row, and nobody waits for one."""
    gauges = (await about(url))["inside"]["gauges"]
    return not any(gauges[name] for name in ("rows", "speeches", "speeches_waiting"))


def form(fields: Mapping[str, Any], clip: bytes) -> bytes:
    """A body of `MULTIPART` with a voice sample."""
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields.items()
    ]
    head = b'Content-Disposition: form-data; name="prompt_audio"; filename="me"\r\n\r\n'
    framed = (b"--%s\r\n%s\r\n" % (_BOUNDARY.encode(), part) for part in [*parts, head + clip])
    return b"".join(framed) + f"--{_BOUNDARY}--\r\n".encode()


def wav(seconds: float, *, rate: int = 48_000, loudness: float = 0.2, seed: int = 0) -> bytes:
    """Something like speech, mono, 16-bit; at another rate it is slower or faster speech."""
    mono = voice_sample(seconds * rate / 48_000, seed=seed, loudness=loudness)[0]
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes((mono * 32767).clip(-32767, 32767).astype("<i2").tobytes())
    return file.getvalue()
