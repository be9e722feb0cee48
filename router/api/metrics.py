"""`GET /metrics`: what Prometheus reads, on the server's port or on one of its own.

Its key opens it. Without one, a server without keys shows it to whomever it answers, and a server
with keys to the admin: a proxy on this machine makes every caller local, so an address proves
nothing. A port of its own without a key listens on this machine alone.
"""

from __future__ import annotations

import hashlib
import hmac

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.types import ASGIApp

from router.accounts.gate import KeyedGate
from router.api.body import ApiRequest
from router.api.door import Door, credential, door_of
from router.api.errors import NoSuchPath
from router.api.response import plain
from router.api.sampling import sampled
from router.contract.errors import MissingKey, Unauthenticated
from router.contract.provider import Secret
from router.jobs.office import Office
from router.settings.metrics import Metrics
from router.telemetry.exposition import Exposition, Text


class MetricsController(Controller):
    """For the machine that watches this one."""

    tags = ("Operations",)

    @get("/metrics", summary="Metrics, in Prometheus' text format or OpenMetrics")
    async def metrics(
        self,
        request: ApiRequest,
        door: NamedDependency[Door],
        exposition: NamedDependency[Exposition],
    ) -> ASGIApp:
        wanted = door.settings.metrics
        if not wanted.enabled or wanted.port is not None:
            raise NoSuchPath(f"There is nothing at this path for {request.method}.")
        await check_reader(request, wanted)
        office: Office | None = request.scope["state"]["office"]
        text = await scraped(door, office, exposition, request.headers.get("accept", ""))
        return plain(200, [(b"content-type", text.media_type.encode())], text.body)


async def check_reader(request: ApiRequest, wanted: Metrics) -> None:
    """Raises Unauthenticated, Forbidden or RateLimited."""
    given = credential(request)
    if wanted.key is not None:
        check_key(given, wanted.key)
        return
    gate: KeyedGate | None = request.scope["state"]["keyed"]
    if gate is not None:
        await gate.check_admin(given, door_of(request).address(request))


def check_key(given: Secret | None, right: Secret) -> None:
    """Compare in constant time. Raises Unauthenticated."""
    if given is None:
        raise MissingKey("The metrics key is required: Authorization: Bearer <key>.")
    one, other = (hashlib.sha256(key.reveal().encode()).digest() for key in (given, right))
    if not hmac.compare_digest(one, other):
        raise Unauthenticated("This is not the metrics key.")


async def scraped(door: Door, office: Office | None, exposition: Exposition, accept: str) -> Text:
    """Everything, as it is now."""
    return await exposition.text(await sampled(door.speaker, door.house, office), accept)
