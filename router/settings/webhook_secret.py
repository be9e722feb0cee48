"""The secret that signs webhooks, as Standard Webhooks writes it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from router.contract.provider import Secret
from router.settings.jobs import Webhooks
from router.settings.problems import Problem

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
"""By the specification."""


def key_of(secret: Secret) -> bytes:
    """The bytes that sign.

    Raises:
        ValueError: it is not `whsec_` and 24 to 64 bytes in base64.
    """
    letters = secret.reveal().strip()
    encoded = letters.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not letters.startswith(PREFIX) or not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise ValueError(f"is not {PREFIX} and {LEAST_BYTES} to {MOST_BYTES} bytes in base64")
    return key


def wrong(webhooks: Webhooks) -> Iterator[Problem]:
    """A secret that is none."""
    try:
        if webhooks.secret is not None:
            key_of(webhooks.secret)
    except ValueError as error:
        remedy = f"make one: echo {PREFIX}$(openssl rand -base64 32)"
        yield Problem("jobs.webhooks.secret", str(error), remedy)
