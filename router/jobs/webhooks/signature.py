"""Signs a message, so that its receiver knows that it is ours and not old.

After Standard Webhooks 1.0 (github.com/standard-webhooks, the specification, of 2026-11-21): the
symmetric scheme `v1`, HMAC-SHA256 over `id.timestamp.body`.
"""

from __future__ import annotations

import base64
import hmac

from router.contract.provider import Secret
from router.settings.webhook_secret import PREFIX, key_of

__all__ = ["key_of", "secret_for", "signed"]


def secret_for(installation: Secret, owner: str) -> Secret:
    """The secret of one owner's messages: the same at any time and in any process that has the
    installation's own, of which it tells nothing."""
    key = hmac.digest(installation.reveal().encode(), b"webhooks:" + owner.encode(), "sha256")
    return Secret(PREFIX + base64.b64encode(key).decode())


def signed(key: bytes, id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers of a message that is sent at this Unix time; each try has its own."""
    digest = hmac.digest(key, f"{id}.{at_s}.".encode() + body, "sha256")
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
