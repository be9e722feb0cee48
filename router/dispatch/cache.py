"""Finished speech that is given again instead of being spoken again, in memory and on disk."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial

import msgspec
import structlog

from router.contract.provider import Secret
from router.dispatch.kept import Kept
from router.dispatch.kept_files import Files
from router.settings.cache import Cache as Rules
from router.settings.structs import Settings

_log = structlog.get_logger(__name__)

FOLDER = "speech"
_READ_S = 0.5
"""A disk that is slower than this is slower than most synthesis."""
_CLOSE_S = 5.0
"""For what is not yet written when the server stops."""
_TOUCH_S = 300.0
"""How often at most the disk hears that something was asked for which memory had."""
_WAITING = 1000


class _Held(msgspec.Struct):
    """A speech in memory. Times are seconds since 1970, for they outlive the process."""

    kept: Kept
    bytes: int
    made_at: float
    touched_at: float


class Memory:
    """The speeches that were asked for last, within a bound of bytes."""

    def __init__(self, most_bytes: int, age_s: float, now: Callable[[], float]) -> None:
        self._most_bytes = most_bytes
        self._age_s = age_s
        self._now = now
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self.bytes = 0

    def find(self, name: str) -> _Held | None:
        held = self._held.get(name)
        if held is None:
            return None
        if held.made_at + self._age_s <= self._now():
            self.drop(name)
            return None
        self._held.move_to_end(name)
        return held

    def put(self, name: str, kept: Kept, made_at: float) -> None:
        """Hold it, and forget those that were not asked for the longest; what alone is more than
        the bound is not held."""
        self.drop(name)
        size = kept.held_bytes
        if size > self._most_bytes:
            return
        self._held[name] = _Held(kept, size, made_at, self._now())
        self.bytes += size
        while self.bytes > self._most_bytes:
            self.drop(next(iter(self._held)))

    def drop(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            self.bytes -= held.bytes


class SpeechCache:
    """The speeches that were kept, by the keyed hash of what was asked for."""

    def __init__(self, rules: Rules, files: Files | None, now: Callable[[], float]) -> None:
        self.rules = rules
        self._files = files
        self._now = now
        self._memory = Memory(rules.memory_bytes, rules.age_s, now)
        # Threads of its own: a disk that hangs keeps nothing else waiting.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="speech-cache")
        self._stuck: Future[tuple[Kept, float] | None] | None = None
        """A read that was given up while it still hung: until it ends the disk is not asked."""
        self._waiting: asyncio.Queue[tuple[Callable[[], None], int]] = asyncio.Queue(_WAITING)
        self._waiting_bytes = 0
        self._has_failed = False

    def kept_bytes(self) -> dict[str, tuple[int, int]]:
        """In memory and on disk, what is held and the most that may be."""
        stores = {"memory": (self._memory.bytes, self.rules.memory_bytes)}
        if self._files is not None:
            stores["disk"] = (self._files.known_bytes, self.rules.disk_bytes)
        return stores

    def at_hand(self, name: str) -> Kept | None:
        """What memory has of it."""
        held = self._memory.find(name)
        if held is None:
            return None
        self._touch(name, held)
        return held.kept

    async def find(self, name: str) -> Kept | None:
        if (held := self.at_hand(name)) is not None:
            return held
        found = await self._on_disk(self._files, name) if self._files is not None else None
        if found is None:
            return None
        self._memory.put(name, *found)
        return found[0]

    async def _on_disk(self, files: Files, name: str) -> tuple[Kept, float] | None:
        if self._stuck is not None and not self._stuck.done():
            return None
        reading = self._threads.submit(files.read, name)
        try:
            async with asyncio.timeout(_READ_S):
                return await asyncio.wrap_future(reading)
        except OSError as error:  # TimeoutError is one
            self._stuck = reading
            self._failed(error)
            return None

    def put(self, name: str, kept: Kept) -> None:
        """Keep it: in memory now, on disk soon. Where the disk is far behind, in memory only."""
        self._memory.put(name, kept, self._now())
        if self._files is not None:
            size = kept.held_bytes
            if self._waiting_bytes + size <= max(self.rules.memory_bytes, self.rules.entry_bytes):
                self._later(partial(self._files.write, name, kept), size)

    def _touch(self, name: str, held: _Held) -> None:
        now = self._now()
        if self._files is not None and held.touched_at + _TOUCH_S <= now:
            held.touched_at = now
            self._later(partial(self._files.touch, name), 0)

    def _later(self, work: Callable[[], None], size: int) -> None:
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait((work, size))
            self._waiting_bytes += size

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SpeechCache]:
        """Write to the disk while the block lasts; what waits at its end is still written."""
        writer = asyncio.create_task(self._write(), name="speech-cache")
        try:
            yield self
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._waiting.join()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _write(self) -> None:
        while True:
            work, size = await self._waiting.get()
            try:
                await asyncio.wrap_future(self._threads.submit(work))
                self._has_failed = False
            except OSError as error:
                self._failed(error)
            finally:
                self._waiting_bytes -= size
                self._waiting.task_done()

    def _failed(self, error: OSError) -> None:
        """Told once, until the disk works again: speech does not depend on it."""
        if not self._has_failed:
            _log.warning("the cache of speech cannot use its disk", error=type(error).__name__)
        self._has_failed = True


@asynccontextmanager
async def caching(
    settings: Settings, secret: Secret, now: Callable[[], float] = time.time
) -> AsyncIterator[SpeechCache | None]:
    """The cache that the config asks for, open while the block lasts; `None`: there is none."""
    rules = settings.cache
    if not rules.enabled:
        yield None
        return
    files = None
    if rules.disk_bytes:
        files = Files(
            settings.cache_dir / FOLDER,
            hashlib.sha256(secret.reveal().encode()).digest(),
            most_bytes=rules.disk_bytes,
            entry_bytes=rules.entry_bytes,
            age_s=rules.age_s,
            now=now,
        )
    async with SpeechCache(rules, files, now).open() as cache:
        yield cache
