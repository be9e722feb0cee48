"""From the error tree to a status and a body in the caller's own envelope."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
from litestar.types import ASGIApp

from router.api.job_envelope import envelope_of
from router.api.response import Headers, plain
from router.api.standing import standing_headers
from router.contract import errors as tree
from router.contract.errors import CallerError, SpeechError
from router.jobs.job import NoSuchJob
from router.settings.structs import Family


class BodyTooLarge(CallerError):
    """The request's body is over the limit: 413."""

    reason = "body_too_large"


class UnsupportedMedia(CallerError):
    """The body is of a type, or in an encoding, that is not read here: 415."""

    reason = "unsupported_media"


class SlowBody(CallerError):
    """The request's body did not arrive in time: 408."""

    reason = "slow_body"


class CallerGone(CallerError):
    """The caller hung up while the body was still coming: nobody hears the answer."""

    reason = "hung_up"


class NoSuchPath(CallerError):
    reason = "no_such_path"


class NoSuchKey(CallerError):
    """An admin names a key that is not there."""

    reason = "no_such_key"


class WrongMethod(CallerError):
    reason = "wrong_method"


class NoAudio(CallerError):
    """A job has no audio: not yet, or it never will."""

    reason = "no_audio"


class BadRange(CallerError):
    """A part of a file is asked for that lies behind its end."""

    reason = "bad_range"


Dialect = Literal[Family, "nanogpt-newer", "nanogpt-job"]
"""How errors are told: as the shape does; NanoGPT's newer spelling has OpenAI's body, and NanoGPT's
words for keys and credit; its flow of jobs has a body of its own."""


class Told(NamedTuple):
    """How an error is told: HTTP status, the envelope's `type` and `code`."""

    status: int
    type: str
    code: str | None


_INVALID = "invalid_request_error"

# The table of failures. What a shape tells in another way stands below.
_TOLD: Mapping[type[SpeechError], Told] = {
    tree.InvalidRequest: Told(400, _INVALID, None),
    tree.UnknownModel: Told(404, _INVALID, "model_not_found"),
    tree.UnknownVoice: Told(400, _INVALID, "invalid_voice"),
    tree.UnsupportedFormat: Told(400, _INVALID, "unsupported_format"),
    tree.InvalidSampleRate: Told(400, _INVALID, "invalid_sample_rate"),
    tree.InputTooLong: Told(400, _INVALID, "input_too_long"),
    tree.BadClip: Told(400, _INVALID, None),
    tree.IdempotencyConflict: Told(422, _INVALID, "idempotency_key_reused"),
    tree.Unauthenticated: Told(401, "authentication_error", "invalid_api_key"),
    tree.MissingKey: Told(401, "authentication_error", "missing_api_key"),
    tree.Forbidden: Told(403, "permission_denied_error", "forbidden"),
    tree.OutOfCredit: Told(402, "insufficient_credits", "insufficient_credits"),
    tree.RateLimited: Told(429, "rate_limit_error", None),
    BodyTooLarge: Told(413, _INVALID, "body_too_large"),
    SlowBody: Told(408, _INVALID, "request_timeout"),
    CallerGone: Told(499, _INVALID, "hung_up"),
    UnsupportedMedia: Told(415, _INVALID, "unsupported_media_type"),
    NoSuchPath: Told(404, _INVALID, "not_found"),
    NoSuchKey: Told(404, _INVALID, "key_not_found"),
    NoSuchJob: Told(404, _INVALID, "job_not_found"),
    NoAudio: Told(409, _INVALID, "no_audio"),
    BadRange: Told(416, _INVALID, "range_not_satisfiable"),
    WrongMethod: Told(405, _INVALID, "method_not_allowed"),
    tree.Overloaded: Told(503, "service_unavailable", "overloaded"),
    tree.Draining: Told(503, "service_unavailable", "draining"),
    tree.NobodyCan: Told(503, "service_unavailable", "no_provider"),
    tree.NobodySpoke: Told(502, "server_error", "upstream_error"),
    tree.OutOfTime: Told(504, "server_error", "upstream_timeout"),
    tree.ProviderError: Told(502, "server_error", "upstream_error"),
}
_BUG = Told(500, "server_error", "internal_error")

_NANO_CREDIT = Told(402, "insufficient_quota", "insufficient_quota")
_OPENAI: Mapping[type[SpeechError], Told] = {
    tree.InputTooLong: Told(400, _INVALID, "string_above_max_length"),
}
_TOLD_BY: Mapping[Dialect, Mapping[type[SpeechError], Told]] = {
    "leaper": {},
    "openai": {
        **_OPENAI,
        tree.Unauthenticated: Told(401, _INVALID, "invalid_api_key"),
        tree.MissingKey: Told(401, _INVALID, None),
        tree.OutOfCredit: Told(429, "insufficient_quota", "insufficient_quota"),
    },
    "nanogpt-newer": {**_OPENAI, tree.OutOfCredit: _NANO_CREDIT},
    # NanoGPT's page lists six specific names as error types; they stand in `type` and in `code`.
    "nanogpt": {
        tree.UnknownModel: Told(400, "invalid_model", "invalid_model"),
        tree.UnknownVoice: Told(400, "invalid_voice", "invalid_voice"),
        tree.UnsupportedFormat: Told(400, "unsupported_format", "unsupported_format"),
        tree.InvalidSampleRate: Told(400, "invalid_sample_rate", "invalid_sample_rate"),
        tree.InputTooLong: Told(400, "input_too_long", "input_too_long"),
        tree.RateLimited: Told(429, "rate_limit_exceeded", None),
        tree.OutOfCredit: _NANO_CREDIT,
    },
    # Its body has no type; statuses are those that its page lists.
    "nanogpt-job": {
        tree.UnknownModel: Told(400, _INVALID, "model_not_found"),
        tree.InputTooLong: Told(413, _INVALID, "input_too_long"),
        tree.OutOfCredit: _NANO_CREDIT,
        tree.NobodyCan: Told(501, "server_error", "model_not_available"),
        tree.NobodySpoke: Told(500, "server_error", "upstream_error"),
    },
}

# Asking again cannot help, though the status alone would make an SDK try.
_NO_RETRY = (tree.OutOfCredit, tree.NobodyCan)
_CLOSING = (b"connection", b"close")
"""Whoever comes again is to find another server, not the same line."""
_LONG_S = 60.0
"""Some SDKs sleep for whatever they are told: from here on they are told not to try."""
_DAY_S = 86_400.0


def told(error: Exception, shape: Dialect) -> Told:
    """How this shape tells this error."""
    for class_ in type(error).__mro__:
        for table in (_TOLD_BY[shape], _TOLD):
            if class_ in table:
                found = table[class_]
                return found._replace(code=found.code or getattr(error, "code", None))
    return _BUG


class Detail(msgspec.Struct):
    """The envelope that LEAPERone, NanoGPT and OpenAI share."""

    message: str
    type: str
    param: str | None
    code: str | None


class Envelope(msgspec.Struct):
    """The body of every refusal."""

    error: Detail


class Refusal(NamedTuple):
    """The whole HTTP answer to an error."""

    status: int
    headers: Headers
    body: bytes


def refusal(error: Exception, shape: Dialect, request_id: str, extra: Headers = ()) -> Refusal:
    """What is answered to an error; what is not of the tree is told as a plain 500."""
    how = told(error, shape)
    message = error.message if isinstance(error, SpeechError) else "Something failed in the router."
    param = _named(getattr(error, "param", None), shape)
    body = msgspec.json.encode(
        envelope_of(error, message, how.status, code=how.code, param=param)
        if shape == "nanogpt-job"
        else Envelope(Detail(message, how.type, param, how.code))
    )
    headers = [
        (b"content-type", b"application/json"),
        (b"x-request-id", request_id.encode()),
        (b"cache-control", b"no-store"),
        *extra,
    ]
    headers += _advice(error, how.status)
    if isinstance(error, tree.RateLimited) and error.standings is not None:
        headers += standing_headers(error.standings, shape)
    return Refusal(how.status, headers, body)


def _advice(error: Exception, status: int) -> Headers:
    """Whether, and when, asking again is of use. Every 429 names a time."""
    wait = getattr(error, "retry_after", None)
    is_useless = isinstance(error, _NO_RETRY) or getattr(error, "is_useless", False)
    if status == 429 and wait is None:
        wait = _DAY_S  # until then nothing changes unless somebody changes it
    headers = []
    if status in (429, 503) and wait is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(wait))).encode()))
    if is_useless or (wait is not None and wait > _LONG_S):
        headers.append((b"x-should-retry", b"false"))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, tree.Draining):
        headers.append(_CLOSING)
    return headers


def answer(error: Exception, shape: Dialect, request_id: str, extra: Headers = ()) -> ASGIApp:
    """The same as an ASGI application."""
    return plain(*refusal(error, shape, request_id, extra))


def _named(param: str | None, shape: Dialect) -> str | None:
    """The field as this shape calls it."""
    return "format" if param == "response_format" and shape == "nanogpt" else param
