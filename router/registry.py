"""Installed plugins and the settings in, open parts out; in reverse order when all is over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import ModuleType, TracebackType
from typing import TypeVar

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


@asynccontextmanager
async def opened(
    settings: Settings, kinds: Kinds, publish: Callable[[Event], None]
) -> AsyncIterator[Parts]:
    """Open every provider that is on. One that fails is off, with its reason; the others serve."""
    async with AsyncExitStack() as stack:
        providers: dict[str, Provider] = {}
        failed: dict[str, str] = {}
        for provider in settings.providers.values():
            if provider.off is not None:
                continue
            kind = kinds.providers[provider.entry.kind]
            host = _host(settings, provider, publish)
            try:
                async with asyncio.timeout(OPEN_WITHIN_S):
                    opening = _Closing(kind.open(provider.settings, host), provider.name)
                    part = await stack.enter_async_context(opening)
            except ProviderError as error:
                failed[provider.name] = f"it could not start: {error.message}"
            except Exception as error:
                failed[provider.name] = f"it could not start ({type(error).__name__})"
                _log.exception("a provider could not start", provider=provider.name)
            else:
                providers[provider.name] = part
        yield Parts(providers, failed)


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


def _host(settings: Settings, provider: ProviderSettings, publish: Callable[[Event], None]) -> Host:
    return Host(
        name=provider.name,
        data_dir=settings.data_dir / "providers" / provider.name,
        cache_dir=settings.cache_dir / "providers" / provider.name,
        publish=publish,
    )
