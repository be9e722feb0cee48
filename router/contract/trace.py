"""Where a request belongs in a trace, as W3C Trace Context tells it (w3.org/TR/trace-context)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import msgspec

_PARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_STATE = re.compile(r"[\x20-\x7e]{1,512}")
"""What everybody has to pass on is 512 characters (section 3.3.1.5); a longer one is dropped."""
_SAMPLED, _RANDOM = 1, 2
"""Flags: the trace is recorded; the end of its id was drawn by chance (level 2 of the standard)."""


class TraceContext(msgspec.Struct, frozen=True):
    """A request's own span, and what stands above it. Ids are lower-case hex, as in the headers."""

    trace_id: str
    span_id: str
    """Of the request's own span."""
    parent_id: str = ""
    """The caller's span; empty: the trace begins here."""
    flags: int = 0
    state: str = ""
    """The caller's `tracestate`, which is passed on as it is."""

    @property
    def is_sampled(self) -> bool:
        """Whether spans of it are kept."""
        return bool(self.flags & _SAMPLED)

    def headers(self, span_id: str) -> Mapping[str, str]:
        """What an upstream is told that works for one of our spans."""
        told = {"traceparent": f"00-{self.trace_id}-{span_id}-{self.flags:02x}"}
        return {**told, "tracestate": self.state} if self.state else told


def trace_context(parent: str, state: str, sample_ratio: float) -> TraceContext:
    """The context of a request that came with these headers; empty ones are none.

    A caller's trace goes on, recorded where the caller records it. Else one begins, which is
    recorded with this probability.
    """
    given = _PARENT.fullmatch(parent.strip())
    if given is None or (given[1] == "00" and given[5]):
        return _begun(sample_ratio)
    return TraceContext(
        trace_id=given[2],
        span_id=new_span_id(),
        parent_id=given[3],
        flags=int(given[4], 16) & (_SAMPLED | _RANDOM),
        state=state if _STATE.fullmatch(state) else "",
    )


def new_span_id() -> str:
    """An id that nobody else has."""
    return os.urandom(8).hex()


def _begun(sample_ratio: float) -> TraceContext:
    trace_id = os.urandom(16).hex()
    is_sampled = int(trace_id[16:], 16) < sample_ratio * 2**64
    return TraceContext(trace_id, new_span_id(), flags=_RANDOM | (_SAMPLED if is_sampled else 0))
