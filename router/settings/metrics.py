"""What may be written of the metrics: whether and where they can be read, and by whom."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from router.contract.provider import Secret


class Metrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`/metrics`, as Prometheus reads it."""

    enabled: bool = True
    port: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    """A port of their own; `None`: that of the server."""
    host: str = "127.0.0.1"
    """Where that port listens."""
    key: Secret | None = None
    """Who reads them has to have it; `None`: on the server's port whoever may look at a server
    without keys, and with keys the admin; on a port of their own everybody who reaches it."""
