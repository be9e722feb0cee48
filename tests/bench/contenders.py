"""Who is measured: the upstream alone, the bare proxy in front of it, and the whole router."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from tests.bench.processes import Server, running

AT_ONCE, SLOW = "/v1/audio/speech", "/slow/v1/audio/speech"

_CONFIG = """
server: {{data_dir: {folder}/data, cache_dir: {folder}/cache}}
providers:
  mock: {{kind: openai, base_url: "{upstream}/v1", slots: 64, models: {{tts-1: {{}}}}}}
  slow: {{kind: openai, base_url: "{upstream}/slow/v1", slots: 64, models: {{tts-1: {{}}}}}}
models:
  tts-1: {{share: false, routes: [{{provider: mock}}]}}
  slow: {{share: false, routes: [{{provider: slow, model: tts-1}}]}}
"""
"""Nothing is turned off: guard, plan, places, slots, time limits, record, journal, headers; save
that all ask for the same, and each is to be spoken for itself."""


class Contender(msgspec.Struct, frozen=True):
    """A server, and how it is asked for speech at once and for the slow stream."""

    name: str
    server: Server
    body: bytes
    slow_url: str
    slow_body: bytes

    @property
    def url(self) -> str:
        return self.server.address + AT_ONCE


class Contenders(msgspec.Struct, frozen=True):
    """All of them, running."""

    upstream: Contender
    bare: Contender
    mp3: Contender
    pcm: Contender
    """The router in front of the same upstream, asked for one format or the other."""

    def __iter__(self) -> Iterator[Contender]:
        return iter((self.upstream, self.bare, self.mp3, self.pcm))


@contextmanager
def all_running(folder: Path) -> Iterator[Contenders]:
    """Start them while the block lasts; what they write goes to `folder`."""
    with ExitStack() as stack:

        def started(name: str, *arguments: str) -> Server:
            command = [sys.executable, "-m", *arguments]
            return stack.enter_context(
                running(command, folder / f"{name}.log", environment(folder))
            )

        upstream = started("upstream", "tests.bench.upstream")
        bare = started("bare", "tests.bench.proxy", upstream.address)
        config = folder / "router.yaml"
        config.write_text(_CONFIG.format(folder=folder, upstream=upstream.address))
        whole = started("router", *serve("--config", str(config)))
        yield Contenders(
            upstream=_contender("upstream alone", upstream),
            bare=_contender("bare proxy", bare),
            mp3=_contender("router, mp3", whole, slow_path=AT_ONCE),
            pcm=_contender("router, pcm", whole, response_format="pcm", slow_path=AT_ONCE),
        )


def serve(*options: str) -> tuple[str, ...]:
    """The arguments that make Python the router, with its journal as JSON lines."""
    return ("router", "serve", "--port", "0", "--log", "json", *options)


def environment(folder: Path) -> dict[str, str]:
    """This process's environment without settings and keys of the router, and at home in
    `folder`."""
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    kept.pop("TTS_ROUTER_CONFIG", None)
    return {**kept, "HOME": str(folder)}


def speech(model: str, response_format: str = "mp3") -> bytes:
    """The body of a request as a client of OpenAI sends it."""
    text = "The quick brown fox jumps over the lazy dog, and the router hands on what it says."
    body = {"model": model, "input": text, "voice": "alloy", "response_format": response_format}
    return msgspec.json.encode(body)


def _contender(
    name: str, server: Server, response_format: str = "mp3", slow_path: str = SLOW
) -> Contender:
    return Contender(
        name=name,
        server=server,
        body=speech("tts-1", response_format),
        slow_url=server.address + slow_path,
        slow_body=speech("slow", response_format),
    )
