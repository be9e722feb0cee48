"""The provider: orders become scripts, the engine's sound becomes a stream."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from providers.moss_tts_nano.guards import Fault, Finding
from providers.moss_tts_nano.model import MODEL, Model
from providers.moss_tts_nano.saved import SavedVoices, key_of, new_id, normal
from providers.moss_tts_nano.settings import Settings
from providers.moss_tts_nano.speech import hearing
from providers.moss_tts_nano.starting import Start
from providers.moss_tts_nano.state import state_of
from providers.moss_tts_nano.voices import Reference
from router.contract.audio import AudioFormat, AudioStream, Clip
from router.contract.errors import BadClip, Broken, NotReady, Refused
from router.contract.provider import Host, Provider, SavedVoice, State
from router.contract.record import ChunkRegenerated, OffersChanged, SpeechDoubted
from router.contract.speech import Capabilities, SpeechOrder, Voice

_FINDINGS: Mapping[Fault, str] = {
    "silence": "silent",
    "loop": "loop",
    "runaway": "too_long",
    "cut": "too_short",
}

_QUICK_S = 10.0
"""How long a start is waited for that has nothing to fetch or to build; it takes about a second."""
LOOK_S = 2.0
"""How soon a voice is known that another process had kept."""

_Result = TypeVar("_Result")


class Moss:
    """Nothing is on offer until the model is ready. It keeps voices (`KeepsVoices`)."""

    def __init__(
        self, host: Host, start: Start, saved: SavedVoices, threads: ThreadPoolExecutor
    ) -> None:
        self._host = host
        self._start = start
        self._saved = saved
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
        script = await self._in_thread(model.scripts.script, order, voice)
        async with hearing(model.engine, model.mailbox, script, self._doubt) as chunks:
            yield AudioStream(model.format, chunks, voice=voice.name)

    # ---- voices that are kept

    async def add(self, name: str, clip: Clip, consent: str, owner: str) -> SavedVoice:
        name, consent = normal(name), consent.strip()
        self._saved.check(name, consent, owner)
        model = self._ready()
        try:
            reference = await model.clones.voice(clip)
        except Refused as error:
            raise BadClip(error.message) from error
        voice = SavedVoice(
            id=new_id(),
            name=name,
            owner=owner,
            consent=consent,
            created=int(time.time()),
            sample_sha256=await self._in_thread(_sha256, clip.data),
            sample_s=len(reference.codes) * model.shape.frame_samples / model.shape.sample_rate,
        )
        await self._in_thread(self._saved.keep, voice, reference.codes)
        self._tell()
        return voice

    def list(self, owner: str | None = None) -> Sequence[SavedVoice]:
        return self._saved.every() if owner is None else self._saved.of(owner)

    async def delete(self, id: str) -> None:
        await self._in_thread(self._saved.delete, id)
        self._let_go({id})
        self._tell()

    async def export(self, id: str) -> bytes:
        return await self._in_thread(self._saved.export, id)

    async def look(self) -> None:
        """The task: notice what other processes do to the voices that are kept."""
        while True:
            await asyncio.sleep(LOOK_S)
            with suppress(OSError):  # what was known stays
                has_changed, gone = await self._in_thread(self._saved.refresh)
                self._let_go(gone)
                if has_changed:
                    self._tell()

    def _let_go(self, gone: Iterable[str]) -> None:
        """Keep nothing in memory of voices that are gone."""
        if (model := self._start.model) is not None:
            for id in gone:
                model.engine.forget(key_of(id))

    def _tell(self) -> None:
        self._host.publish(OffersChanged(self._host.name))

    async def _in_thread(self, act: Callable[..., _Result], *arguments: object) -> _Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, act, *arguments)

    def _ready(self) -> Model:
        model = self._start.model
        if model is None:
            raise NotReady(self._start.told)
        if (fault := model.engine.died_of) is not None:
            raise Broken(f"the engine has died of {type(fault).__name__}: restart the router.")
        return model

    async def _voice(self, model: Model, order: SpeechOrder) -> Reference:
        if order.clip is not None:
            return await model.clones.voice(order.clip)
        saved = self._saved.find(order.voice.id, model.shape)
        return saved or model.voices.voice(order.voice, order.language)

    def _doubt(self, finding: Finding, made_again: bool) -> None:  # a callback
        name, found = self._host.name, _FINDINGS[finding.fault]
        if made_again:
            self._regenerated[found] += 1
            self._host.publish(ChunkRegenerated(name, found))
        else:
            self._host.publish(SpeechDoubted(name, MODEL, found, certain=False))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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
    saved = SavedVoices(host.data_dir / "voices")
    with suppress(OSError):  # it is tried again
        await asyncio.to_thread(saved.refresh)
    with_threads = ThreadPoolExecutor(2, thread_name_prefix="moss-text")
    start = Start(settings, host, with_threads)
    moss = Moss(host, start, saved, with_threads)
    looking = asyncio.create_task(moss.look(), name="moss-voices")
    try:
        starting = asyncio.create_task(start.run(), name="moss-start")
        await start.is_quick(_QUICK_S)
        yield moss
    finally:
        looking.cancel()
        await start.close(starting)
        await asyncio.gather(looking, return_exceptions=True)
        await asyncio.to_thread(with_threads.shutdown, wait=True, cancel_futures=True)
