"""The steps that the promises have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from router.contract.errors import ProviderError
from router.contract.provider import Provider
from router.contract.speech import SpeechOrder
from router.testing.hearing import hear
from router.testing.subject import Failure, Subject, first_format, opened, patience
from router.testing.watch import becomes

LET_GO_S = 1.0
"""Longest time for letting go of a speech."""
LISTEN_S = 2.0
"""The long text is not heard to its end: an engine in real time would need minutes."""


@asynccontextmanager
async def entered(provider: Provider, order: SpeechOrder) -> AsyncIterator[AsyncIterator[bytes]]:
    async with provider.synthesize(order, first_format(provider, order)) as stream:
        yield stream.chunks


async def speaks(provider: Provider, subject: Subject) -> None:
    format = first_format(provider, subject.order)
    heard = await hear(provider, subject.order, format, subject.patience_s)
    assert heard.sound_bytes > 0, "the sample order gives no sound"


async def provoked(subject: Subject, failure: Failure) -> tuple[ProviderError | None, bool]:
    """The error, if there was one, and whether the provider had accepted before."""
    order, accepted = failure.order or subject.order, False
    async with opened(subject, failure) as provider:
        try:
            async with (
                patience(subject.patience_s, failure.name),
                entered(provider, order) as chunks,
            ):
                accepted = True
                async for _ in chunks:
                    await asyncio.sleep(0)
        except ProviderError as error:
            return error, accepted
    return None, accepted


async def cancelled(listener: asyncio.Task[None]) -> float:
    """Cancel a listener; seconds until it was gone. An ended one is fine."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    asked_to_go = listener.cancel()
    await asyncio.wait({listener}, timeout=LET_GO_S + 1)
    if not listener.done():
        listener.cancel()
        raise AssertionError("it goes on after a cancellation")
    if not listener.cancelled():
        error = listener.exception()
        if error is not None:
            raise AssertionError(f"{error!r} came out of a cancellation") from error
        assert not asked_to_go, "it swallowed a cancellation"
    return loop.time() - began


async def far_side_is_idle(subject: Subject, moment: str) -> None:
    count = subject.open_speeches
    if count is not None and not await becomes(lambda: count() == 0, LET_GO_S):
        raise AssertionError(f"{moment} the far side still works at {count()} speeches")


async def listen(provider: Provider, order: SpeechOrder, most_s: float) -> None:
    """Listen for a while, with a turn of the loop for each chunk."""
    limit = asyncio.timeout(most_s)
    try:
        async with limit, entered(provider, order) as chunks:
            async for _ in chunks:
                await asyncio.sleep(0)
    except TimeoutError:
        if not limit.expired():  # not our limit, but an error of the provider's own
            raise
