"""NanoGPT's shape: `POST /v1/speech`.

Source: Nano-GPT-com/docs, api-reference/endpoint/speech.mdx at 3c5456c (2025-10-10).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from router.api.fields import (
    Asked,
    Common,
    Name,
    Share,
    Speed,
    Text,
    VoiceId,
    format_name,
    request_of,
    sample_rate,
    voice_name,
    wanted,
)
from router.contract.audio import Clip
from router.contract.errors import InvalidSampleRate
from router.settings.structs import Model

FORMATS = ("mp3", "wav", "ogg", "opus", "aac", "flac", "pcm16")
CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "pcm": "application/octet-stream",
    "pcm16": "application/octet-stream",
}
_ACCEPTED = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
}


class NanoGPTSpeech(Common, frozen=True, kw_only=True):
    """The fields of the page."""

    model: Name
    input: Text
    voice: Name | VoiceId
    format: Name | None = None
    speed: Speed = 1.0
    pitch: Annotated[float, Meta(ge=-100.0, le=100.0)] | None = None
    emotion: Name | None = None
    stability: Share | None = None
    similarity: Share | None = None
    instructions: Text | None = None

    def normalised(self, model: Model, clip: Clip | None, accept: str | None) -> Asked:
        """The request in the router's words; `accept` is the request's header. Raises
        CallerError."""
        preferred = accepted(accept)
        default = next(iter(preferred), None) or model.default_format or "mp3"
        name = format_name(self.format, default, FORMATS)
        rate = sample_rate(self.sample_rate)
        if name == "pcm16" and rate is None:
            raise InvalidSampleRate(
                "sample_rate is required with format pcm16, for example 16000.", param="sample_rate"
            )
        content_type = CONTENT_TYPES[name]
        if name == "opus" and next((p for p in preferred if p in ("opus", "ogg")), "") == "ogg":
            content_type = "audio/ogg"
        request = request_of(
            "nanogpt",
            self,
            model=self.model.strip(),
            text=self.input,
            voice=voice_name(self.voice, None),
            format=wanted(name, rate, (None, None)),
            speed=self.speed,
            clip=clip,
            pitch=self.pitch,
            emotion=self.emotion,
            stability=self.stability,
            similarity=self.similarity,
            instructions=self.instructions,
        )
        return Asked("nanogpt", request, content_type)


def accepted(accept: str | None) -> list[str]:
    """The formats that an `Accept` header names, the most wanted first; wildcards name none.

    Raw PCM is never chosen so: every OpenAI SDK sends application/octet-stream.
    """
    ranked: list[tuple[float, int, str]] = []
    for index, entry in enumerate((accept or "")[:1_000].split(",")):
        media, *params = (part.strip().lower() for part in entry.split(";"))
        name = _ACCEPTED.get(media)
        quality = _quality(params)
        if name is not None and quality > 0:
            ranked.append((-quality, index, name))
    return [name for _, _, name in sorted(ranked)]


def _quality(params: list[str]) -> float:
    for param in params:
        key, _, value = param.partition("=")
        if key.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
