"""One table from the statuses of an upstream to the errors of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isnan
from typing import Any

import msgspec

from router.contract.errors import (
    BadKey,
    Broken,
    Busy,
    NoCredit,
    ProviderError,
    Refused,
    TimedOut,
)

_LONGEST_WORDS = 200
_LONGEST_WAIT_S = 86_400.0
"""NanoGPT's daily limits end at midnight: a day is the longest wait that means anything."""

_REFUSING = frozenset({400, 404, 409, 410, 411, 413, 414, 415, 422, 451})
_EMPTY_ACCOUNT = frozenset({"insufficient_quota", "credit_balance_exhausted"})
"""OpenAI says 429 to an empty account and tells it from a rate by `type` or `code`
(developers.openai.com/docs/guides/error-codes)."""


def failure(
    name: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    private: Sequence[str] = (),
) -> ProviderError:
    """What an answer other than 2xx means. `name` is the provider's; what is in `private` is
    blotted out of the upstream's words. `headers` are looked up in lower case."""
    wait_s = retry_after(headers.get("retry-after"))
    if status in _REFUSING:
        said = words(body, headers.get("content-type", ""), private)
        return Refused(f"{name} refused: {said}" if said else f"{name} refused (HTTP {status})")
    if status in (401, 403):
        return BadKey(f"{name} does not accept our key (HTTP {status})")
    if status == 402:
        return NoCredit(f"our account at {name} is empty (HTTP 402)")
    if status == 429:
        if _EMPTY_ACCOUNT.intersection(_codes(_decoded(body))):
            return NoCredit(f"our account at {name} is empty (HTTP 429)")
        return Busy(f"{name} is busy (HTTP 429)", retry_after=wait_s)
    if status in (408, 504):
        return TimedOut(f"{name} took too long for itself (HTTP {status})")
    if status == 503 and wait_s is not None:
        return Busy(f"{name} is busy (HTTP 503)", retry_after=wait_s)
    if 300 <= status < 400:
        return Broken(f"{name} redirects, which is not followed (HTTP {status}): see its base_url")
    return Broken(f"{name} failed (HTTP {status})")


def retry_after(value: str | None) -> float | None:
    """Seconds to wait by a `Retry-After` header: a number or an HTTP date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        wait_s = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        wait_s = (date - datetime.now(UTC)).total_seconds()
    if isnan(wait_s):
        return None
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)


def words(body: bytes, media_type: str, private: Sequence[str] = ()) -> str:
    """An upstream's own words in an error body, fit to be shown: without control characters, of at
    most 200 characters, without anything `private`. Empty where there are none, as in HTML."""
    decoded = _decoded(body)
    if decoded is not None:
        said = _said(decoded)
    elif media_type.startswith("text/plain"):
        said = body.decode(errors="replace")
    else:
        said = ""
    return cleaned(said, private)


def cleaned(said: str, private: Sequence[str] = ()) -> str:
    """`said` on one line, blotted and cut."""
    for secret in sorted(filter(None, private), key=len, reverse=True):
        said = said.replace(secret, "…")
    said = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    return said if len(said) <= _LONGEST_WORDS else said[: _LONGEST_WORDS - 1] + "…"


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _said(decoded: Any) -> str:
    """The envelopes in the wild: `{"error": {"message"}}` (OpenAI), `{"error": "…"}` (NanoGPT's
    older paths), `{"detail": "…"}` or `{"detail": [{"msg"}]}` (FastAPI), `{"message": "…"}`."""
    if isinstance(decoded, str):
        return decoded
    if isinstance(decoded, list):
        return "; ".join(filter(None, map(_said, decoded[:3])))
    if isinstance(decoded, dict):
        for key in ("error", "detail", "message", "msg"):
            if said := _said(decoded.get(key)):
                return said
    return ""


def _codes(decoded: Any) -> Iterator[str]:
    if isinstance(decoded, dict):
        yield from (decoded[key] for key in ("type", "code") if isinstance(decoded.get(key), str))
        yield from _codes(decoded.get("error"))
