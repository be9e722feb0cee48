"""One order in NanoGPT's two spellings: pure functions from order to body.

Source: `endpoint/speech.mdx` in github Nano-GPT-com/docs, 2025-10-10 for the older spelling and
2026-08-22 for the newer.
"""

from __future__ import annotations

from typing import Any

from providers.nanogpt import Model
from router.contract.audio import AudioFormat
from router.contract.speech import Capabilities, SpeechOrder

NEWER = "audio/speech"

_NEWER_OPTIONS = frozenset({"instructions"})
_OLDER_OPTIONS = frozenset({"emotion", "stability", "similarity"})


def capabilities(path: str, model: Model) -> Capabilities:
    """What a model can do by way of a path."""
    newer = path == NEWER
    return Capabilities(
        formats=tuple(
            AudioFormat("pcm", model.sample_rate, 1) if encoding == "pcm" else AudioFormat(encoding)
            for encoding in model.formats
            if not (newer and encoding == "ogg")
        ),
        max_chars=model.max_chars,
        streaming=model.streaming and newer,
        languages=None if model.languages is None else frozenset(model.languages),
        speed=model.speed,
        pitch=None if newer else model.pitch,
        options=frozenset(model.options) & (_NEWER_OPTIONS if newer else _OLDER_OPTIONS),
        cost=model.cost,
    )


def newer(order: SpeechOrder, format: AudioFormat, *, streaming: bool) -> dict[str, Any]:
    body = _common(order) | {"response_format": format.encoding}
    if streaming:
        body["stream"] = True
    return body


def older(order: SpeechOrder, format: AudioFormat) -> dict[str, Any]:
    body = _common(order) | {
        "format": "pcm16" if format.encoding == "pcm" else format.encoding,
        "language": order.language,
    }
    if format.sample_rate is not None:
        body["sample_rate"] = format.sample_rate
    if order.pitch is not None:
        body["pitch"] = order.pitch
    return body


def _common(order: SpeechOrder) -> dict[str, Any]:
    body: dict[str, Any] = {"model": order.model, "input": order.text}
    if order.voice.id is not None:
        body["voice"] = order.voice.id
    if order.speed != 1.0:
        body["speed"] = order.speed
    return {**order.options, **body}
