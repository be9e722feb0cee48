"""How a job gets on, as server-sent events: one whenever it has changed, and none after its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager

import msgspec
from litestar.types import ASGIApp

from router.api.body import ApiRequest
from router.api.door import request_id
from router.api.errors import answer
from router.api.guard import HEAD
from router.api.job_desk import DIALECT, Desk
from router.api.job_info import info_of
from router.api.response import JourneyResponse
from router.api.sse import CONTENT_TYPE
from router.dispatch.house import House
from router.jobs.job import Job

QUIET_S = 15.0
"""After so long without news a comment is sent: proxies close what is silent."""
_LOOK_S = 1.0
"""How often it is looked whether the server is going down: a watcher does not hold it up."""
_STILL = b": still here\n\n"


def watched(
    request: ApiRequest, desk: Desk, watching: AbstractAsyncContextManager[AsyncIterator[Job]]
) -> ASGIApp:
    """The answer to somebody who watches. Whoever comes back after a break sees the job as it is by
    then, so `Last-Event-ID` needs no answer."""
    own_id, is_head = request_id(request), request.scope["state"].get(HEAD, False)
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        (b"x-request-id", own_id.encode()),
    ]
    return JourneyResponse(
        watching,
        lambda _: headers,
        lambda seen: _nothing() if is_head else stream(seen, desk.base, desk.door.house),
        lambda error: answer(error, DIALECT, own_id),
        desk.door.settings.timeouts.slow_reader_s,
    )


async def _nothing() -> AsyncGenerator[bytes, None]:
    """The body of an answer to HEAD."""
    return
    yield


async def stream(seen: AsyncIterator[Job], base: str, house: House) -> AsyncGenerator[bytes, None]:
    """The body: an event for each state that is seen, to the last, or until the server goes
    down."""
    number = 0
    news = asyncio.create_task(_next(seen))
    try:
        while not house.is_closing:
            if not await _within(news, house):
                yield _STILL
                continue
            job = news.result()
            if job is None:
                return
            number += 1
            yield _event(number, job, base)
            news = asyncio.create_task(_next(seen))
    finally:
        news.cancel()
        await asyncio.gather(news, return_exceptions=True)


async def _next(seen: AsyncIterator[Job]) -> Job | None:
    return await anext(seen, None)


async def _within(news: asyncio.Task[Job | None], house: House) -> bool:
    """Whether there is news before it was quiet for too long, or the server goes down."""
    waited_s = 0.0
    while not news.done() and waited_s < QUIET_S and not house.is_closing:
        await asyncio.wait([news], timeout=_LOOK_S)
        waited_s += _LOOK_S
    return news.done()


def _event(number: int, job: Job, base: str) -> bytes:
    """`progress`, or the word for how it ended."""
    kind = job.state if job.has_ended else "progress"
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (
        number,
        kind.encode(),
        msgspec.json.encode(info_of(job, base)),
    )
