"""Installed plugins and the settings in, open parts out; in reverse order when all is over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import ModuleType, TracebackType
from typing import Any, Generic, TypeVar

import msgspec
import pluggy
import structlog

from router.contract import hookspecs
from router.contract.errors import ProviderError
from router.contract.provider import Host, Kind, Provider
from router.contract.record import Event, Observer, ObserverKind
from router.settings.structs import Provider as ProviderSettings
from router.settings.structs import Settings

_log = structlog.get_logger(__name__)

BLOCKED = "TTS_ROUTER_BLOCK_PLUGINS"
"""Environment variable: names of entry points that are not loaded, separated by commas."""
OPEN_WITHIN_S = 30.0
CLOSE_WITHIN_S = 10.0

_AnyKind = TypeVar("_AnyKind", Kind, ObserverKind)
_Part = TypeVar("_Part")


class BadPlugin(Exception):
    """A plugin cannot be used; the message names it and the remedy."""


class Kinds(msgspec.Struct, frozen=True):
    """What the installed plugins bring, by name."""

    providers: Mapping[str, Kind]
    observers: Mapping[str, ObserverKind]
    plugins: Mapping[str, str]
    """Name and version of each plugin that was loaded."""


def find(extra: Iterable[ModuleType] = ()) -> Kinds:
    """Load every plugin of the entry-point group, and the given modules.

    Raises:
        BadPlugin: one cannot be imported, misspells a hook, or brings a name that is taken.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for name in os.environ.get(BLOCKED, "").split(","):
        if name.strip():
            manager.set_blocked(name.strip())
    try:
        manager.load_setuptools_entrypoints(hookspecs.PROJECT)
        for module in extra:
            manager.register(module)
        manager.check_pending()
        providers = [list(kinds) for kinds in manager.hook.tts_provider_kinds()]
        observers = [list(kinds) for kinds in manager.hook.tts_observer_kinds()]
    except Exception as error:
        said = f"{type(error).__name__}: {error}"[:300]
        remedy = f"uninstall it, or name it in ${BLOCKED}"
        raise BadPlugin(f"a plugin cannot be loaded ({remedy}). {said}") from error
    loaded = {
        manager.get_name(plugin) or "?": f"{dist.project_name} {dist.version}"
        for plugin, dist in manager.list_plugin_distinfo()
    }
    return Kinds(
        _by_name(providers),
        _by_name(observers),
        loaded,
    )


def _by_name(answers: Iterable[Iterable[_AnyKind]]) -> dict[str, _AnyKind]:
    kinds: dict[str, _AnyKind] = {}
    for kind in (kind for answer in answers for kind in answer):
        if kind.name in kinds:
            raise BadPlugin(f"two plugins bring the kind {kind.name!r}: uninstall one of them")
        kinds[kind.name] = kind
    return dict(sorted(kinds.items()))


class Parts(msgspec.Struct, frozen=True):
    """Open providers, and of each that could not be opened why."""

    providers: Mapping[str, Provider]
    failed: Mapping[str, str]


class Pool:
    """What is open, each for as long as somebody uses it: who wants the same gets the same."""

    def __init__(self) -> None:
        self._lives: list[_Life[Any]] = []

    @asynccontextmanager
    async def using(
        self, key: object, make: Callable[[], AbstractAsyncContextManager[_Part]]
    ) -> AsyncIterator[_Part]:
        """What is open under an equal key, else what `make` opens; the last to leave closes it."""
        life: _Life[_Part] | None = next((one for one in self._lives if one.key == key), None)
        if life is None:
            life = _Life(key, make())
            self._lives.append(life)
        life.users += 1
        try:
            yield await life.opened()
        finally:
            life.users -= 1
            if not life.users:
                self._lives.remove(life)
                await life.close()


class _Life(Generic[_Part]):
    """Something open in a task of its own: who closes it need not be who opened it."""

    def __init__(self, key: object, context: AbstractAsyncContextManager[_Part]) -> None:
        self.key = key
        self.users = 0
        self._part: asyncio.Future[_Part] = asyncio.get_running_loop().create_future()
        self._is_over = asyncio.Event()
        self._task = asyncio.create_task(self._run(context), name="part")

    async def opened(self) -> _Part:
        """It, once it is open. Raises what opening it raised."""
        return await asyncio.shield(self._part)

    async def close(self) -> None:
        """Raises what closing it raised."""
        if not self._part.done():
            self._task.cancel()
        self._is_over.set()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    async def _run(self, context: AbstractAsyncContextManager[_Part]) -> None:
        try:
            part = await context.__aenter__()
        except asyncio.CancelledError:
            self._part.cancel()
            raise
        except Exception as error:  # whoever waits for it is told
            self._part.set_exception(error)
            self._part.exception()  # it may be that nobody does any more
            return
        try:
            self._part.set_result(part)
            await self._is_over.wait()
        finally:
            await context.__aexit__(None, None, None)


@asynccontextmanager
async def opened(
    settings: Settings, kinds: Kinds, publish: Callable[[Event], None], pool: Pool
) -> AsyncIterator[Parts]:
    """Open every provider that is on, or use it where it is open in the pool with the same
    settings. One that fails is off, with its reason; the others serve."""
    async with AsyncExitStack() as stack:
        providers: dict[str, Provider] = {}
        failed: dict[str, str] = {}
        for provider in settings.providers.values():
            if provider.off is not None:
                continue
            opening = partial(_opening, settings, kinds, provider, publish)
            key = (provider.name, provider.entry.kind, provider.settings)
            try:
                async with asyncio.timeout(OPEN_WITHIN_S):
                    part = await stack.enter_async_context(pool.using(key, opening))
            except ProviderError as error:
                failed[provider.name] = f"it could not start: {error.message}"
            except Exception as error:
                failed[provider.name] = f"it could not start ({type(error).__name__})"
                _log.exception("a provider could not start", provider=provider.name)
            else:
                providers[provider.name] = part
        yield Parts(providers, failed)


def _opening(
    settings: Settings, kinds: Kinds, provider: ProviderSettings, publish: Callable[[Event], None]
) -> AbstractAsyncContextManager[Provider]:
    kind = kinds.providers[provider.entry.kind]
    host = host_of(settings, provider.name, publish)
    return _Closing(kind.open(provider.settings, host), provider.name)


class _Closing:
    """A provider's context whose end cannot hold up the end of the server."""

    def __init__(self, context: AbstractAsyncContextManager[Provider], name: str) -> None:
        self._context = context
        self._name = name

    async def __aenter__(self) -> Provider:
        return await self._context.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._context.__aexit__(kind, error, place)
        except Exception as failed:  # the others are still to be closed
            what = type(failed).__name__
            _log.error("a provider did not close", provider=self._name, error=what)


@asynccontextmanager
async def observing(kinds: Kinds) -> AsyncIterator[list[Observer]]:
    """Open every observer that a plugin brings, with its own defaults. One that fails is left
    out."""
    async with AsyncExitStack() as stack:
        observers: list[Observer] = []
        for kind in kinds.observers.values():
            try:
                async with asyncio.timeout(OPEN_WITHIN_S):
                    observers.append(await stack.enter_async_context(kind.open(kind.settings())))
            except Exception:
                _log.exception("an observer could not start", observer=kind.name)
        yield observers


def host_of(settings: Settings, name: str, publish: Callable[[Event], None]) -> Host:
    """What the router gives to the instance of this name."""
    return Host(
        name=name,
        data_dir=settings.data_dir / "providers" / name,
        cache_dir=settings.cache_dir / "providers" / name,
        publish=publish,
    )
