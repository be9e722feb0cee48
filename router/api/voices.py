"""`/v1/audio/voices`: voices that a caller has had kept, for this caller alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Controller, delete, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import FromPath

from router.api import voice_form
from router.api.body import ApiRequest
from router.api.door import Door, credential
from router.api.errors import NoSuchPath
from router.contract.audio import Clip
from router.contract.caller import Caller
from router.contract.errors import (
    BadClip,
    Busy,
    InvalidRequest,
    NobodyCan,
    NotReady,
    Overloaded,
    Unauthenticated,
    UnknownVoice,
)
from router.contract.provider import KeepsVoices, SavedVoice
from router.dispatch.speaker import Speaker

_PATHS = ("/v1/audio/voices", "/audio/voices", "/v1/v1/audio/voices", "/api/v1/audio/voices")
_PATHS_OF_ONE = tuple(f"{path}/{{voice_id:str}}" for path in _PATHS)
_AGAIN_S = 10.0


class AudioVoice(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="audio.voice"):
    """OpenAI's `audio.voice`, and what is kept beside it: no sample, and no codes."""

    id: str
    created_at: int
    """Seconds since 1970."""
    type: str = "audio_sample"
    name: str
    owner: str
    consent: str
    sample_sha256: str
    sample_s: float


class DeletedVoice(msgspec.Struct, frozen=True):
    """That it is gone."""

    id: str
    object: str = "audio.voice.deleted"
    deleted: bool = True


@dataclass
class _Saving(Operation):
    """The form is read by hand, so Litestar cannot see what is in it."""

    def __post_init__(self) -> None:
        text = Schema(type=OpenAPIType.STRING)
        file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(
            type=OpenAPIType.OBJECT,
            properties={"name": text, "consent": text, voice_form.SAMPLE: file, "type": text},
            required=["name", "consent", voice_form.SAMPLE],
        )
        media = {"multipart/form-data": OpenAPIMediaType(schema=form)}
        self.request_body = RequestBody(content=media, required=True)


class VoicesController(Controller):
    """Voices of one's own: made from a sample, asked for by name."""

    tags = ("Voices",)

    @post(
        list(_PATHS),
        status_code=200,
        summary="Save a voice",
        operation_class=_Saving,
        request_max_body_size=voice_form.FORM_BYTES,
    )
    async def save(self, request: ApiRequest, door: NamedDependency[Door]) -> AudioVoice:
        caller = await door.caller(request)
        form = await voice_form.read(request, door.settings.timeouts.body_s)
        return shown(await save(door.speaker, caller, form.name, form.clip, form.consent))

    @delete(list(_PATHS_OF_ONE), status_code=200, summary="Delete a saved voice")
    async def delete(
        self, request: ApiRequest, voice_id: FromPath[str], door: NamedDependency[Door]
    ) -> DeletedVoice:
        caller = await door.caller(request)
        for keeper in door.speaker.roster.keepers.values():
            if any(voice.id == voice_id for voice in keeper.list(caller.id)):
                try:
                    await keeper.delete(voice_id)
                except UnknownVoice:  # somebody was faster
                    break
                return DeletedVoice(voice_id)
        raise NoSuchPath("You have no saved voice of this id.", param="voice_id")


async def own(request: ApiRequest, door: Door) -> list[AudioVoice]:
    """The saved voices of whoever asks; who is unknown has none. Raises RateLimited."""
    if door.settings.keyed and credential(request) is None:
        return []
    try:
        caller = await door.caller(request)
    except Unauthenticated:  # the list of everybody's voices needs no key
        return []
    keepers = door.speaker.roster.keepers.values()
    return [shown(voice) for keeper in keepers for voice in keeper.list(caller.id)]


def shown(voice: SavedVoice) -> AudioVoice:
    """A saved voice as its owner sees it."""
    told: dict[str, Any] = msgspec.structs.asdict(voice)
    return AudioVoice(created_at=told.pop("created"), **told)


async def save(speaker: Speaker, caller: Caller, name: str, clip: Clip, consent: str) -> SavedVoice:
    """Have the voice of a sample kept by the first provider that keeps voices.

    Raises:
        InvalidRequest, BadClip: `param` names the field of the form.
        NobodyCan: nobody keeps voices here.
        Overloaded, ProviderError: it cannot be kept now.
    """
    keeper = _keeper(speaker, caller)
    _check_free(speaker, name)
    try:
        decoded = await speaker.clips.decode(clip)
        return await keeper.add(name, decoded, consent, caller.id)
    except BadClip as error:
        raise BadClip(
            error.message, param=voice_form.SAMPLE, code="invalid_audio_sample"
        ) from error
    except (Busy, NotReady) as error:
        wait_s = error.retry_after or _AGAIN_S
        raise Overloaded(
            f"No voice can be saved now: {error.message}", retry_after=wait_s
        ) from error


def _keeper(speaker: Speaker, caller: Caller) -> KeepsVoices:
    for name, keeper in speaker.roster.keepers.items():
        if caller.providers is None or name in caller.providers:
            return keeper
    raise NobodyCan("No provider that is on keeps voices here.")


def _check_free(speaker: Speaker, name: str) -> None:
    """See that the name is nobody's voice. Raises InvalidRequest."""
    try:
        speaker.catalogue.voice(name, speaker.roster.offers, speaker.roster.providers)
    except UnknownVoice:
        return
    raise InvalidRequest("A voice of the server has this name. Choose another.", param="name")
