"""Events of a job while nothing happens, and when the server goes down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from router.api import job_events
from router.contract.audio import AudioFormat
from router.dispatch.house import House
from router.jobs.job import Job
from tests.api.jobbed import JOBS, Caller, jobbed

JOB = Job(
    id=f"run_{'a' * 22}",
    owner="local",
    state="queued",
    shape="openai",
    model="it",
    asked_model="it",
    voice="alloy",
    format=AudioFormat("mp3"),
    characters=1,
    created_ms=0,
    until_ms=0,
)


class Silent:
    """A job that is told once, of which nothing more is heard."""

    def __init__(self) -> None:
        self.is_left = False

    async def seen(self) -> AsyncGenerator[Job, None]:
        yield JOB
        try:
            await asyncio.Event().wait()
        finally:
            self.is_left = True


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_events, "QUIET_S", 0.04)
    monkeypatch.setattr(job_events, "_LOOK_S", 0.01)


async def read(seen: AsyncIterator[Job], house: House, count: int) -> list[bytes]:
    """So many parts of the stream, or all of it."""
    found: list[bytes] = []
    async with aclosing(job_events.stream(seen, "http://here", house)) as events:
        async for part in events:
            found.append(part)
            if len(found) == count:
                break
    return found


@pytest.mark.usefixtures("hurried")
async def test_what_is_silent_sends_a_comment_from_time_to_time() -> None:
    job = Silent()
    async with asyncio.timeout(5), aclosing(job.seen()) as seen:
        first, *rest = await read(seen, House(), 4)

    assert first.startswith(b"id: 1\nevent: progress\ndata: {")
    assert rest == [b": still here\n\n"] * 3
    assert job.is_left


@pytest.mark.usefixtures("hurried")
async def test_a_server_that_goes_down_ends_the_stream() -> None:
    house, job = House(), Silent()
    asyncio.get_running_loop().call_later(0.02, house.close)

    async with asyncio.timeout(5), aclosing(job.seen()) as seen:
        found = await read(seen, house, 1_000)

    assert found[0].startswith(b"id: 1\n")
    assert job.is_left


def test_who_watches_does_not_hold_a_server_up_that_is_told_to_stop(tmp_path: Path) -> None:
    with jobbed(tmp_path, workers=0) as server:
        caller = Caller(server, "rich")
        job = caller.hands_in()
        with caller.client.stream("GET", f"{JOBS}/{job['id']}/events", timeout=15) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "id: 1"
            begun = time.monotonic()
            server.terminate()
            rest = list(lines)
        assert server.status() == 0
        assert time.monotonic() - begun < 10, "the patience for speech is 30 s"

    assert not [line for line in rest if line.startswith("event: completed")]
    with pytest.raises(httpx.TransportError):
        caller.client.get(JOBS)
