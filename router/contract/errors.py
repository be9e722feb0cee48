"""Everything that can go wrong, drawn as one tree; what may be done next is part of each error.

    SpeechError
    ├── CallerError          the request cannot be served as it is: 4xx
    │   ├── InvalidRequest · UnknownModel · UnknownVoice · UnsupportedFormat
    │   ├── InvalidSampleRate · InputTooLong · BadClip · IdempotencyConflict
    │   └── Unauthenticated (MissingKey) · Forbidden · OutOfCredit · RateLimited
    ├── RouterError          the router itself cannot, now: 5xx
    │   └── Overloaded · Draining · NobodyCan · NobodySpoke · OutOfTime
    └── ProviderError        one provider failed; `remedy` says what to do next
        ├── Refused · Busy (NoSlot) · NotReady · Resting · BadKey · NoCredit
        └── Unreachable (Disconnected) · TimedOut · Broken · NotSpeech

Messages are written for the caller: what is wrong and what is allowed. They never hold text, keys
or bodies; only `Refused` carries an upstream's own words, cleaned and cut.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from router.contract.caller import Standings


class SpeechError(Exception):
    """The root. `reason` is the closed word that headers, metrics and logs use for this class."""

    reason: ClassVar[str] = "error"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        """Seconds after which the same request may succeed; `None`: nobody knows."""


# ---- the caller's


class CallerError(SpeechError):
    """The request's own fault. `param` names the field as the caller's shape calls it."""

    reason = "invalid_request"

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.param = param


class InvalidRequest(CallerError):
    """A field is missing, of the wrong type or out of range; `code` says which of them."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str = "invalid_parameter_value"
    ) -> None:
        super().__init__(message, param=param)
        self.code = code


class UnknownModel(CallerError):
    reason = "unknown_model"


class UnknownVoice(CallerError):
    reason = "unknown_voice"


class UnsupportedFormat(CallerError):
    reason = "unsupported_format"


class InvalidSampleRate(CallerError):
    reason = "invalid_sample_rate"


class InputTooLong(CallerError):
    reason = "input_too_long"


class BadClip(CallerError):
    """The voice sample cannot be used; `code` tells too large from unreadable."""

    reason = "bad_clip"

    def __init__(
        self, message: str, *, param: str = "prompt_audio", code: str = "invalid_prompt_audio"
    ) -> None:
        super().__init__(message, param=param)
        self.code = code


class IdempotencyConflict(CallerError):
    """An Idempotency-Key comes again with another request."""

    reason = "idempotency_conflict"


class Unauthenticated(CallerError):
    reason = "unauthenticated"


class MissingKey(Unauthenticated):
    """There is no key at all."""


class Forbidden(CallerError):
    reason = "forbidden"


class OutOfCredit(CallerError):
    reason = "out_of_credit"


class RateLimited(CallerError):
    """A limit is reached; `code` tells a day's cap from the rest. `is_useless`: a client should not
    try again by itself, because it would wait for long or for ever."""

    reason = "rate_limited"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        code: str = "rate_limit_exceeded",
        is_useless: bool = False,
        standings: Standings | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.code = code
        self.is_useless = is_useless
        self.standings = standings


# ---- the router's


class RouterError(SpeechError):
    """The request was good; the router could not serve it."""

    reason = "router"


class Overloaded(RouterError):
    """No place is free, or every candidate is busy: worth another try after `retry_after`."""

    reason = "overloaded"


class Draining(RouterError):
    """The server is going down."""

    reason = "draining"


class NobodyCan(RouterError):
    """No provider of the route may be asked at all; the message gives a reason for each."""

    reason = "nobody_can"


class NobodySpoke(RouterError):
    """Candidates were asked and all failed."""

    reason = "nobody_spoke"


class OutOfTime(RouterError):
    """The deadline passed, or every candidate was silent for too long."""

    reason = "out_of_time"


# ---- provider's


class Remedy(enum.Enum):
    """What the router may do after a provider's error."""

    NEXT = "next"
    AGAIN = "again"
    """The same provider may be asked once more at once, then the next."""
    LATER = "later"
    """The next first; the same once more after a pause, when nobody else is left."""


class ProviderError(SpeechError):
    """One provider failed. It marks the provider's health where `marks` is true."""

    remedy: ClassVar[Remedy] = Remedy.NEXT
    marks: ClassVar[bool] = True


class Refused(ProviderError):
    """The provider does not accept this request: the request's fault, as that provider sees it."""

    reason = "refused"
    marks = False


class Busy(ProviderError):
    """Its rate or its places are used up."""

    reason = "busy"
    remedy = Remedy.LATER


class NoSlot(Busy):
    """All places that we have for it are in use: no word of the provider's."""

    marks = False


class NotReady(ProviderError):
    """It is still starting, loading or installing."""

    reason = "not_ready"
    marks = False


class Resting(ProviderError):
    """It failed so often of late that it is left alone for a while; it was not asked."""

    reason = "resting"
    marks = False


class BadKey(ProviderError):
    """It does not accept our key: somebody must look."""

    reason = "bad_key"


class NoCredit(ProviderError):
    """Our account there is empty: somebody must look."""

    reason = "no_credit"


class Unreachable(ProviderError):
    """The network or the peer failed before an answer."""

    reason = "unreachable"
    remedy = Remedy.LATER


class Disconnected(Unreachable):
    """A kept connection was closed as the request went out: it was most likely never read, so once
    more is right."""

    remedy = Remedy.AGAIN


class TimedOut(ProviderError):
    """It said nothing for too long."""

    reason = "timed_out"
    remedy = Remedy.LATER


class Broken(ProviderError):
    """It failed in a way that nobody should: a 5xx, a cut body, an exception of its own."""

    reason = "broken"


class NotSpeech(ProviderError):
    """It answered with success and what came is not the speech that was asked for."""

    reason = "not_speech"


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names for a message, at most `most` of them."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
