"""What is made of the headers of W3C Trace Context, and of a config that wants traces."""

from __future__ import annotations

import json
import sys

import pytest

from router.contract.trace import new_span_id, trace_context
from router.settings.load import BadConfig, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("parent", "flags"),
    [
        (PARENT, 1),
        (f" {PARENT} ", 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"00-{TRACE}-{SPAN}-ff", 3),
        (f"cc-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", 1),
    ],
)
def test_a_callers_trace_is_taken_up(parent: str, flags: int) -> None:
    found = trace_context(parent, "", 0.0)

    assert (found.trace_id, found.parent_id, found.flags) == (TRACE, SPAN, flags)
    assert found.span_id not in ("", SPAN)
    assert found.is_sampled == bool(flags & 1)


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "nonsense",
        PARENT.upper(),
        PARENT[:-1],
        PARENT + "0",
        f"{PARENT}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"{PARENT},{PARENT}",
    ],
)
def test_what_is_no_trace_begins_a_new_one(parent: str) -> None:
    found = trace_context(parent, "congo=t61", 1.0)

    assert found.trace_id != TRACE
    assert (found.parent_id, found.state, found.flags) == ("", "", 3)
    assert (len(found.trace_id), len(found.span_id)) == (32, 16)


@pytest.mark.parametrize(
    ("state", "kept"),
    [("congo=t61,rojo=00f", True), ("x" * 512, True), ("x" * 513, False), ("a=\r\nX: 1", False)],
)
def test_a_state_is_passed_on_where_it_is_harmless(state: str, kept: bool) -> None:
    found = trace_context(PARENT, state, 0.0)

    assert found.state == (state if kept else "")
    assert ("tracestate" in found.headers(SPAN)) == kept


def test_an_upstream_is_told_of_the_span_that_asks() -> None:
    span = new_span_id()

    assert trace_context(PARENT, "", 0.0).headers(span) == {"traceparent": f"00-{TRACE}-{span}-01"}


def test_so_many_traces_are_recorded_as_is_wanted() -> None:
    drawn = [trace_context("", "", 0.25) for _ in range(4000)]

    share = sum(one.is_sampled for one in drawn) / len(drawn)
    assert 0.20 < share < 0.30
    assert not any(trace_context("", "", 0.0).is_sampled for _ in range(100))
    assert len({one.trace_id for one in drawn}) == len(drawn)


def parsed(**tracing: object) -> object:
    return parse(json.dumps({"tracing": tracing}), {})


def test_traces_without_the_extra_are_a_mistake_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [name for name in sys.modules if name.startswith("opentelemetry.")]:
        monkeypatch.delitem(sys.modules, name)

    parsed(enabled=False)
    with pytest.raises(BadConfig) as told:
        parsed(enabled=True)

    (problem,) = told.value.problems
    assert problem.path == "tracing.enabled"
    assert problem.remedy == "pip install 'tts-router[otel]'"


@pytest.mark.parametrize(
    ("tracing", "path"),
    [
        ({"endpoint": "collector:4318"}, "tracing.endpoint"),
        ({"endpoint": "http://me:secret@collector/v1/traces"}, "tracing.endpoint"),
        ({"sample_ratio": 1.5}, "tracing.sample_ratio"),
        ({"headers": {"X-Key": "two\nlines"}}, "tracing.headers.X-Key"),
        ({"enable": True}, "tracing.enable"),
    ],
)
def test_a_mistake_is_told_with_its_key(tracing: dict[str, object], path: str) -> None:
    with pytest.raises(BadConfig) as told:
        parsed(**tracing)

    (problem,) = told.value.problems
    assert problem.path == path
    assert "secret" not in str(problem)
