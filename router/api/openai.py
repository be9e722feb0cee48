"""OpenAI's shape: `POST /v1/audio/speech`, and NanoGPT's newer spelling of the same.

Source: openai-openapi CreateSpeechRequest (2026-08-21); docs.nano-gpt.com, endpoint/speech
(2026-08-22).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from router.api.fields import (
    Asked,
    Common,
    Name,
    Speed,
    Text,
    VoiceId,
    format_name,
    request_of,
    sample_rate,
    voice_name,
    wanted,
)
from router.api.sse import CONTENT_TYPE
from router.contract.audio import Clip
from router.settings.structs import Model

PCM = (24_000, 1)
"""`pcm` and `wav` are 24 kHz 16-bit mono: the SDK's own helpers and Pipecat rely on it."""
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm", "ogg", "pcm16")
CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "pcm16": "audio/pcm",
}


class OpenAISpeech(Common, frozen=True, kw_only=True):
    """CreateSpeechRequest; NanoGPT adds `stream`, which means raw chunks."""

    model: Name
    input: Text
    voice: Name | VoiceId | None = None
    response_format: Name | None = None
    speed: Speed = 1.0
    instructions: Annotated[str, Meta(max_length=4_096)] | None = None
    stream_format: Literal["audio", "sse"] = "audio"

    def normalised(
        self, model: Model, clip: Clip | None, default_voice: str | None = None
    ) -> Asked:
        """The request in the router's words. Raises CallerError."""
        sse = self.stream_format == "sse"
        name = format_name(self.response_format, model.default_format or "mp3", FORMATS)
        request = request_of(
            "openai",
            self,
            model=self.model.strip(),
            text=self.input,
            voice=voice_name(self.voice, model.default_voice or default_voice),
            format=wanted(name, sample_rate(self.sample_rate), PCM),
            speed=self.speed,
            clip=clip,
            instructions=self.instructions,
            stream=True if sse else None,
        )
        return Asked("openai", request, CONTENT_TYPE if sse else CONTENT_TYPES[name], sse)
