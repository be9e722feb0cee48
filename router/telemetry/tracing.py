"""Sends the spans of requests to a collector: in a thread of its own, as many as there is room for.

A record is put into a bounded queue and costs the loop nothing more. What comes while the queue is
full is dropped and counted; a collector that is slow or away harms nobody.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import structlog

from router.contract.record import Event, SpeechRecord
from router.contract.trace import TraceContext
from router.settings.tracing import Tracing

if TYPE_CHECKING:
    from router.telemetry.otlp import Otlp

_log = structlog.get_logger(__name__)

QUEUE = 2048
"""Requests that wait to be sent."""
BATCH = 128
EVERY_S = 1.0
CLOSE_S = 5.0
"""The longest that the end of the server waits for the last spans to be taken."""

Ended = tuple[SpeechRecord, TraceContext, int]
"""A request, where it belongs, and when it ended: Unix nanoseconds."""


class Sink(Protocol):
    """Where spans go."""

    def send(self, ended: Sequence[Ended]) -> bool:
        """Whether they were taken; it blocks for as long as its own limits allow."""
        ...

    def close(self) -> None:
        """Give up what is being sent, at once. May be called while another thread sends."""
        ...


class Tracer:
    """An observer that has the requests of sampled traces sent."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._queue: deque[Ended] = deque()
        self._wake = threading.Event()
        self._is_over = False
        self._is_lost = False
        self._done = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self.dropped = 0
        """Requests for which there was no room, since they were last told."""

    def recorded(self, record: SpeechRecord) -> None:
        trace = record.trace
        if trace is None or not trace.is_sampled:
            return
        if len(self._queue) >= QUEUE:
            self.dropped += 1
            return
        self._queue.append((record, trace, time.time_ns()))
        if len(self._queue) >= BATCH:
            self._wake.set()

    def noticed(self, event: Event) -> None:
        """Attempts are in the records."""

    def start(self) -> None:
        self._thread.start()

    async def close(self) -> None:
        """Send what waits, for at most `CLOSE_S`."""
        self._is_over = True
        self._wake.set()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._done.wait()
        except TimeoutError:
            _log.warning("traces are lost", requests=len(self._queue))
            self._queue.clear()
        self._sink.close()

    def _run(self) -> None:
        while not self._is_over:
            self._wake.wait(EVERY_S)
            self._wake.clear()
            self._send_all()
        self._send_all()
        with suppress(RuntimeError):  # the loop has not waited for us
            self._loop.call_soon_threadsafe(self._done.set)

    def _send_all(self) -> None:
        while batch := self._batch():
            try:
                is_taken = self._sink.send(batch)
            except Exception as error:  # a library's bug must not end the thread
                _log.error("spans cannot be made", error=type(error).__name__)
                is_taken = False
            self._tell(is_taken)

    def _batch(self) -> list[Ended]:
        taken: list[Ended] = []
        while self._queue and len(taken) < BATCH:
            taken.append(self._queue.popleft())
        return taken

    def _tell(self, is_taken: bool) -> None:
        """A line when it is lost or back, and when there was no room: not one for each batch."""
        if is_taken == self._is_lost:
            self._is_lost = not is_taken
            tell = _log.info if is_taken else _log.warning
            tell("traces are taken again" if is_taken else "traces are not taken: see tracing")
        if self.dropped and is_taken:
            _log.warning("traces were dropped", requests=self.dropped)
            self.dropped = 0


@asynccontextmanager
async def tracing(wanted: Tracing) -> AsyncIterator[Sequence[Tracer]]:
    """The observer, while the block lasts; none where no traces are wanted. What it needs is
    imported here, in a thread."""
    if not wanted.enabled:
        yield ()
        return
    tracer = Tracer(await asyncio.to_thread(_otlp, wanted))
    tracer.start()
    try:
        yield (tracer,)
    finally:
        await tracer.close()


def _otlp(wanted: Tracing) -> Otlp:
    from router.telemetry.otlp import Otlp  # noqa: PLC0415  # an extra: it may not be installed

    return Otlp(wanted)
