"""Spans as OTLP over HTTP, by OpenTelemetry's own exporter, in a thread that lets others go first.

A request's spans are known only when it is over, so they are made as ended ones; no tracer and no
processor of the SDK is at work on the way of a request.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from router import __version__
from router.contract.trace import TraceContext
from router.settings.tracing import Tracing
from router.telemetry.spans import Span, spans_of

if TYPE_CHECKING:
    from router.telemetry.tracing import Ended

TIMEOUT_S = 5.0
"""For a batch, with all tries of the exporter."""
_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_SCOPE = InstrumentationScope("tts-router", __version__)


class Otlp:
    """Makes spans of records and posts them; used by one thread, closed by any."""

    def __init__(self, wanted: Tracing) -> None:
        self._resource = Resource(
            {"service.name": wanted.service_name, "service.version": __version__}
        )
        self._exporter = OTLPSpanExporter(
            endpoint=wanted.endpoint,
            headers={name: value.reveal() for name, value in wanted.headers.items()},
            timeout=TIMEOUT_S,
            compression=Compression.Gzip,
        )

    def send(self, ended: Sequence[Ended]) -> bool:
        spans: list[ReadableSpan] = []
        for record, trace, ended_ns in ended:
            opened_ns = ended_ns - _ns(record.total_s)
            spans += [self._drawn(span, trace, opened_ns) for span in spans_of(record, trace)]
            time.sleep(0)  # whoever waits for the interpreter gets it
        return self._exporter.export(spans) is SpanExportResult.SUCCESS

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the library's

    def _drawn(self, span: Span, trace: TraceContext, opened_ns: int) -> ReadableSpan:
        attributes = span.attributes
        if span.error:
            attributes = {**attributes, "error.type": span.error}
        return ReadableSpan(
            name=span.name,
            context=_context(trace, span.span_id),
            parent=_context(trace, span.parent_id) if span.parent_id else None,
            resource=self._resource,
            attributes=attributes,
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR if span.error else StatusCode.UNSET),
            start_time=opened_ns + _ns(span.begins_s),
            end_time=opened_ns + _ns(max(span.begins_s, span.ends_s)),
            instrumentation_scope=_SCOPE,
        )


def _context(trace: TraceContext, span_id: str) -> SpanContext:
    return SpanContext(
        int(trace.trace_id, 16),
        int(span_id, 16),
        is_remote=span_id == trace.parent_id,
        trace_flags=TraceFlags(trace.flags),
        trace_state=TraceState.from_header([trace.state]) if trace.state else None,
    )


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
