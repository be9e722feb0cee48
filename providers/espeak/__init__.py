"""espeak-ng: the voice that needs no weights, no key and no network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec

from router.contract.hookspecs import hookimpl
from router.contract.provider import Host, Kind, Provider


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be set for an instance of espeak-ng."""

    children: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    """Processes at most, each speaking one text at a time; they start when they are first needed.
    Two give a thousand short sentences a second on two cores."""


@asynccontextmanager
async def _open(settings: Settings, _host: Host) -> AsyncIterator[Provider]:
    from providers.espeak.provider import open_espeak  # noqa: PLC0415  # an import stays light

    async with open_espeak(children=settings.children) as provider:
        yield provider


KIND = Kind(
    name="espeak",
    settings=Settings,
    open=_open,
    summary="espeak-ng on this machine: a hundred languages, robotic but at once, free and offline",
    requires={"espeakng_loader": "pip install 'tts-router[espeak]'"},
)


@hookimpl
def tts_provider_kinds() -> list[Kind]:
    return [KIND]
