"""The local engine: MOSS-TTS-Nano on onnxruntime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from providers.moss_tts_nano.settings import Settings
from router.contract.hookspecs import hookimpl
from router.contract.provider import HasAssets, Host, Kind, Provider


@asynccontextmanager
async def _open(settings: Settings, host: Host) -> AsyncIterator[Provider]:
    from providers.moss_tts_nano.provider import open_moss  # noqa: PLC0415  # an import stays light

    async with open_moss(settings, host) as provider:
        yield provider


def _assets(settings: Settings, host: Host) -> HasAssets:
    from providers.moss_tts_nano.assets import Assets  # noqa: PLC0415  # an import stays light

    return Assets(settings, host)


KIND = Kind(
    name="moss-tts-nano",
    settings=Settings,
    open=_open,
    assets=_assets,
    summary="MOSS-TTS-Nano on this machine: 19 languages, voice cloning, free, on any processor",
    requires={
        "onnxruntime": "pip install 'tts-router[moss]'",
        "sentencepiece": "pip install 'tts-router[moss]'",
    },
)


@hookimpl
def tts_provider_kinds() -> list[Kind]:
    return [KIND]
