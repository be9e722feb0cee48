"""Who is on and what they offer: a frozen picture for planning, kept fresh in the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
import structlog

from router.contract.errors import ProviderError
from router.contract.provider import HasState, KeepsVoices, Provider
from router.contract.record import Event, OffersChanged
from router.contract.speech import Voice
from router.routing.catalogue import Offered, Offers
from router.settings.structs import Settings

_log = structlog.get_logger(__name__)

VOICES_EVERY_S = 600.0
VOICES_WITHIN_S = 10.0


class Roster:
    """`offers` is replaced as a whole whenever a provider says that it changed."""

    def __init__(
        self,
        settings: Settings,
        providers: Mapping[str, Provider],
        failed: Mapping[str, str],
        before: Roster | None = None,
    ) -> None:
        """`failed` says of each provider that could not be opened why; of those that were on the
        roster `before` their voices are known."""
        self.providers = providers
        self.failed = failed
        self._settings = settings
        self._voices: dict[str, Mapping[str, Voice]] = {}
        if before is not None:
            same = self.shared_with(before)
            self._voices = {name: v for name, v in before._voices.items() if name in same}  # noqa: SLF001  # its own kind
        self.keepers = {n: part for n, part in providers.items() if isinstance(part, KeepsVoices)}
        """Those of them that keep voices."""
        self._changed = asyncio.Event()
        self.offers: Offers = self._picture()

    def offers_to(self, owner: str) -> Offers:
        """`offers`, and in them the voices that this owner alone may use, under their names and
        their ids. A name that is everybody's goes first."""
        own: dict[str, Offered] = {}
        for provider, keeper in self.keepers.items():
            if saved := _saved(provider, keeper, owner):
                offered = self.offers[provider]
                voices = {**saved, **offered.voices}
                own[provider] = msgspec.structs.replace(offered, voices=voices)
        return {**self.offers, **own} if own else self.offers

    def shared_with(self, before: Roster) -> set[str]:
        """The providers that are the very same here and there."""
        return {n for n, part in self.providers.items() if before.providers.get(n) is part}

    def recorded(self, record: object) -> None:
        """Requests are none of its business."""

    def noticed(self, event: Event) -> None:
        if isinstance(event, OffersChanged):
            self._tell_inside(event.provider)
            self.offers = self._picture()
            self._changed.set()

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Ask everybody for their voices now, and again on a timer while the block lasts."""
        for name in self.providers:
            self._tell_inside(name)
        await self._ask_all()
        keeper = asyncio.create_task(self._keep(), name="roster")
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(VOICES_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self._ask_all()

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self._ask(name, part) for name, part in self.providers.items()))
        self.offers = self._picture()

    async def _ask(self, name: str, provider: Provider) -> None:
        try:
            async with asyncio.timeout(VOICES_WITHIN_S):
                voices = await provider.voices()
        except (ProviderError, TimeoutError) as error:
            _log.warning("voices unknown", provider=name, error=type(error).__name__)
        except Exception as error:  # a plugin's bug: what was known before stays
            _log.error("voices failed", provider=name, error=type(error).__name__)
        else:
            self._voices[name] = {voice.id.casefold(): voice for voice in voices}

    def _tell_inside(self, name: str) -> None:
        """Log what it does now, and why not better: an engine may go slower ways than it could."""
        provider = self.providers.get(name)
        if not isinstance(provider, HasState):
            return
        try:
            inside = provider.state().line
        except Exception as error:  # a plugin's bug
            _log.error("state failed", provider=name, error=type(error).__name__)
        else:
            _log.info("provider changed", provider=name, inside=inside)

    def _picture(self) -> Offers:
        return {name: self._offered(name) for name in self._settings.providers}

    def _offered(self, name: str) -> Offered:
        settings = self._settings.providers[name]
        provider = self.providers.get(name)
        if provider is None:
            off = settings.off or self.failed.get(name) or "it is not open"
            return Offered(kind=settings.entry.kind, off=off)
        try:
            capabilities = provider.offers()
        except Exception as error:  # a plugin's bug makes it off, and nobody else
            off = f"it cannot tell what it offers ({type(error).__name__})"
            return Offered(kind=settings.entry.kind, off=off)
        return Offered(
            kind=settings.entry.kind,
            capabilities=capabilities,
            voices=self._voices.get(name, {}),
            gain_db=settings.entry.gain_db,
            place=settings.entry.timbre or str(getattr(settings.settings, "base_url", "")),
        )


def _saved(provider: str, keeper: KeepsVoices, owner: str) -> dict[str, Voice]:
    """The voices that a provider keeps for somebody, by name and id, casefolded."""
    try:
        kept = keeper.list(owner)
    except Exception as error:  # a plugin's bug: the other voices are still there
        _log.error("saved voices failed", provider=provider, error=type(error).__name__)
        return {}
    voices = {one.id: Voice(id=one.id, name=one.name) for one in kept}
    named = {one.name.casefold(): voices[one.id] for one in reversed(kept)}
    return {**named, **voices}


class Rosters:
    """All that are in use: each hears what happened. An observer."""

    def __init__(self) -> None:
        self._all: list[Roster] = []

    @asynccontextmanager
    async def joined(self, roster: Roster) -> AsyncIterator[None]:
        """It hears what happens while the block lasts."""
        self._all.append(roster)
        try:
            yield
        finally:
            self._all.remove(roster)

    def recorded(self, record: object) -> None:
        """Requests are none of their business."""

    def noticed(self, event: Event) -> None:
        for roster in self._all:
            roster.noticed(event)
