"""What a request looks like in a trace: its spans, drawn from the record after all is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from router.contract.record import Attempt, SpeechRecord
from router.contract.trace import TraceContext, new_span_id

Value = str | int | float | bool
SpanKind = Literal["server", "client", "internal"]
_FAILED = ("failed", "broken")


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a request. Times are seconds after the request was opened."""

    name: str
    kind: SpanKind = "internal"
    span_id: str
    parent_id: str
    begins_s: float
    ends_s: float
    attributes: Mapping[str, Value] = {}
    error: str = ""
    """The word for what went wrong; empty: nothing that is ours."""


def spans_of(record: SpeechRecord, trace: TraceContext) -> list[Span]:
    """The request first, then what it did in the order in which that began."""
    children = sorted(_children(record, trace.span_id), key=lambda span: span.begins_s)
    return [_request(record, trace), *children]


def _request(record: SpeechRecord, trace: TraceContext) -> Span:
    method, _, route = record.endpoint.partition(" ")
    is_ours = record.outcome in _FAILED or record.status >= 500
    return Span(
        name=record.endpoint or record.shape,
        kind="server" if record.endpoint else "internal",
        span_id=trace.span_id,
        parent_id=trace.parent_id,
        begins_s=0.0,
        ends_s=record.total_s,
        error=(record.reason or record.outcome) if is_ours else "",
        attributes=_known(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": record.status,
                **_as_generated(record.model),
                "gen_ai.response.model": record.upstream_model,
                "tts.request_id": record.request_id,
                "tts.shape": record.shape,
                "tts.outcome": record.outcome,
                "tts.reason": record.reason,
                "tts.provider": record.provider,
                "tts.voice": record.voice,
                "tts.language": record.language,
                "tts.characters": record.characters,
                "tts.fallback": record.fallback,
                "tts.cache": record.cache,
                "tts.place_s": record.place_s,
                "tts.shared": record.shared or None,
                "tts.hedged": record.hedged or None,
                "tts.repeat": record.repeat or None,
                "tts.clone": record.clone or None,
            }
        ),
    )


def _children(record: SpeechRecord, parent_id: str) -> Iterator[Span]:
    yield from (_attempt(attempt, parent_id) for attempt in record.attempts)
    understood_s, planned_s = record.understood_s, record.planned_s
    if understood_s is not None:
        yield Span(
            name="plan",
            span_id=new_span_id(),
            parent_id=parent_id,
            begins_s=understood_s,
            ends_s=record.total_s if planned_s is None else planned_s,
        )
    if record.first_audio_s is None or planned_s is None:
        return
    yield Span(
        name="first audio",
        span_id=new_span_id(),
        parent_id=parent_id,
        begins_s=planned_s,
        ends_s=record.first_audio_s,
    )
    yield Span(
        name="encode",
        span_id=new_span_id(),
        parent_id=parent_id,
        begins_s=record.first_audio_s,
        ends_s=record.total_s,
        error=record.reason if record.outcome == "broken" else "",
        attributes=_known(
            {
                "tts.format": record.format,
                "tts.audio_s": record.audio_s,
                "tts.audio_bytes": record.audio_bytes,
                "tts.pieces": record.pieces or None,
                "tts.resumed": record.resumed or None,
            }
        ),
    )


def _attempt(attempt: Attempt, parent_id: str) -> Span:
    """One provider, until its first sound or its failure: whatever the upstream draws hangs
    below."""
    went_well = attempt.result in ("spoken", "abandoned")
    return Span(
        name=f"attempt {attempt.provider}",
        kind="client",
        span_id=attempt.span_id or new_span_id(),
        parent_id=parent_id,
        begins_s=attempt.started_s,
        ends_s=attempt.started_s + attempt.seconds,
        error="" if went_well else attempt.result,
        attributes=_known(
            {
                "gen_ai.provider.name": attempt.provider,
                **_as_generated(attempt.model),
                "tts.result": attempt.result,
                "tts.slot_s": attempt.waited_s,
                "tts.first_audio_s": attempt.first_audio_s,
            }
        ),
    )


def _as_generated(model: str) -> Mapping[str, Value | None]:
    """OpenTelemetry's conventions for generative models, as far as they fit speech
    (opentelemetry.io/docs/specs/semconv/gen-ai, 1.37)."""
    return {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.output.type": "speech",
        "gen_ai.request.model": model,
    }


def _known(attributes: Mapping[str, Value | None]) -> Mapping[str, Value]:
    """Without what is not known."""
    return {name: value for name, value in attributes.items() if value not in (None, "")}
