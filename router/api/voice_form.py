"""Reads the form by which a voice is saved; the sample in it stays in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from litestar.exceptions import HTTPException
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from router.api.body import ApiRequest
from router.api.errors import BodyTooLarge, CallerGone, SlowBody, UnsupportedMedia
from router.contract.audio import Clip, container_of
from router.contract.errors import BadClip, InvalidRequest

SAMPLE = "audio_sample"
SAMPLE_BYTES = 10_485_760
"""OpenAI's limit for `audio_sample`: 10 MiB."""
FORM_BYTES = SAMPLE_BYTES + 6_291_456
"""The most of a form that is read, so that who sends a sample that is too large hears why."""
_FROM_SAMPLE = b"audio_sample"
_TEXT_BYTES = 16_384
_MOST_PARTS = 16


class VoiceForm(msgspec.Struct, frozen=True):
    """What was sent. Nothing of it is in its repr."""

    name: str
    consent: str
    clip: Clip

    def __repr__(self) -> str:
        return f"VoiceForm({self.clip!r})"


async def read(request: ApiRequest, within_s: float) -> VoiceForm:
    """The form of a request.

    Raises:
        InvalidRequest, BadClip: a field is missing or cannot be; `param` says which.
        UnsupportedMedia, BodyTooLarge, SlowBody, CallerGone: it is no form, or did not come.
    """
    media, options = parse_options_header(request.headers.get("content-type", ""))
    if media.strip().lower() != "multipart/form-data":
        raise UnsupportedMedia(
            f"A voice is sent as multipart/form-data: name, consent, and a file {SAMPLE}."
        )
    parts = _Parts()
    try:
        async with asyncio.timeout(within_s):
            await _parse(request.stream(), options.get("boundary", ""), parts)
        return parts.form()
    except TimeoutError:
        raise SlowBody(f"The body did not arrive within {within_s:g} s.") from None
    except (MultipartError, UnicodeDecodeError, LookupError) as error:
        raise InvalidRequest("The multipart body is malformed.", code="invalid_body") from error
    except HTTPException as error:
        if error.status_code == 413:
            raise BodyTooLarge(f"The body is larger than {FORM_BYTES} bytes.") from error
        raise CallerGone("The caller hung up.") from error


async def _parse(stream: AsyncIterator[bytes], boundary: str, parts: _Parts) -> None:
    with PushMultipartParser(
        boundary,
        max_segment_count=_MOST_PARTS,
        max_segment_size=FORM_BYTES,
        max_header_size=4_096,
    ) as parser:
        async for chunk in stream:
            if not parts.is_too_large:  # the rest is drained, so that the client hears why
                for event in parser.parse(chunk):
                    parts.take(event)
        if parts.is_too_large:
            raise BadClip(
                f"{SAMPLE} is larger than 10 MiB ({SAMPLE_BYTES} bytes).",
                param=SAMPLE,
                code="audio_sample_too_large",
            )


class _Parts:
    """The parts of the form as they arrive."""

    def __init__(self) -> None:
        self.is_too_large = False
        self._fields: dict[str, bytearray] = {}
        self._name = ""

    def take(self, event: object) -> None:
        if isinstance(event, MultipartSegment):
            self._begin(event.name or "", is_file=bool(event.filename))
        elif isinstance(event, bytes | bytearray) and not self.is_too_large:
            field = self._fields[self._name]
            field += event
            most = SAMPLE_BYTES if self._name == SAMPLE else _TEXT_BYTES
            if len(field) > most:
                if self._name != SAMPLE:
                    raise BodyTooLarge(f"A form field is larger than {_TEXT_BYTES} bytes.")
                self.is_too_large = True
                field.clear()

    def _begin(self, name: str, *, is_file: bool) -> None:
        if is_file and name != SAMPLE:
            raise BadClip(
                f"The voice sample belongs in a field named {SAMPLE}.",
                param=name[:64],
                code="invalid_audio_sample",
            )
        self._name = name
        self._fields[name] = bytearray()

    def form(self) -> VoiceForm:
        if self._fields.get("type", _FROM_SAMPLE) != _FROM_SAMPLE:
            raise InvalidRequest("A voice is made from a sample here, not a prompt.", param="type")
        name, consent = self._text("name"), self._text("consent")
        sample = bytes(self._fields.pop(SAMPLE, b""))
        if not sample:
            raise _missing(SAMPLE)
        container = container_of(sample[:16])
        if container is None or container == "aac":
            raise BadClip(
                f"{SAMPLE} must be an mp3, wav, flac, m4a or ogg file.",
                param=SAMPLE,
                code="invalid_audio_sample",
            )
        return VoiceForm(name, consent, Clip(sample, container))

    def _text(self, name: str) -> str:
        text = self._fields.get(name, bytearray()).decode("utf-8").strip()
        if not text:
            raise _missing(name)
        return text


def _missing(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name} is required.", param=name, code="missing_required_parameter")
