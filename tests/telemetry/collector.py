"""A collector of the test's own: takes OTLP over HTTP, and keeps the spans."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

WITHIN_S = 10.0


class Taken(msgspec.Struct, frozen=True):
    """A span as it came. Times are Unix nanoseconds."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    begins_ns: int
    ends_ns: int
    is_error: bool
    attributes: dict[str, Any]


class Collector:
    """What came, and how it answers."""

    def __init__(self) -> None:
        self.spans: list[Taken] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.resource: dict[str, Any] = {}
        self.status = 200
        self.stalls = False
        self.url = ""
        self._changed = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("content-encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self._changed.set()
        if self.stalls:
            await asyncio.Event().wait()
        if self.status == 200:
            self.bodies.append(body)
            self._keep(ExportTraceServiceRequest.FromString(body))
        self._changed.set()
        return web.Response(
            status=self.status,
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )

    async def until(self, condition: Callable[[Collector], bool]) -> None:
        """Wait for what becomes true with an export."""
        async with asyncio.timeout(WITHIN_S):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def of(self, request_id: str) -> tuple[Taken, dict[str, Taken]]:
        """The span of a request once it has come, and its children by name."""

        def root() -> Taken | None:
            wanted = (s for s in self.spans if s.attributes.get("tts.request_id") == request_id)
            return next(wanted, None)

        await self.until(lambda _: root() is not None)
        found = root()
        assert found is not None
        below = [span for span in self.spans if span.parent_id == found.span_id]
        assert len({span.name for span in below}) == len(below), below
        return found, {span.name: span for span in below}

    def _keep(self, sent: ExportTraceServiceRequest) -> None:
        for resource in sent.resource_spans:
            self.resource = _attributes(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_taken(span) for span in scope.spans]


def _taken(span: Any) -> Taken:
    return Taken(
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        state=span.trace_state,
        begins_ns=span.start_time_unix_nano,
        ends_ns=span.end_time_unix_nano,
        is_error=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector that listens on a free port of loopback."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    try:
        yield collector
    finally:
        await runner.cleanup()
