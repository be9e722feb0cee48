"""What is the same for every config: observers, the decoder of samples, the secret."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from router import registry
from router.audio.clip import ClipDecoder
from router.contract.caller import OpenGate
from router.contract.provider import Secret
from router.contract.record import Observer
from router.dispatch.ensemble import Ensemble
from router.dispatch.observers import Observers
from router.dispatch.speaker import Speaker
from router.registry import Kinds
from router.routing import latin
from router.settings.secret import secret_of
from router.settings.structs import Settings
from router.telemetry.journal import Journal

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def founded(settings: Settings, kinds: Kinds, *own: Observer) -> AsyncIterator[Ensemble]:
    """What every config stands on; `own` are observers of ours beside the journal."""
    secret = await asyncio.to_thread(_secret, settings)
    async with registry.observing(kinds) as others, ClipDecoder() as clips:
        observers = Observers()
        for observer in (Journal(), *own, *others):
            observers.join(observer)
        guess = await asyncio.to_thread(latin.load)
        yield Ensemble(kinds, observers, clips=clips, secret=secret, latin=guess)


@asynccontextmanager
async def speaking(settings: Settings, kinds: Kinds) -> AsyncIterator[Speaker]:
    """Everything that can speak, open while the block lasts, and everybody may: `say` needs no
    more."""
    async with (
        founded(settings, kinds) as ensemble,
        ensemble.speaker(settings, OpenGate()) as speaker,
    ):
        yield speaker


def _secret(settings: Settings) -> Secret:
    """The installation's secret; where nothing can be kept, one that lives as long as we do."""
    try:
        return secret_of(settings)
    except OSError as error:
        _log.warning("the secret cannot be kept", data_dir=str(settings.data_dir), error=str(error))
        return Secret(secrets.token_hex(32))
