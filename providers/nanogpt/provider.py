"""NanoGPT's dialect: two spellings of one request, answered with audio or with a ticket for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from providers.common import upstream
from providers.common.speech import speech
from providers.common.upstream import Upstream
from providers.nanogpt import Settings, spelling
from providers.nanogpt.models import voice
from providers.nanogpt.tickets import Desk
from router.contract.audio import AudioFormat, AudioStream
from router.contract.provider import Host, Provider
from router.contract.speech import Capabilities, SpeechOrder, Voice


@asynccontextmanager
async def opened(settings: Settings, host: Host) -> AsyncIterator[Provider]:
    async with upstream.opened(settings, host.name) as api:
        yield NanoGpt(settings, api)


class NanoGpt:
    """A server that speaks like NanoGPT's."""

    def __init__(self, settings: Settings, api: Upstream) -> None:
        self._settings = settings
        self._api = api
        versioned = settings.base_url.rstrip("/").endswith("/v1")
        self._desk = Desk(
            api,
            "../tts/status" if versioned else "tts/status",
            poll_s=settings.poll_s,
            ticket_s=settings.ticket_s,
        )

    def offers(self) -> Mapping[str, Capabilities]:
        path, models = self._settings.path, self._settings.models
        return {name: spelling.capabilities(path, model) for name, model in models.items()}

    async def voices(self) -> Sequence[Voice]:
        having: dict[str, set[str]] = {}
        for name, model in self._settings.models.items():
            for id in model.voices:
                having.setdefault(id, set()).add(name)
        return [voice(id, frozenset(models)) for id, models in having.items()]

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        private = (order.text,)
        path = self._settings.path
        if path == spelling.NEWER:
            model = self._settings.models.get(order.model)
            body = spelling.newer(order, format, streaming=model is not None and model.streaming)
        else:
            body = spelling.older(order, format)
        async with AsyncExitStack() as stack:
            answer = await stack.enter_async_context(
                self._api.post(path, json=body, trace=order.trace, private=private)
            )
            run_id = None
            if answer.media_type.endswith("json"):
                url, run_id = await self._desk.redeem(order.model, answer, private)
                answer = await stack.enter_async_context(self._api.fetch(url))
            yield await stack.enter_async_context(
                speech(self._api.name, answer, format, upstream_id=run_id)
            )

    async def health(self) -> None:
        async with self._api.get("models"):
            pass
