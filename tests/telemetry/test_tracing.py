"""A request's spans as a collector gets them, and what the upstreams are told of the trace."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from router.contract.record import SpeechRecord
from router.contract.trace import trace_context
from router.settings.tracing import Tracing
from router.telemetry import tracing
from router.telemetry.otlp import TIMEOUT_S, Otlp
from router.telemetry.tracing import QUEUE, Ended, Tracer
from router.testing.misbehaving import refuses
from tests.dispatch.indices import words
from tests.support.faults import cuts
from tests.support.indexed import FIRST, SECOND, Scene, World, route, world
from tests.support.scripts import SPEECH
from tests.support.wire import Answer, exchange
from tests.telemetry.collector import Collector, collecting

TEXT = words(40)
KEY = "sk-for-the-collector-0123"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
SERVER, CLIENT, INTERNAL = 2, 3, 1
"""Of a span's kind, by the protocol."""
PARTS = {"plan", "first audio", "encode"}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(
    collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    config = {
        "models": {"it": route(FIRST, SECOND), "alone": route(FIRST)},
        "timeouts": {"retry_pause_s": 0},
        "tracing": {
            "enabled": True,
            "endpoint": collector.url,
            "service_name": "speech-of-a-test",
            "headers": {"X-Key": KEY},
        },
    }
    async with world(tmp_path_factory.mktemp("tracing"), config) as there:
        yield there


async def said(there: World, id: str, model: str = "it", **headers: str) -> Answer:
    body = {"model": model, "input": TEXT, "voice": "alloy", "response_format": "pcm"}
    return await exchange(there.url, SPEECH, body, headers={"X-Request-ID": id, **headers})


def traced(scene: Scene) -> list[str]:
    """The `traceparent` of each request for speech that an upstream got."""
    asked = [request for request in scene.upstream.requests if request.path.endswith("/speech")]
    return [request.headers["traceparent"] for request in asked]


async def test_a_request_is_one_span_with_its_parts_below(
    there: World, collector: Collector
) -> None:
    await there.heal()
    answer = await said(there, "whole")
    request, parts = await collector.of("whole")

    assert parts.keys() == PARTS | {"attempt first"}, "and none for each of its chunks"
    assert (request.name, request.kind) == ("POST /v1/audio/speech", SERVER)
    assert request.parent_id == ""
    assert not any(span.is_error for span in (request, *parts.values()))
    told = {
        "http.request.method": "POST",
        "http.route": "/v1/audio/speech",
        "http.response.status_code": 200,
        "gen_ai.request.model": "it",
        "gen_ai.output.type": "speech",
        "tts.outcome": "spoken",
        "tts.characters": len(TEXT),
        "tts.provider": "first",
    }
    assert told.items() <= request.attributes.items()
    assert parts["encode"].attributes["tts.audio_bytes"] == len(answer.body)
    attempt = parts["attempt first"]
    assert attempt.kind == CLIENT
    assert attempt.attributes["gen_ai.provider.name"] == "first"
    assert {parts[name].kind for name in PARTS} == {INTERNAL}
    assert collector.resource["service.name"] == "speech-of-a-test"
    assert collector.headers[-1]["x-key"] == KEY


async def test_the_parts_lie_where_they_were_in_time(there: World, collector: Collector) -> None:
    await there.heal()
    before_ns = time.time_ns()
    await said(there, "in-time")
    after_ns = time.time_ns()
    request, parts = await collector.of("in-time")

    slack_ns = 50_000_000
    assert before_ns - slack_ns < request.begins_ns < request.ends_ns < after_ns + slack_ns
    for part in parts.values():
        assert request.begins_ns <= part.begins_ns <= part.ends_ns <= request.ends_ns + 1_000
    plan, waiting, encode = parts["plan"], parts["first audio"], parts["encode"]
    assert plan.ends_ns == waiting.begins_ns
    assert waiting.ends_ns == encode.begins_ns
    assert encode.ends_ns == request.ends_ns
    attempt = parts["attempt first"]
    assert waiting.begins_ns <= attempt.begins_ns <= attempt.ends_ns <= waiting.ends_ns


async def test_each_upstream_works_below_its_own_attempt(
    there: World, collector: Collector
) -> None:
    await there.heal()
    there.first.behaves = refuses(500)
    await said(there, "fallback")
    request, parts = await collector.of("fallback")

    failed, spoken = parts["attempt first"], parts["attempt second"]
    assert (failed.is_error, failed.attributes["error.type"]) == (True, "broken")
    assert not spoken.is_error
    assert not request.is_error, "it was spoken in the end"
    assert request.attributes["tts.fallback"] == "first=broken"
    assert traced(there.first) == [f"00-{request.trace_id}-{failed.span_id}-03"]
    assert traced(there.second) == [f"00-{request.trace_id}-{spoken.span_id}-03"]


async def test_a_callers_trace_goes_on(there: World, collector: Collector) -> None:
    await there.heal()
    await said(there, "goes-on", Traceparent=PARENT, Tracestate="congo=t61rcWkgMzE,rojo=00f067")
    request, parts = await collector.of("goes-on")

    assert (request.trace_id, request.parent_id) == (TRACE, SPAN)
    assert {part.trace_id for part in parts.values()} == {TRACE}
    assert request.state == "congo=t61rcWkgMzE,rojo=00f067"
    assert traced(there.first) == [f"00-{TRACE}-{parts['attempt first'].span_id}-01"]
    (asked,) = there.first.upstream.requests
    assert asked.headers["tracestate"] == "congo=t61rcWkgMzE,rojo=00f067"


async def test_what_the_caller_does_not_record_is_not_recorded(
    there: World, collector: Collector
) -> None:
    await there.heal()
    await said(there, "not-recorded", Traceparent=PARENT[:-2] + "00")
    await said(there, "recorded")
    await collector.of("recorded")

    assert not any("not-recorded" in span.attributes.values() for span in collector.spans)
    first, _ = traced(there.first)
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-00", first), "but the trace is told"


async def test_each_piece_of_a_job_is_a_span_of_its_own(there: World, collector: Collector) -> None:
    await there.heal()
    body = {"model": "it", "input": TEXT, "voice": "alloy", "response_format": "wav"}
    assert (await exchange(there.url, f"{SPEECH}/jobs", body)).status in (200, 201, 202)

    def piece() -> str | None:
        found = (span for span in collector.spans if span.name == "jobs")
        return next((span.attributes["tts.request_id"] for span in found), None)

    await collector.until(lambda _: piece() is not None)
    request, parts = await collector.of(piece() or "")
    assert request.kind == INTERNAL
    assert parts.keys() == PARTS | {"attempt first"}
    span = parts["attempt first"].span_id
    assert f"00-{request.trace_id}-{span}-03" in traced(there.first)


async def test_a_refusal_is_no_failure_of_ours(there: World, collector: Collector) -> None:
    await there.heal()
    await said(there, "refused", model="nobody")
    request, parts = await collector.of("refused")

    assert request.attributes["http.response.status_code"] == 404
    assert request.attributes["tts.reason"] == "unknown_model"
    assert not request.is_error
    assert parts.keys() <= {"plan"}


async def test_a_failure_and_a_broken_speech_are_errors(there: World, collector: Collector) -> None:
    await there.heal()
    there.first.behaves = refuses(500)
    assert (await said(there, "failed", model="alone")).status == 502
    await there.heal()
    there.first.proxy.chooses = lambda _: cuts(5_000)
    assert not (await said(there, "broken", model="alone")).whole
    failed, _ = await collector.of("failed")
    broken, parts = await collector.of("broken")

    assert (failed.is_error, failed.attributes["error.type"]) == (True, "nobody_spoke")
    assert broken.is_error
    assert broken.attributes["http.response.status_code"] == 200
    assert parts["encode"].is_error
    assert not parts["attempt first"].is_error, "it had begun to speak"


async def test_nobodys_words_and_no_key_are_sent(there: World, collector: Collector) -> None:
    await there.heal()
    await said(there, "words", Authorization="Bearer sk-of-a-caller-4711")
    await collector.of("words")

    sent = b"".join(collector.bodies)
    assert b"words" in sent
    for hidden in (TEXT, TEXT[:20], "sk-of-a-caller-4711", KEY, "127.0.0.1"):
        assert hidden.encode() not in sent


async def test_a_collector_that_refuses_harms_nobody(there: World, collector: Collector) -> None:
    await there.heal()
    collector.status = 400
    try:
        assert (await said(there, "in-vain")).status == 200
        lost = "traces are not taken"
        await asyncio.to_thread(there.server.log.until, lambda log: lost in log.text)
    finally:
        collector.status = 200
    await said(there, "again")
    await collector.of("again")

    again = "traces are taken again"
    await asyncio.to_thread(there.server.log.until, lambda log: again in log.text)
    assert there.server.log.text.count(lost) == 1
    assert "opentelemetry" not in there.server.log.text


async def test_what_is_not_taken_for_a_moment_is_sent_again(
    there: World, collector: Collector
) -> None:
    await there.heal()
    collector.status, before = 503, len(collector.headers)
    try:
        await said(there, "sent-again")
        await collector.until(lambda seen: len(seen.headers) > before)
    finally:
        collector.status = 200

    await collector.of("sent-again")


async def test_sending_is_given_up_after_its_time_and_not_tried_again_once_it_is_closed(
    collector: Collector,
) -> None:
    collector.stalls, before = True, len(collector.headers)
    sink = Otlp(Tracing(enabled=True, endpoint=collector.url))
    made = record(1)
    assert made.trace is not None
    try:
        sending = asyncio.to_thread(sink.send, [(made, made.trace, time.time_ns())])
        task = asyncio.ensure_future(sending)
        await collector.until(lambda seen: len(seen.headers) > before)
        began = time.perf_counter()
        sink.close()
        assert not await task
    finally:
        collector.stalls = False

    assert time.perf_counter() - began < TIMEOUT_S + 2.0


async def test_what_waits_is_sent_when_the_server_ends(
    collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = {
        "models": {"it": route(FIRST)},
        "tracing": {"enabled": True, "endpoint": collector.url},
    }
    async with world(tmp_path_factory.mktemp("last"), config) as there:
        await said(there, "the-last")

    await collector.of("the-last")


class Stuck:
    """A sink that never gives an answer until it is closed."""

    def __init__(self) -> None:
        self.entered, self._closed = threading.Event(), threading.Event()
        self.sent: list[Ended] = []

    def send(self, ended: Sequence[Ended]) -> bool:
        self.sent += ended
        self.entered.set()
        self._closed.wait(10)
        return False

    def close(self) -> None:
        self._closed.set()


def record(number: int) -> SpeechRecord:
    made = SpeechRecord(request_id=str(number), shape="openai", opened=0.0)
    made.trace = trace_context("", "", 1.0)
    return made


async def test_a_collector_that_hangs_fills_the_queue_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "CLOSE_S", 0.2)
    sink = Stuck()
    tracer = Tracer(sink)
    tracer.start()
    tracer.recorded(record(0))
    tracer._wake.set()
    assert await asyncio.to_thread(sink.entered.wait, 5)

    began = time.perf_counter()
    for number in range(QUEUE + 500):
        tracer.recorded(record(number))
    took_s = time.perf_counter() - began
    assert tracer.dropped == 500
    assert took_s < 1.0, "nobody waited"

    began = time.perf_counter()
    await tracer.close()
    assert time.perf_counter() - began < 2.0
    await asyncio.to_thread(tracer._thread.join, 5)
    assert not tracer._thread.is_alive()


async def test_a_trace_that_is_not_recorded_costs_no_span() -> None:
    sink = Stuck()
    tracer = Tracer(sink)
    made = record(1)
    made.trace = trace_context("", "", 0.0)
    tracer.recorded(made)
    tracer.recorded(SpeechRecord(request_id="2", shape="say", opened=0.0))

    assert not tracer._queue
