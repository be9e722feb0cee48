"""What is on offer, for people and for clients that look before they speak: models and voices."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from router.api.body import ApiRequest
from router.api.door import Door
from router.api.voices import AudioVoice, own
from router.contract.caller import Price
from router.contract.speech import Capabilities
from router.dispatch.speaker import CODECS, Speaker
from router.routing.catalogue import Offered, PublicModel

_CREATED = 1_760_000_000
"""OpenAI's model objects have a time of making; ours were made with the project."""


class Pricing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller pays: by tokens where that is told and the upstream reports them, else by audio
    where that is told, else by characters."""

    per_1k_chars: float
    per_1k_tokens: float | None = None
    per_audio_second: float | None = None
    minimum: float | None = None
    currency: str


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the words of OpenAI's list, and what our callers like to know beside it."""

    id: str
    object: str = "model"
    created: int = _CREATED
    owned_by: str
    name: str
    description: str
    pricing: Pricing
    max_input: int
    formats: list[str]
    default_format: str
    cloning: bool
    available: bool
    """Whether somebody can speak it now."""


class VoiceInfo(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="voice"):
    """A logical voice; `None` where nobody knows."""

    id: str
    name: str
    languages: list[str]
    gender: str | None
    style: str | None
    pitch: str | None
    sample_url: str


class Models(msgspec.Struct, frozen=True):
    """One list under the two names that clients look for."""

    data: list[ModelInfo]
    models: list[ModelInfo]
    object: str = "list"


class Voices(msgspec.Struct, frozen=True):
    """One list under the two names that clients look for."""

    data: list[VoiceInfo | AudioVoice]
    voices: list[VoiceInfo | AudioVoice]
    object: str = "list"


class CatalogueController(Controller):
    """Models and voices, without a key, under every spelling that clients probe."""

    tags = ("Catalogue",)

    @get(
        [
            *("/v1/models", "/models", "/v1/v1/models", "/api/v1/models"),
            *("/v1/audio/models", "/audio/models", "/api/v1/audio/models"),
            *("/v1/audio-models", "/api/v1/audio-models"),
        ],
        sync_to_thread=False,
        summary="List the models",
    )
    def models(self, door: NamedDependency[Door]) -> Models:
        listed = list_models(door.speaker)
        return Models(listed, listed)

    @get(
        [
            *("/v1/models/{name:path}", "/models/{name:path}", "/v1/v1/models/{name:path}"),
            *("/api/v1/models/{name:path}", "/v1/audio/models/{name:path}"),
        ],
        sync_to_thread=False,
        summary="Describe one model",
    )
    def model(self, name: FromPath[str], door: NamedDependency[Door]) -> ModelInfo:
        speaker = door.speaker
        public = speaker.catalogue.model(str(name).lstrip("/"), speaker.roster.offers)
        return describe_model(public, speaker)

    @get(
        [
            *("/v1/voices", "/voices", "/v1/v1/voices", "/api/v1/voices"),
            *("/v1/audio/voices", "/audio/voices", "/v1/v1/audio/voices", "/api/v1/audio/voices"),
            *("/v1/audio/speech/voices", "/audio/speech/voices"),
        ],
        summary="List the voices, and those of your own that are saved",
    )
    async def voices(self, request: ApiRequest, door: NamedDependency[Door]) -> Voices:
        base = door.settings.server.public_url or str(request.base_url)
        everybodys = list_voices(door.speaker, base)
        listed: list[VoiceInfo | AudioVoice] = [*everybodys, *await own(request, door)]
        return Voices(listed, listed)


def list_models(speaker: Speaker) -> list[ModelInfo]:
    """Every model of the config."""
    catalogue = speaker.catalogue
    return [
        describe_model(PublicModel(name, model), speaker)
        for name, model in catalogue.models.items()
    ]


def describe_model(public: PublicModel, speaker: Speaker) -> ModelInfo:
    """One model, with what the providers of its route can do together."""
    name, model = public
    able = list(_able(public, speaker))
    return ModelInfo(
        id=name,
        owned_by=model.owned_by,
        name=name,
        description=model.description,
        pricing=_pricing(model.price),
        max_input=model.max_input,
        formats=_formats(able),
        default_format=model.default_format or ("wav" if model.family == "leaper" else "mp3"),
        cloning=any(caps.cloning for caps in able),
        available=bool(able),
    )


def _pricing(price: Price) -> Pricing:
    return Pricing(
        per_1k_chars=price.credits_per_1k_chars,
        per_1k_tokens=price.credits_per_1k_tokens,
        per_audio_second=price.credits_per_audio_s,
        minimum=price.minimum or None,
        currency="credits",
    )


def list_voices(speaker: Speaker, public_url: str | None) -> list[VoiceInfo]:
    """Every logical voice of the config."""
    base = (public_url or "").rstrip("/")
    return [
        VoiceInfo(
            id=id,
            name=voice.name or id,
            languages=list(voice.languages),
            gender=voice.gender,
            style=voice.style,
            pitch=voice.pitch,
            sample_url=f"{base}/v1/voices/{id}/sample",
        )
        for id, voice in speaker.catalogue.voices.items()
    ]


def _able(public: PublicModel, speaker: Speaker) -> Iterable[Capabilities]:
    for route in public.model.routes:
        offered: Offered | None = speaker.roster.offers.get(route.provider)
        if offered is not None and offered.off is None:
            yield from _of_route(route.model, public.name, offered)


def _of_route(model: str | None, public: str, offered: Offered) -> Iterable[Capabilities]:
    caps = offered.capabilities
    name = model or (public if public in caps else next(iter(caps), ""))
    if name in caps:
        yield caps[name]


def _formats(able: Iterable[Capabilities]) -> list[str]:
    names: set[str] = set()
    for caps in able:
        for format in caps.formats:
            names.add(format.encoding)
            if format.encoding in CODECS.decodes:
                names |= {*CODECS.encodes, "pcm16"}
    return sorted(names)
