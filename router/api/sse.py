"""Speech as server-sent events, the way OpenAI's `stream_format: sse` tells it.

Source: openai-openapi, SpeechAudioDeltaEvent and SpeechAudioDoneEvent (2026-08-21). One continuous
stream of the asked format, cut anywhere and carried in base64.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator

import msgspec

from router.contract.errors import SpeechError
from router.dispatch.speech import Speech

CONTENT_TYPE = "text/event-stream"

_SLICE = 32_768
"""Bytes in one event: its line stays below the 64 KiB that some readers take at most (aiohttp)."""
_FRAMES_PER_S = 12.5
"""Output tokens are counted as MOSS-TTS-Nano's frames of 80 ms, input tokens as code points."""


class Delta(msgspec.Struct, tag_field="type", tag="speech.audio.delta"):
    """A piece of the audio."""

    audio: str


class Usage(msgspec.Struct):
    """OpenAI counts tokens; we count characters in and frames out."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class Done(msgspec.Struct, tag_field="type", tag="speech.audio.done"):
    """The audio is whole."""

    usage: Usage


class Detail(msgspec.Struct):
    """Why it broke off."""

    message: str
    type: str
    code: str


class Failed(msgspec.Struct, tag_field="type", tag="speech.audio.error"):
    """The speech broke off: what was sent is not whole."""

    error: Detail


async def events(speech: Speech) -> AsyncGenerator[bytes, None]:
    """The body. After an error's event the stream breaks off as well: neither end is a clean one.

    Raises:
        ProviderError: as the speech does, once it has been told.
    """
    try:
        async for chunk in speech.chunks():
            for at in range(0, len(chunk), _SLICE):
                yield _event(Delta(b64encode(chunk[at : at + _SLICE]).decode()))
    except SpeechError as error:
        yield _event(Failed(Detail("The speech broke off.", "server_error", error.reason)))
        raise
    spoken = round((speech.seconds or 0.0) * _FRAMES_PER_S)
    usage = Usage(speech.characters, spoken, speech.characters + spoken)
    yield _event(Done(usage))


def _event(event: Delta | Done | Failed) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(event)
