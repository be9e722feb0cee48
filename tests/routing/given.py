"""Small routes to plan with: a config of text, and providers of data."""

from __future__ import annotations

from functools import cache
from typing import Any

from router.contract.audio import AudioFormat, Clip
from router.contract.provider import Kind
from router.contract.speech import Capabilities, SpeechRequest, Voice
from router.routing.catalogue import Catalogue, Offered
from router.routing.negotiate import Codecs
from router.settings.load import parse
from router.testing.scripted import Scripted, kind_of

PCM = AudioFormat("pcm", 24_000, 1)
MP3 = AudioFormat("mp3")
CODECS = Codecs(decodes=("pcm", "wav"), encodes=frozenset({"pcm", "wav"}))
CLIP = Clip(b"RIFF\0\0\0\0WAVE", "wav")
KIND: dict[str, Kind] = {"scripted": kind_of("scripted", Scripted())}


@cache
def catalogue(text: str) -> Catalogue:
    """The catalogue of a config whose providers are all of the kind `scripted`; made once each."""
    return Catalogue(parse(text, KIND, "it.yaml"))


def routed(*names: str, **model: Any) -> Catalogue:
    """A catalogue of the one model `it`, with these providers in this order."""
    providers = ", ".join(f"{name}: {{kind: scripted}}" for name in names)
    routes = ", ".join(f"{{provider: {name}}}" for name in names)
    keys = "".join(f"{key}: {value}, " for key, value in model.items())
    return catalogue(f"providers: {{{providers}}}\nmodels: {{it: {{{keys}routes: [{routes}]}}}}")


def able(*, off: str | None = None, voices: tuple[str, ...] = (), **changed: Any) -> Offered:
    """What a provider of one model offers."""
    capabilities: dict[str, Any] = {"formats": (PCM,), "chooses_voice": True, **changed}
    return Offered(
        kind="scripted",
        capabilities={} if off else {"m": Capabilities(**capabilities)},
        voices={id.casefold(): Voice(id=id) for id in voices},
        off=off,
    )


def asking(text: str = "Hello there.", **changed: Any) -> SpeechRequest:
    """A request for the model `it`."""
    fields: dict[str, Any] = {"voice": "alloy", "format": AudioFormat("wav"), **changed}
    return SpeechRequest(shape="openai", model="it", text=text, **fields)
