"""How NanoGPT's flow of jobs tells an error: its clients read `error` as a string.

Source: Nano-GPT-com/docs, api-reference/endpoint/tts.mdx and miscellaneous/error-handling.mdx
(2026-08-22).
"""

from __future__ import annotations

import msgspec

from router.accounts.errors import NotEnough
from router.accounts.price import credits_of
from router.contract.errors import OutOfCredit

NO_CREDIT = "Insufficient balance"
"""By these words its clients know that the credit is used up."""


class JobEnvelope(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The body of a refusal."""

    error: str
    status: int
    code: str | None = None
    param: str | None = None
    message: str | None = None
    """What is missing, where `error` is the word that clients know."""
    required_balance: float | None = None
    """Credits that the request may cost."""


def envelope_of(
    error: Exception, message: str, status: int, *, code: str | None, param: str | None
) -> JobEnvelope:
    """The body for an error that is told with this status."""
    if not isinstance(error, OutOfCredit):
        return JobEnvelope(message, status, code, param)
    needed = float(credits_of(error.required_nano)) if isinstance(error, NotEnough) else None
    return JobEnvelope(NO_CREDIT, status, code, message=message, required_balance=needed)
