"""NanoGPT's speech API in its newer or its older spelling."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal

import msgspec

from providers.common.settings import BaseUrl, Factors, Seconds, check_connection
from router.contract.audio import Encoding
from router.contract.hookspecs import hookimpl
from router.contract.provider import Host, Kind, Provider, Secret
from router.contract.speech import Cost


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one upstream model can do."""

    formats: tuple[Encoding, ...] = ("mp3", "opus", "aac", "flac", "wav", "pcm")
    """What it can deliver, the best first. `ogg` is of the older spelling only."""
    sample_rate: int = 24_000
    """Hertz of its `pcm`, which is mono: what it has in the newer spelling, what it is asked for in
    the older."""
    max_chars: int | None = None
    streaming: bool = False
    """Whether it is asked to send audio while it speaks (`stream: true`, newer spelling)."""
    languages: tuple[str, ...] | None = None
    """Primary subtags; none: it does not say, so it is asked."""
    speed: Factors | None = (0.5, 2.0)
    options: tuple[str, ...] = ()
    """What it honours of `instructions` (newer spelling), `emotion`, `stability` and `similarity`
    (older)."""
    pitch: Factors | None = None
    """Lowest and highest shift in semitones (older spelling)."""
    voices: tuple[str, ...] = ()
    """Its voices' ids."""
    cost: Cost | None = None


def _models() -> Mapping[str, Model]:
    from providers.nanogpt.models import MODELS  # noqa: PLC0415 - it is made of the struct above

    return MODELS


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys beside `kind: nanogpt`."""

    base_url: BaseUrl = "https://nano-gpt.com/api/v1"
    key: Secret | None = None
    headers: Mapping[str, Secret] = {}
    connect_s: Seconds = 10.0
    proxy: Secret | None = None
    path: Literal["audio/speech", "speech"] = "audio/speech"
    """The newer spelling, or the older."""
    models: Mapping[str, Model] = msgspec.field(default_factory=_models)
    """By upstream model id; the first is the default."""
    poll_s: Annotated[float, msgspec.Meta(ge=1, le=3)] = 2.0
    """How often a ticket is asked after."""
    ticket_s: Seconds = 180.0
    """How long a ticket is waited for."""

    def __post_init__(self) -> None:
        check_connection(self)
        if not self.models:
            raise ValueError("`models` must name at least one model")


def _open(settings: Settings, host: Host) -> AbstractAsyncContextManager[Provider]:
    from providers.nanogpt.provider import opened  # noqa: PLC0415 - a plugin's import is light

    return opened(settings, host)


KIND = Kind(
    name="nanogpt",
    settings=Settings,
    open=_open,
    summary="NanoGPT's speech API: models of several makers; needs a key",
)


@hookimpl
def tts_provider_kinds() -> list[Kind]:
    return [KIND]
