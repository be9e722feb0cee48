"""From nothing to a model at work, in the background, telling how far it is."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

from providers.moss_tts_nano import fast, model
from providers.moss_tts_nano.assets import STAMPS, source_of
from providers.moss_tts_nano.choice import Chosen
from providers.moss_tts_nano.engine.engine import Engine
from providers.moss_tts_nano.engine.mailbox import Mailbox
from providers.moss_tts_nano.engine.threads import staff
from providers.moss_tts_nano.layout import BadAssets, Layout, find
from providers.moss_tts_nano.memory import available_bytes, resident_bytes
from providers.moss_tts_nano.model import Model
from providers.moss_tts_nano.preparation import Preparation
from providers.moss_tts_nano.prove import PARTS
from providers.moss_tts_nano.pull import Pulled, pull
from providers.moss_tts_nano.reference import Reference
from providers.moss_tts_nano.settings import Precision, Settings
from providers.moss_tts_nano.tokenizer import Tokenizer
from providers.moss_tts_nano.verbal import Verbalizer, installed
from providers.moss_tts_nano.voices import BuiltinVoices
from providers.moss_tts_nano.warming import warm
from providers.moss_tts_nano.welcome import welcome_voice
from router.contract.errors import Broken, NotReady, ProviderError, Unreachable
from router.contract.provider import Host, Interrupted
from router.contract.record import AssetsProgress, AssetsStage, OffersChanged

RETRY_S = (30.0, 60.0, 120.0, 300.0, 600.0)
"""How long a start waits that failed for want of a network, until it tries again; then the last."""

_SAID: dict[AssetsStage, str] = {
    "listing": "the model is looked up",
    "fetching": "the model is fetched",
    "checking": "the model's files are checked",
    "building": "faster graphs are built (once)",
    "proving": "the faster graphs are held against the shipped ones (once)",
}
_SLOW: frozenset[AssetsStage] = frozenset({"listing", "fetching", "building", "proving"})
_SHIPPED_SHARE = 1.9
_SHARES: Mapping[Precision, float] = {"exact": 1.1, "int8": 0.75}
"""Memory that a model needs, of the bytes of its files: at full size those are 760 MB, the official
runtime was measured with 1450 MB, and the faster graphs with 577 MB in 8 bits."""
_Result = TypeVar("_Result")


class Start:
    """One start, and the model that comes of it. It belongs to the event loop that runs it."""

    def __init__(self, settings: Settings, host: Host, threads: Executor) -> None:
        self.model: Model | None = None
        self.told = "it is starting."
        """Why it is not ready and how far it is, for people."""
        self.share = 0.0
        """How much of the stage that runs is done, 0 to 1."""
        self.paths: Mapping[str, str] = {}
        """For each part of the model why the shipped graph serves; empty: the faster one does."""
        self.precision = settings.precision
        self.load_s = 0.0
        """What loading it took, without what had to be fetched or built; 0 until then."""
        self.model_bytes = 0
        """What the process grew by while the model was loaded; 0 where nobody tells."""
        self._settings = settings
        self._host = host
        self._threads = threads
        self._starting = ThreadPoolExecutor(1, thread_name_prefix="moss-start")
        """For what takes long: the start, and later the encoding of samples."""
        self._stop = threading.Event()
        self._quick: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._engine: Engine | None = None
        self._mailbox = Mailbox(asyncio.get_running_loop())

    async def run(self) -> None:
        """The task: until the model is ready, or it is known that it never will be."""
        for attempt in itertools.count():
            try:
                self.model = await self._made()
            except Unreachable as error:
                wait_s = RETRY_S[min(attempt, len(RETRY_S) - 1)]
                self.told = f"{error.message} The next try is in {wait_s:.0f} s."
                self._no_longer_quick()
                await asyncio.sleep(wait_s)
            except (ProviderError, BadAssets) as error:
                self.told = str(error)
                break
            except Interrupted:
                return
            except Exception as error:  # ours or the runtime's: without a word nobody would know
                said = " ".join(str(error).split())[:200]
                self.told = f"it cannot start ({type(error).__name__}: {said})."
                break
            else:
                self.told = ""
                self._host.publish(OffersChanged(self._host.name))
                break
        self._no_longer_quick()

    async def is_quick(self, within_s: float) -> None:
        """Wait for a start that has nothing to fetch or to build; no longer for any other."""
        await asyncio.wait({self._quick}, timeout=within_s)

    async def close(self, task: asyncio.Task[None]) -> None:
        """End the task and everything that came of it."""
        self._stop.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        made, self.model, self.told = self.model, None, "it is closed."
        if made is not None:
            await made.clones.close()
        await asyncio.to_thread(self._close_threads)

    def _close_threads(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._starting.shutdown(wait=True, cancel_futures=True)
        if self._engine is not None:  # one that was made while we were told to end
            self._engine.close()

    # ---- for the thread that works (this is a `Work` of the contract)

    def progress(self, stage: AssetsStage, done_bytes: int, total_bytes: int) -> None:
        self._mailbox.post(functools.partial(self._progressed, stage, done_bytes, total_bytes))

    def stopped(self) -> bool:
        return self._stop.is_set()

    # ---- in the loop

    def _progressed(self, stage: AssetsStage, done_bytes: int, total_bytes: int) -> None:
        self.share = done_bytes / total_bytes if total_bytes else 0.0
        self.told = f"{_SAID[stage]}{_share(stage, done_bytes, total_bytes)}."
        self._host.publish(AssetsProgress(self._host.name, stage, done_bytes, total_bytes))
        if stage in _SLOW:
            self._no_longer_quick()

    def _no_longer_quick(self) -> None:
        if not self._quick.done():
            self._quick.set_result(None)

    async def _made(self) -> Model:
        """Raises: ProviderError, BadAssets, Interrupted."""
        pulled = await self._in_thread(self._pulled)
        layout = await self._in_thread(find, pulled.directory)
        parts = await self._in_thread(self._parts, layout)
        self.told = "the model is loaded."
        before, began = resident_bytes(), asyncio.get_running_loop().time()
        loaded = await self._in_thread(self._loaded, layout, parts)
        self.load_s = asyncio.get_running_loop().time() - began
        self.model_bytes = max(0, (resident_bytes() or 0) - (before or 0))
        return loaded

    async def _in_thread(self, act: Callable[..., _Result], *arguments: object) -> _Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._starting, act, *arguments)

    # ---- in the thread

    def _pulled(self) -> Pulled:
        stamps = self._host.cache_dir / STAMPS
        return pull(source_of(self._settings), self.progress, self.stopped, stamps)

    def _parts(self, layout: Layout) -> Chosen:
        settings = self._settings
        cores = model.cores(settings)
        crew = staff(cores, settings.rows)
        shipped = Reference(layout, crew.threads)
        if settings.graphs == "shipped":
            self.paths = dict.fromkeys(PARTS, "the settings say so")
            return Chosen(shipped)
        cache = self._host.cache_dir / "graphs"
        try:
            made = fast.made(layout, cache, settings.precision, crew.threads, self, wide=crew.wide)
        except Broken as error:  # without them it is slower, and speaks all the same
            self.paths = dict.fromkeys(PARTS, error.message)
            return Chosen(shipped)
        self.paths = {one.part: one.why for one in made.verdicts}
        return Chosen(shipped, made.parts, made.proven)

    def _loaded(self, layout: Layout, parts: Chosen) -> Model:
        settings = self._settings
        is_shipped = bool(self.paths["language_model"])
        _check_memory(layout, _SHIPPED_SHARE if is_shipped else _SHARES[settings.precision])
        preparation = self._threads.submit(self._preparation, layout)
        clip, rate = settings.welcome_clip, layout.shape.sample_rate
        voices = BuiltinVoices(
            layout.manifest.builtin_voices,
            welcome=welcome_voice(clip, parts.encoder(), rate) if clip else None,
            real_people=settings.real_people,
        )
        workers = staff(model.cores(settings), settings.rows)
        engine = self._engine = model.engine(layout, parts, settings, workers)
        scripts = model.scripts(layout, preparation.result(), parts, settings)
        warm(engine, scripts, voices, model.MODEL)
        return Model(
            format=model.format_of(layout.shape),
            shape=layout.shape,
            capabilities=model.capabilities(layout, parts, settings),
            voices=voices,
            clones=model.clones(
                layout, parts, settings, encoding=self._starting, hashing=self._threads
            ),
            scripts=scripts,
            engine=engine,
            mailbox=self._mailbox,
        )

    def _preparation(self, layout: Layout) -> Preparation:
        verbalizer = Verbalizer() if self._settings.spell_out and installed() else None
        return Preparation(Tokenizer(layout.tokenizer), self._settings.cleanup, verbalizer)


def _check_memory(layout: Layout, share: float) -> None:
    """A model that does not fit must not take the server down.

    Raises: NotReady
    """
    available = available_bytes()
    needed = share * sum(path.stat().st_size for path in layout.files)
    if available is not None and available < needed:
        raise NotReady(
            f"the model needs about {needed / 1e6:,.0f} MB of memory, and {available / 1e6:,.0f} MB"
            " can be had. Free some, and restart the router."
        )


def _share(stage: AssetsStage, done: int, total: int) -> str:
    if not total:
        return ""
    if stage == "proving":
        return f": {done} of {total} parts"
    return f": {done / total:.0%} of {total / 1e6:,.0f} MB"
