"""How a caller wants to be served, from the headers of the request."""

from __future__ import annotations

import re

from router.api.body import ApiRequest
from router.contract.errors import InvalidRequest
from router.contract.speech import Terms

_LONGEST_KEY = 255
_LONGEST_NAME = 256
_SECONDS = re.compile(r"\d{1,6}(\.\d{1,3})?")


def terms_of(request: ApiRequest) -> Terms:
    """Raises InvalidRequest, naming the header."""
    headers = request.headers
    return Terms(
        prefer=_prefer(headers.get("x-tts-prefer", "")),
        within_s=_within(headers.get("x-request-timeout", "")),
        idempotency_key=idempotency_key(request),
        fresh="no-cache" in headers.get("cache-control", "").lower()
        or "no-store" in headers.get("cache-control", "").lower(),
    )


def idempotency_key(request: ApiRequest) -> str | None:
    """The caller's own name for what is to be paid once. Raises InvalidRequest."""
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > _LONGEST_KEY:
        raise InvalidRequest(f"Idempotency-Key is longer than {_LONGEST_KEY} characters.")
    return key or None


def _prefer(wish: str) -> str | None:
    wish = wish.strip()
    if len(wish) > _LONGEST_NAME:
        raise InvalidRequest("X-TTS-Prefer must be fastest, cheapest or the name of a provider.")
    return wish or None


def _within(limit: str) -> float | None:
    limit = limit.strip()
    if not limit:
        return None
    if not _SECONDS.fullmatch(limit) or float(limit) == 0:
        raise InvalidRequest("X-Request-Timeout must be seconds, such as 10 or 2.5.")
    return float(limit)
