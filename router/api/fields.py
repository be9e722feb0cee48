"""The fields that all shapes share, and how a wrong one is told by its name."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar, get_type_hints

import msgspec
from msgspec import Meta

from router.contract.audio import AudioFormat, Clip, Encoding
from router.contract.errors import InvalidRequest, InvalidSampleRate, UnsupportedFormat
from router.contract.speech import SpeechRequest
from router.settings.structs import Family

Text = Annotated[str, Meta(max_length=1_000_000)]
Name = Annotated[str, Meta(max_length=256)]
Speed = Annotated[float, Meta(ge=0.25, le=4.0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]

_DEEPEST = 32

RATES = (8_000, 192_000)
"""Sample rates in hertz that may be asked for."""

FORMATS: Mapping[str, Encoding] = {
    **{name: name for name in ("wav", "pcm", "mp3", "opus", "ogg", "aac", "flac")},
    "pcm16": "pcm",
}
"""Every name of a format that is answered, in any shape."""
_OTHER_NAMES = {"wave": "wav", "mpeg": "mp3"}
_SPELT = {"on": True, "yes": True, "off": False, "no": False}
"""How forms spell a switch, beside the words that msgspec knows."""


class VoiceId(msgspec.Struct, frozen=True):
    """OpenAI's other way to name a voice."""

    id: Name


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What is known in every shape, beside its own fields."""

    language: Name | None = None
    sample_rate: Any = None
    stream: bool | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    temperature: Annotated[float, Meta(ge=0.0, le=2.0)] | None = None
    top_p: Share | None = None
    extra: dict[str, Any] | None = None


class Asked(msgspec.Struct, frozen=True):
    """A request in the router's words, and how its answer is to be labelled."""

    shape: Family
    request: SpeechRequest
    content_type: str
    sse: bool = False
    """The audio is wanted in server-sent events."""


_Shape = TypeVar("_Shape", bound=Common)

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "response_format": ("format",),
    "format": ("response_format",),
    "instructions": ("instruction",),
    "similarity": ("similarity_boost",),
}


class _Known(NamedTuple):
    """What a shape's struct takes."""

    fields: frozenset[str]
    names: Mapping[str, str]
    """Its fields and their aliases, each with the field that is meant."""
    required: tuple[str, ...]


@functools.cache  # asking a struct for its fields evaluates every annotation: 0.4 ms
def _known_by(shape: type[Common]) -> _Known:
    fields = msgspec.structs.fields(shape)
    own = {field.encode_name: field.encode_name for field in fields}
    aliases = {alias: name for name in own for alias in _ALIASES.get(name, ()) if alias not in own}
    required = tuple(field.encode_name for field in fields if field.required)
    return _Known(frozenset(own), aliases | own, required)


def decoded(fields: Mapping[str, Any], shape: type[_Shape], *, strict: bool) -> _Shape:
    """A shape's struct from plain fields; strings of a form count as the numbers that they spell.

    Raises:
        InvalidRequest: naming the first field that is missing, wrong, or (strict) unknown.
    """
    own = _known_by(shape)
    known = {own.names[name]: value for name, value in fields.items() if name in own.names}
    known |= {name: fields[name] for name in own.fields if name in fields}
    if strict and (spare := fields.keys() - own.names.keys()):
        name = min(spare)[:64]
        raise InvalidRequest(
            f"{name!r} is not a field of this API.", param=name, code="unknown_field"
        )
    if isinstance(stream := known.get("stream"), str):
        known["stream"] = _SPELT.get(stream.strip().lower(), stream)
    for name in own.required:
        if name not in known:
            raise InvalidRequest(
                f"{name} is required.", param=name, code="missing_required_parameter"
            )
    try:
        return msgspec.convert(known, shape, strict=False)
    except msgspec.ValidationError as error:
        raise _culprit(known, shape) or InvalidRequest("A field is wrong.") from error


def _culprit(known: Mapping[str, Any], shape: type[Common]) -> InvalidRequest | None:
    """The first field that alone is wrong, in the order of the struct."""
    hints = get_type_hints(shape, include_extras=True)
    for name, value in known.items():
        try:
            msgspec.convert(value, hints[name], strict=False)
        except msgspec.ValidationError as error:
            what = str(error).replace("`", "")
            return InvalidRequest(f"{name}: {what[:1].lower()}{what[1:]}.", param=name)
    return None


def spoken_text(text: str) -> str:
    """The text as it came. Raises InvalidRequest when it is blank."""
    if not text.strip():
        raise InvalidRequest("input must not be empty.", param="input")
    return text


def voice_name(voice: str | VoiceId | None, default: str | None) -> str:
    """The voice's name. Raises InvalidRequest when there is none and no default."""
    name = (voice.id if isinstance(voice, VoiceId) else voice or "").strip() or default
    if not name:
        raise InvalidRequest("voice is required.", param="voice", code="missing_required_parameter")
    return name


def format_name(asked: str | None, default: str, allowed: Collection[str]) -> str:
    """A format's name in lower case. Raises UnsupportedFormat, naming those that are known."""
    name = (asked or "").strip().lower() or default
    name = _OTHER_NAMES.get(name, name)
    if name not in FORMATS:
        raise UnsupportedFormat(
            f"Unknown format. Known are: {', '.join(allowed)}.", param="response_format"
        )
    return name


def sample_rate(value: Any) -> int | None:
    """A sample rate in hertz: a whole number, or a string that spells one. `None` stays.

    Raises:
        InvalidSampleRate: anything else.
    """
    if value is None or value == "":
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not RATES[0] <= number <= RATES[1] or number != int(number):
        raise InvalidSampleRate(
            f"sample_rate must be a whole number of hertz from {RATES[0]} to {RATES[1]}.",
            param="sample_rate",
        )
    return int(number)


def wanted(name: str, rate: int | None, pcm: tuple[int | None, int | None]) -> AudioFormat:
    """The format that is wanted: `pcm` is the shape's own (rate, channels) for wav and pcm."""
    encoding = FORMATS[name]
    if name == "pcm16":
        return AudioFormat(encoding, rate or 24_000, 1)
    if encoding in ("pcm", "wav"):
        return AudioFormat(encoding, rate or pcm[0], pcm[1])
    return AudioFormat(encoding, rate)


def _check_depth(extra: Any, left: int = _DEEPEST) -> None:
    """Raises InvalidRequest where an object is nested so deep that an encoder may give up."""
    if left == 0:
        raise InvalidRequest(f"extra is nested deeper than {_DEEPEST} levels.", param="extra")
    inner = extra.values() if isinstance(extra, dict) else extra if isinstance(extra, list) else ()
    for item in inner:
        _check_depth(item, left - 1)


def request_of(
    shape: Family,
    body: Common,
    *,
    model: str,
    text: str,
    voice: str,
    format: AudioFormat,
    speed: float,
    clip: Clip | None = None,
    pitch: float | None = None,
    stream: bool | None = None,
    **options: Any,
) -> SpeechRequest:
    """The request in the router's words; options that were not given do not appear."""
    _check_depth(body.extra)
    options |= {name: getattr(body, name) for name in ("seed", "temperature", "top_p", "extra")}
    return SpeechRequest(
        shape=shape,
        model=model,
        text=spoken_text(text),
        voice=voice,
        format=format,
        language=body.language,
        speed=speed,
        pitch=pitch,
        options={name: value for name, value in options.items() if value is not None},
        clip=clip,
        stream=body.stream if stream is None else stream,
    )
