"""Errors outside a speech: what never reached a shape is answered in the envelope of its path."""

from __future__ import annotations

from typing import Any

import structlog
from litestar import Request, Response
from litestar.datastructures import State
from litestar.enums import MediaType
from litestar.exceptions import HTTPException

from router.api.door import request_id
from router.api.errors import BodyTooLarge, NoSuchPath, WrongMethod, refusal
from router.api.guard import dialect_of
from router.api.response import Headers
from router.contract.errors import InvalidRequest, SpeechError

_log = structlog.get_logger(__name__)

AnyRequest = Request[Any, Any, State]


def refused(request: AnyRequest, error: Exception) -> Response[bytes]:
    """An error outside a speech, in the envelope that its path suggests."""
    return _told(request, error, ())


def refused_by_litestar(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """What Litestar itself refuses, in the caller's envelope."""
    extra = [(k.lower().encode(), v.encode()) for k, v in (error.headers or {}).items()]
    said: Exception = error
    if error.status_code == 404:
        said = NoSuchPath(f"There is nothing at this path for {request.method}.")
    elif error.status_code == 405:
        said = WrongMethod("This path takes another method; see the Allow header.")
    elif error.status_code == 413:
        said = BodyTooLarge("The body is too large.")
    elif 400 <= error.status_code < 500:
        said = InvalidRequest(_malformed(error), code="invalid_request")
    return _told(request, said, extra)


def _malformed(error: HTTPException) -> str:
    """What is wrong, by the names of the fields: what was written in them is not repeated."""
    found = error.extra if isinstance(error.extra, list) else []
    told = [
        f"{one.get('key', 'the body')}: {one['message']}"
        for one in found
        if isinstance(one, dict) and isinstance(one.get("message"), str)
    ]
    return f"The request is malformed. {'; '.join(told)[:500]}".strip()


def _told(request: AnyRequest, error: Exception, extra: Headers) -> Response[bytes]:
    if not isinstance(error, SpeechError):
        _log.error("a request failed unexpectedly", exc_info=error)
    shape = dialect_of(request.scope["path"])
    status, headers, body = refusal(error, shape, request_id(request), extra)
    names = {name.decode(): value.decode("latin-1") for name, value in headers}
    return Response(body, status_code=status, headers=names, media_type=MediaType.JSON)
