"""An upstream that speaks like OpenAI's, and says the index of each word, so that it is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from router.audio.wav import header
from router.testing.misbehaving import Behaviour, Exchange, Framing, Upstream, misbehaving, speaks
from tests.dispatch.indices import spoken_words
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.process import ServerProcess, serving
from tests.support.scripts import NO_REST, UNJUDGED

RATE = 24_000
UNPROBED = {**NO_REST, "probe": "off"}
"""For `outlook`: who fails is asked again in the next request, and by nobody else."""
WORD_BYTES = 480
FIRST, SECOND = "first", "second"


def speaks_words(
    *, every_s: float = 0.0, piece_bytes: int = 9_600, framing: Framing = "chunked"
) -> Behaviour:
    """Speak the words of `input`, in the format that is asked for: `pcm` or `wav`."""

    async def behave(exchange: Exchange) -> None:
        asked = exchange.request.json()
        sound = spoken_words(asked["input"])
        if asked["response_format"] == "wav":
            sound = header(RATE, 1, len(sound)) + sound
        speak = speaks(
            sound,
            media_type=f"audio/{asked['response_format']}",
            framing=framing,
            piece_bytes=piece_bytes,
            every_s=every_s,
        )
        await speak(exchange)

    return behave


class Scene:
    """An upstream whose behaviour may change while it runs, behind a proxy that spoils it."""

    def __init__(self) -> None:
        self.behaves: Behaviour = speaks_words()
        self.upstream: Upstream
        self.proxy: FaultProxy

    async def behave(self, exchange: Exchange) -> None:
        await self.behaves(exchange)

    async def heal(self) -> None:
        """Well from now on, with nothing seen yet."""
        self.behaves = speaks_words()
        self.proxy.heal()
        await self.proxy.listen()
        self.upstream.requests.clear()

    @property
    def asked(self) -> int:
        """How often it was asked to speak."""
        return sum(request.path.endswith("/audio/speech") for request in self.upstream.requests)

    @property
    def probed(self) -> int:
        """How often it was asked how it is."""
        return sum(request.path.endswith("/models") for request in self.upstream.requests)


class World:
    """A router process, and two upstreams that it knows as `first` and `second`."""

    def __init__(self, first: Scene, second: Scene, server: ServerProcess) -> None:
        self.first, self.second, self.server = first, second, server

    @property
    def url(self) -> str:
        return self.server.url

    async def heal(self) -> None:
        await self.first.heal()
        await self.second.heal()


def provider(scene: Scene, name: str, *, encoding: str = "pcm", **more: Any) -> dict[str, Any]:
    """The entry of an upstream in the router's config; its model is named like itself, so that no
    two have the same voice."""
    model = {"formats": [encoding], "sample_rate": RATE, "max_chars": None}
    return {
        "kind": "openai",
        "base_url": f"{scene.proxy.url}/v1",
        "connect_s": 1,
        "timbre": name,
        "models": {f"{name}-1": model},
        **more,
    }


def route(*providers: str, **more: Any) -> dict[str, Any]:
    """A model whose every request is spoken for itself."""
    return {"routes": [{"provider": name} for name in providers], "share": False, **more}


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """An upstream and the proxy in front of it."""
    made = Scene()
    async with (
        misbehaving(made.behave) as made.upstream,
        fault_proxy(made.upstream.url) as made.proxy,
    ):
        yield made


@asynccontextmanager
async def world(
    folder: Path,
    config: Mapping[str, Any],
    *,
    of_each: Mapping[str, Mapping[str, Any]] | None = None,
    others: Callable[[Scene, Scene], Mapping[str, Any]] | None = None,
    plugins: Sequence[str] = (),
) -> AsyncIterator[World]:
    """Both upstreams and a router with this config.

    `of_each`: more keys of a provider's entry; `others`: more providers, maybe of `plugins`.
    """
    own = of_each or {}
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(scene()) for _ in range(2)]
        providers = {
            FIRST: provider(first, FIRST, **own.get(FIRST, {})),
            SECOND: provider(second, SECOND, **own.get(SECOND, {})),
            **(others(first, second) if others is not None else {}),
        }
        whole = {"integrity": UNJUDGED, "outlook": UNPROBED, "providers": providers, **config}
        process = ExitStack()
        stack.push_async_callback(asyncio.to_thread, process.close)
        server = await asyncio.to_thread(
            process.enter_context, serving(whole, folder, plugins=plugins)
        )
        yield World(first, second, server)
