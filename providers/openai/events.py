"""Speech as server-sent events: `speech.audio.delta`, `speech.audio.done`, `speech.audio.error`.

Source: `CreateSpeechResponseStreamEvent` in OpenAI's openapi.yaml (2026-08-21). Beside the `audio`
field of the specification, some servers name it `delta`; some end with `[DONE]` alone.
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

import msgspec

from router.contract.errors import Broken, NotSpeech, ProviderError

_LONGEST_EVENT_BYTES = 8 * 1024 * 1024
"""A minute and a half of 48 kHz stereo in one event: more is no stream."""

_LAST_CHUNK_S = 0.1


class Usage(msgspec.Struct):
    """What the last event says that it costs."""

    total_tokens: int | None = None


class Event(msgspec.Struct):
    """What we read of an event."""

    type: str = ""
    audio: str | None = None
    delta: str | None = None
    usage: Usage | None = None


_DONE = Event("speech.audio.done")


class Lines:
    """Bytes in, whole `data:` lines out; sans-IO."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The payloads of the lines that `chunk` completes.

        Raises:
            OverflowError: a line does not end.
        """
        seen = len(self._rest)
        self._rest += chunk
        start = 0
        while (end := self._rest.find(b"\n", max(start, seen))) >= 0:
            line = bytes(self._rest[start:end]).rstrip(b"\r")
            start = end + 1
            if line.startswith(b"data:"):
                yield line[5:].strip()
        del self._rest[:start]
        if len(self._rest) > _LONGEST_EVENT_BYTES:
            raise OverflowError


async def spoken(
    name: str, body: AsyncIterator[bytes], billed: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    """The audio of a stream of events, up to the one that ends it; `billed` hears how many tokens
    that one tells.

    Raises:
        Broken: the upstream says that it failed, or never says that all is told.
        NotSpeech: an event that is none.
    """
    lines = Lines()
    async for chunk in body:
        try:
            for payload in lines.feed(chunk):
                event = _DONE if payload == b"[DONE]" else msgspec.json.decode(payload, type=Event)
                if event.type == _DONE.type:
                    if event.usage is not None and event.usage.total_tokens is not None:
                        billed(event.usage.total_tokens)
                    await _drain(body)
                    return
                if event.type.endswith("error") or not event.type:
                    raise Broken(f"{name} told of a failure in its stream")
                audio = binascii.a2b_base64(event.audio or event.delta or "")
                if audio:
                    yield audio
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError) as error:
            raise NotSpeech(f"{name} sent events that cannot be read") from error
    raise Broken(f"{name} ended its events without the last one")


async def _drain(body: AsyncIterator[bytes]) -> None:
    """Read the end mark of the body, so that its connection can be kept; do without if it lags."""
    try:
        async with asyncio.timeout(_LAST_CHUNK_S):
            async for _ in body:
                pass
    except (TimeoutError, ProviderError):
        return
