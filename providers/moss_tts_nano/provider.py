"""The provider: orders become scripts, the engine's sound becomes a stream."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from providers.moss_tts_nano.guards import Fault, Finding
from providers.moss_tts_nano.model import MODEL, Model
from providers.moss_tts_nano.settings import Settings
from providers.moss_tts_nano.speech import hearing
from providers.moss_tts_nano.starting import Start
from providers.moss_tts_nano.state import state_of
from providers.moss_tts_nano.voices import Reference
from router.contract.audio import AudioFormat, AudioStream
from router.contract.errors import Broken, NotReady, Refused
from router.contract.provider import Host, Provider, State
from router.contract.record import ChunkRegenerated, SpeechDoubted
from router.contract.speech import Capabilities, SpeechOrder, Voice

_FINDINGS: Mapping[Fault, str] = {
    "silence": "silent",
    "loop": "loop",
    "runaway": "too_long",
    "cut": "too_short",
}

_QUICK_S = 10.0
"""How long a start is waited for that has nothing to fetch or to build; it takes about a second."""


class Moss:
    """Nothing is on offer until the model is ready."""

    def __init__(self, host: Host, start: Start, threads: ThreadPoolExecutor) -> None:
        self._host = host
        self._start = start
        self._threads = threads
        self._regenerated = Counter(dict.fromkeys(_FINDINGS.values(), 0))

    def offers(self) -> Mapping[str, Capabilities]:
        model = self._start.model
        return {} if model is None else {MODEL: model.capabilities}

    async def voices(self) -> Sequence[Voice]:
        return self._ready().voices.offered()

    async def health(self) -> None:
        self._ready()

    def state(self) -> State:
        return state_of(self._start, self._regenerated)

    @asynccontextmanager
    async def synthesize(
        self, order: SpeechOrder, format: AudioFormat
    ) -> AsyncIterator[AudioStream]:
        model = self._ready()
        _check(model, order, format)
        voice = await self._voice(model, order)
        loop = asyncio.get_running_loop()
        script = await loop.run_in_executor(self._threads, model.scripts.script, order, voice)
        async with hearing(model.engine, model.mailbox, script, self._doubt) as chunks:
            yield AudioStream(model.format, chunks, voice=voice.name)

    def _ready(self) -> Model:
        model = self._start.model
        if model is None:
            raise NotReady(self._start.told)
        if (fault := model.engine.died_of) is not None:
            raise Broken(f"the engine has died of {type(fault).__name__}: restart the router.")
        return model

    async def _voice(self, model: Model, order: SpeechOrder) -> Reference:
        if order.clip is None:
            return model.voices.voice(order.voice, order.language)
        return await model.clones.voice(order.clip)

    def _doubt(self, finding: Finding, made_again: bool) -> None:  # a callback
        name, found = self._host.name, _FINDINGS[finding.fault]
        if made_again:
            self._regenerated[found] += 1
            self._host.publish(ChunkRegenerated(name, found))
        else:
            self._host.publish(SpeechDoubted(name, MODEL, found, certain=False))


def _check(model: Model, order: SpeechOrder, format: AudioFormat) -> None:
    if order.model != MODEL:
        raise Refused(f"there is one model here: {MODEL}.")
    if not format.admits(model.format):
        raise Refused(f"it delivers {model.format} only.")
    most = model.capabilities.max_chars
    if most is not None and len(order.text) > most:
        raise Refused(f"it takes at most {most} characters at once.")


@asynccontextmanager
async def open_moss(settings: Settings, host: Host) -> AsyncIterator[Provider]:
    """Open the provider. It starts in the background; a start that has nothing to fetch or to
    build is waited for, so that it speaks the first text too. Nothing is left on leaving."""
    with_threads = ThreadPoolExecutor(2, thread_name_prefix="moss-text")
    start = Start(settings, host, with_threads)
    try:
        starting = asyncio.create_task(start.run(), name="moss-start")
        await start.is_quick(_QUICK_S)
        yield Moss(host, start, with_threads)
    finally:
        await start.close(starting)
        await asyncio.to_thread(with_threads.shutdown, wait=True, cancel_futures=True)
