"""Reads a request's body, whatever its type, into plain fields and perhaps a voice sample."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from router.api.errors import BodyTooLarge, CallerGone, UnsupportedMedia
from router.contract.audio import Clip, container_of
from router.contract.errors import BadClip, InvalidRequest

ApiRequest = Request[Any, Any, State]

CLIP_BYTES = 1_048_576
"""LEAPERone's limit for `prompt_audio`: 1 MB, read as 2**20."""
CLIP_FIELD = "prompt_audio"
MISNAMED = ("ref_audio", "reference_audio")
"""What other servers call the voice sample."""
BODY_BYTES = 8_388_608
"""The most of any body that is read: a million characters fit, escaped."""
_DRAIN_BYTES = 8_388_608
"""How much of a sample that is too large is read on, so that the client hears why."""
_FIELD_BYTES = 4_194_304
_MOST_PARTS = 64


class Body(NamedTuple):
    """What was sent: fields by name, as JSON values or as the strings of a form."""

    fields: dict[str, Any]
    clip: Clip | None
    is_multipart: bool


async def read(request: ApiRequest) -> Body:
    """Read and take apart the body.

    Raises:
        UnsupportedMedia: neither JSON nor a form, or compressed.
        BodyTooLarge: over 8 MiB.
        BadClip: the voice sample is too large, empty, or of no known container.
        CallerGone: it hung up.
        InvalidRequest: what came is not what its type says.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMedia("Compressed request bodies are not read here. Send it as it is.")
    media, options = parse_options_header(request.headers.get("content-type", ""))
    media = media.strip().lower()
    try:
        if media in ("", "application/json") or media.endswith("+json"):
            return Body(_from_json(await _whole(request)), None, is_multipart=False)
        if media == "application/x-www-form-urlencoded":
            body = await _whole(request)
            is_json = body.lstrip()[:1] == b"{"  # curl -d sends JSON under this name
            return Body(_from_json(body) if is_json else _from_form(body), None, is_multipart=False)
        if media == "multipart/form-data":
            return await _from_multipart(request.stream(), options.get("boundary", ""))
    except HTTPException as error:
        if error.status_code == 413:
            raise BodyTooLarge(f"The body is larger than {BODY_BYTES} bytes.") from error
        if error.status_code >= 500:  # how Litestar tells that the connection was closed
            raise CallerGone("The caller hung up.") from error
        raise InvalidRequest("The body cannot be read.", code="invalid_body") from error
    raise UnsupportedMedia(
        "Content-Type must be application/json, multipart/form-data or "
        "application/x-www-form-urlencoded."
    )


async def _whole(request: ApiRequest) -> bytes:
    return await request.body()


def _from_json(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("The body is not valid JSON.", code="invalid_json") from error
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    return without_clip({key: item for key, item in value.items() if item is not None})


def without_clip(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, in which no voice sample can be. Raises BadClip where one was tried."""
    for name in (CLIP_FIELD, *MISNAMED):
        if name in fields:
            raise BadClip(
                "A voice sample is sent as multipart/form-data, in a file field named "
                f"{CLIP_FIELD}; this body cannot carry it.",
                param=name,
            )
    return fields


def _from_form(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=_MOST_PARTS,
            errors="strict",
        )
    except ValueError as error:
        raise InvalidRequest("The form cannot be read.", code="invalid_body") from error
    return without_clip(_nested(dict(pairs)))


async def _from_multipart(stream: AsyncIterator[bytes], boundary: str) -> Body:
    form = _Form()
    drained = 0
    try:
        with PushMultipartParser(
            boundary,
            max_segment_count=_MOST_PARTS,
            max_segment_size=BODY_BYTES,
            max_header_size=4_096,
        ) as parser:
            async for chunk in stream:
                if form.too_large:
                    drained += len(chunk)
                    if drained > _DRAIN_BYTES:
                        break
                    continue
                for event in parser.parse(chunk):
                    form.take(event)
            if form.too_large:
                raise BadClip(
                    f"{CLIP_FIELD} is larger than 1 MB ({CLIP_BYTES} bytes).",
                    code="prompt_audio_too_large",
                )
        return Body(_nested(form.fields()), form.clip(), is_multipart=True)
    except (MultipartError, UnicodeDecodeError, LookupError) as error:
        raise InvalidRequest("The multipart body is malformed.", code="invalid_body") from error


class _Form:
    """The parts of a multipart body as they arrive; a sample that grows too large stops growing."""

    def __init__(self) -> None:
        self.too_large = False
        self._texts: dict[str, bytearray] = {}
        self._sample: bytearray | None = None
        self._sample_name: str | None = None
        self._at: bytearray | None = None
        self._segment: MultipartSegment | None = None

    def take(self, event: Any) -> None:
        if self.too_large or event is None:
            return
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif self._at is not None:
            self._at += event
            if self._at is self._sample and len(self._at) > CLIP_BYTES:
                self.too_large = True
            elif len(self._at) > _FIELD_BYTES:
                raise BodyTooLarge(f"A form field is larger than {_FIELD_BYTES} bytes.")

    def _begin(self, segment: MultipartSegment) -> None:
        name, filename = segment.name or "", segment.filename
        self._at = bytearray()
        if name == CLIP_FIELD:
            self._sample, self._sample_name = self._at, filename
        elif filename or name in MISNAMED:
            raise BadClip(f"The voice sample belongs in a field named {CLIP_FIELD}.", param=name)
        else:
            self._texts[name] = self._at

    def fields(self) -> dict[str, str]:
        return {name: text.decode("utf-8") for name, text in self._texts.items()}

    def clip(self) -> Clip | None:
        """The sample; a browser's empty file field, which has no file name, is none."""
        if self._sample is None or (not self._sample and not self._sample_name):
            return None
        container = container_of(bytes(self._sample[:16]))
        if container is None or container == "aac":
            raise BadClip(f"{CLIP_FIELD} must be an mp3, wav, flac, m4a or ogg file.")
        return Clip(bytes(self._sample), container)


def _nested(fields: Mapping[str, str]) -> dict[str, Any]:
    """Form fields as values: an SDK's `voice[id]` is the object that JSON would hold."""
    values: dict[str, Any] = {}
    for name, text in fields.items():
        outer, bracket, inner = name.partition("[")
        if bracket and inner.endswith("]"):
            table = values.setdefault(outer, {})
            if isinstance(table, dict):
                table[inner[:-1]] = text
        elif name == "extra":
            values[name] = _object(text)
        elif text or name == "input":
            values[name] = text
    return values


def _object(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidRequest("extra must be a JSON object.", param="extra") from error
