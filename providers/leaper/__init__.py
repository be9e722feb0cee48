"""LEAPERone's speech API, or a server that speaks like it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import msgspec

from providers.common.settings import BaseUrl, Seconds, check_connection
from router.contract.hookspecs import hookimpl
from router.contract.provider import Host, Kind, Provider, Secret
from router.contract.speech import Cost


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys beside `kind: leaper`."""

    base_url: BaseUrl = "https://api.leaper.one/v1"
    key: Secret | None = None
    headers: Mapping[str, Secret] = {}
    connect_s: Seconds = 10.0
    proxy: Secret | None = None
    cost: Cost = Cost(per_1k_chars=0.005, currency="credits")
    """As its speech page says (2026)."""

    def __post_init__(self) -> None:
        check_connection(self)


def _open(settings: Settings, host: Host) -> AbstractAsyncContextManager[Provider]:
    from providers.leaper.provider import opened  # noqa: PLC0415 - a plugin's import is light

    return opened(settings, host)


KIND = Kind(
    name="leaper",
    settings=Settings,
    open=_open,
    summary="LEAPERone's speech API: many languages, clones voices; needs a key",
)


@hookimpl
def tts_provider_kinds() -> list[Kind]:
    return [KIND]
