"""OpenAI's dialect of `POST /audio/speech`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from providers.common import upstream
from providers.common.speech import speech
from providers.common.upstream import Upstream
from providers.openai import Model, Settings
from providers.openai.events import spoken
from router.contract.audio import AudioFormat, AudioStream
from router.contract.errors import Refused
from router.contract.provider import Host, Provider
from router.contract.speech import Capabilities, SpeechOrder, Voice

_PROTOCOL_FIELDS = frozenset({"model", "input", "voice", "response_format", "stream_format"})
"""What a caller's `extra` may not overrule: routing has decided it."""


@asynccontextmanager
async def opened(settings: Settings, host: Host) -> AsyncIterator[Provider]:
    async with upstream.opened(settings, host.name) as api:
        yield OpenAi(settings, api)


class OpenAi:
    """A server that speaks like OpenAI's."""

    def __init__(self, settings: Settings, api: Upstream) -> None:
        self._settings = settings
        self._api = api

    def offers(self) -> Mapping[str, Capabilities]:
        return {name: _capabilities(model) for name, model in self._settings.models.items()}

    async def voices(self) -> Sequence[Voice]:
        models = self._settings.models
        return [Voice(id=voice, models=_having(voice, models)) for voice in self._settings.voices]

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        name, body = self._api.name, self._body(order, format)
        asking = self._api.post("audio/speech", json=body, trace=order.trace, private=(order.text,))
        async with asking as answer:
            if answer.media_type != "text/event-stream":
                async with speech(name, answer, format) as told:
                    yield told
                return
            # Some servers choose events by themselves, others know no events: what came counts.
            bill = _Bill()
            async with (
                aclosing(spoken(name, answer, bill.hear)) as chunks,
                speech(name, answer, format, chunks=chunks, framed=True) as told,
            ):
                bill.stream = told
                yield told

    async def health(self) -> None:
        """Ask for the list of models. A server without such a list is there: that is all we ask."""
        try:
            async with self._api.get("models"):
                pass
        except Refused:
            return

    def _body(self, order: SpeechOrder, format: AudioFormat) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": order.model,
            "input": order.text,
            "response_format": format.encoding,
        }
        if order.voice.id is not None:
            body["voice"] = order.voice.id
        if order.speed != 1.0:
            body["speed"] = order.speed
        if self._settings.stream_format == "sse":
            body["stream_format"] = "sse"
        for name, value in order.options.items():
            if name == "extra" and isinstance(value, Mapping):
                body |= {k: v for k, v in value.items() if k not in _PROTOCOL_FIELDS}
            elif name not in _PROTOCOL_FIELDS:
                body[name] = value
        return body | dict(self._settings.extra)


class _Bill:
    """Writes what the upstream's last event tells into the stream that it ends."""

    stream: AudioStream | None = None

    def hear(self, tokens: int) -> None:
        if self.stream is not None:
            self.stream.tokens = tokens


def _capabilities(model: Model) -> Capabilities:
    raw = (model.sample_rate, model.channels)
    return Capabilities(
        formats=tuple(
            AudioFormat(encoding, *raw) if encoding in ("wav", "pcm") else AudioFormat(encoding)
            for encoding in model.formats
        ),
        max_chars=model.max_chars,
        streaming=model.streaming,
        languages=None if model.languages is None else frozenset(model.languages),
        speed=model.speed,
        options=frozenset(model.options),
        cost=model.cost,
    )


def _having(voice: str, models: Mapping[str, Model]) -> frozenset[str] | None:
    """The models that have a voice; `None` where all have it."""
    having = frozenset(
        name for name, model in models.items() if model.voices is None or voice in model.voices
    )
    return None if len(having) == len(models) else having
