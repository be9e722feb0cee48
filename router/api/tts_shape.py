"""The body of NanoGPT's `POST /tts`.

Source: Nano-GPT-com/docs, api-reference/endpoint/tts.mdx and openapi.json (2026-08-22); what else
its clients send, from their sources.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from router.api.fields import (
    Asked,
    Common,
    Name,
    Share,
    Text,
    VoiceId,
    decoded,
    format_name,
    request_of,
    sample_rate,
    voice_name,
    wanted,
)
from router.api.openai import CONTENT_TYPES, PCM
from router.api.shapes import NEWER_VOICE
from router.contract.errors import InvalidRequest
from router.routing.catalogue import Catalogue
from router.settings.structs import Model

MODEL = "Kokoro-82m"
"""What speaks where no model is named; a config that has none of this name takes its first."""
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm", "ogg", "pcm16")
_GUESS = "auto"
"""How Qwen's callers write that the language is to be found out."""


class NanoGPTJob(Common, frozen=True, kw_only=True):
    """The fields of the page; `text` may be called `input`, and the format has three names."""

    text: str | None = None
    input: str | None = None
    model: Name | None = None
    voice: Name | VoiceId | None = None
    speed: Annotated[float, Meta(ge=0.1, le=5.0)] = 1.0
    response_format: Name | None = None
    output_format: Name | None = None
    format: Name | None = None
    instructions: Text | None = None
    prompt: Text | None = None
    pitch: Annotated[float, Meta(ge=-100.0, le=100.0)] | None = None
    emotion: Name | None = None
    stability: Share | None = None
    similarity_boost: Share | None = None
    similarity: Share | None = None
    style: Share | None = None
    reference_text: Any = None
    """Belongs to a Qwen voice kept at NanoGPT, as the next does: both are read over."""
    speaker_voice_embedding_file_url: Any = None

    def normalised(self, name: str, model: Model) -> Asked:
        """The request for this model in the router's words. Raises CallerError."""
        format = self.response_format or self.output_format or self.format
        format = format_name(format, model.default_format or "mp3", FORMATS)
        similarity = self.similarity if self.similarity_boost is None else self.similarity_boost
        request = request_of(
            "nanogpt",
            self._with_known_language(),
            model=name,
            text=self._spoken(),
            voice=voice_name(self.voice, model.default_voice or NEWER_VOICE),
            format=wanted(format, sample_rate(self.sample_rate), PCM),
            speed=self.speed,
            pitch=self.pitch,
            emotion=self.emotion,
            stability=self.stability,
            similarity=similarity,
            style=self.style,
            instructions=self.instructions or self.prompt,
        )
        return Asked("nanogpt", request, CONTENT_TYPES[format])

    def _spoken(self) -> str:
        text = self.input if self.text is None else self.text
        if text is None:
            raise InvalidRequest(
                "text is required.", param="text", code="missing_required_parameter"
            )
        if not text.strip():
            raise InvalidRequest("text must not be empty.", param="text")
        return text

    def _with_known_language(self) -> NanoGPTJob:
        guessed = self.language is not None and self.language.strip().lower() == _GUESS
        return msgspec.structs.replace(self, language=None) if guessed else self


def normalised(fields: dict[str, Any], catalogue: Catalogue, *, strict: bool) -> Asked:
    """The body in the router's words. Raises CallerError."""
    body = decoded(fields, NanoGPTJob, strict=strict)
    name = (body.model or "").strip() or _default(catalogue)
    found = catalogue.find_model(name)
    return body.normalised(name, found.model if found is not None else Model())


def _default(catalogue: Catalogue) -> str:
    if catalogue.find_model(MODEL) is not None:
        return MODEL
    return next(iter(catalogue.models), MODEL)
