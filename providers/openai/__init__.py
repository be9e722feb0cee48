"""Any server that speaks like OpenAI's speech API: OpenAI itself, Kokoro-FastAPI, LocalAI, …"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import msgspec

from providers.common.settings import BaseUrl, Factors, Seconds, check_connection
from router.contract.audio import Encoding
from router.contract.hookspecs import hookimpl
from router.contract.provider import Host, Kind, Provider, Secret
from router.contract.speech import Cost

_EARLY_VOICES = ("alloy", "ash", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer")
_LATER_VOICES = ("ballad", "verse", "marin", "cedar")
"""Those that only the gpt models have; together the thirteen of `CreateSpeechRequest` in OpenAI's
openapi.yaml (2026-08-21)."""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one upstream model can do. The defaults are those of OpenAI's documentation."""

    formats: tuple[Encoding, ...] = ("mp3", "opus", "aac", "flac", "wav", "pcm")
    """What it can deliver, the best first."""
    sample_rate: int = 24_000
    """Hertz of its `wav` and `pcm`: for `pcm` this is all that tells."""
    channels: int = 1
    max_chars: int | None = 4096
    streaming: bool = True
    languages: tuple[str, ...] | None = None
    """Primary subtags; none: it does not say, so it is asked."""
    speed: Factors | None = (0.25, 4.0)
    options: tuple[str, ...] = ()
    """Body fields that it honours beyond the usual: `instructions`, `seed`, `temperature`, …;
    with `extra` among them, the fields of a request's `extra` object too."""
    voices: tuple[str, ...] | None = None
    """Those of the provider's voices that it has; none: all."""
    cost: Cost | None = None


_MODELS = {
    "gpt-4o-mini-tts": Model(options=("instructions",)),
    "tts-1": Model(voices=_EARLY_VOICES),
    "tts-1-hd": Model(voices=_EARLY_VOICES),
}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys beside `kind: openai`."""

    base_url: BaseUrl = "https://api.openai.com/v1"
    key: Secret | None = None
    """None for local servers that want none."""
    headers: Mapping[str, Secret] = {}
    connect_s: Seconds = 10.0
    proxy: Secret | None = None
    models: Mapping[str, Model] = msgspec.field(default_factory=lambda: dict(_MODELS))
    """By upstream model id; the first is the default."""
    voices: tuple[str, ...] = (*_EARLY_VOICES, *_LATER_VOICES)
    stream_format: Literal["audio", "sse"] = "audio"
    """How speech is asked for: as plain audio, or as events whose end is always told."""
    extra: Mapping[str, Any] = {}
    """Merged into every request's body."""

    def __post_init__(self) -> None:
        check_connection(self)
        if not self.models:
            raise ValueError("`models` must name at least one model")


def _open(settings: Settings, host: Host) -> AbstractAsyncContextManager[Provider]:
    from providers.openai.provider import opened  # noqa: PLC0415 - a plugin's import is light

    return opened(settings, host)


KIND = Kind(
    name="openai",
    settings=Settings,
    open=_open,
    summary="OpenAI's speech API, or any server that speaks like it",
)


@hookimpl
def tts_provider_kinds() -> list[Kind]:
    return [KIND]
