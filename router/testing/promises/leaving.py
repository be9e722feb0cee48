"""What a provider promises for when nobody listens any longer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from router.contract.provider import Provider
from router.contract.speech import SpeechOrder
from router.testing.promises.steps import (
    LET_GO_S,
    LISTEN_S,
    cancelled,
    entered,
    far_side_is_idle,
    listen,
    speaks,
)
from router.testing.subject import Subject, opened, patience
from router.testing.watch import becomes, held

SLACK = 4
"""What may be there more than before while the provider is open: a pool may have grown by a few.
Less than the repetitions of every check, so that a leak of one each time shows."""
CANCELLATIONS = 20
LEAVES_PER_WAY = 6


async def leaving_early_lets_go_within_a_second(subject: Subject) -> None:
    """Before the first chunk, in mid-stream, cancelled or not: and it speaks again right after."""
    async with opened(subject) as provider:
        await speaks(provider, subject)
        limit = held().plus(SLACK)
        for way, leave in _WAYS.items():
            for _ in range(LEAVES_PER_WAY):
                async with patience(subject.patience_s, f"leaving {way}"):
                    took = await leave(provider, subject.order)
                assert took <= LET_GO_S, f"leaving {way} took {took:.2f} s"
                await far_side_is_idle(subject, f"after leaving {way}")
            await speaks(provider, subject)
        if not await becomes(lambda: not held().growth(limit), LET_GO_S):
            raise AssertionError(f"leaving early leaves more behind: {held().growth(limit)}")


async def _leave_before_the_first_chunk(provider: Provider, order: SpeechOrder) -> float:
    async with entered(provider, order):
        began = asyncio.get_running_loop().time()
    return asyncio.get_running_loop().time() - began


async def _leave_by_break(provider: Provider, order: SpeechOrder) -> float:
    async with entered(provider, order) as chunks:
        async for _ in chunks:
            break
        began = asyncio.get_running_loop().time()
    return asyncio.get_running_loop().time() - began


async def _leave_by_cancellation(provider: Provider, order: SpeechOrder) -> float:
    sounding = asyncio.Event()

    async def listen() -> None:
        async with entered(provider, order) as chunks:
            async for _ in chunks:
                sounding.set()
                await asyncio.sleep(0)
            await asyncio.get_running_loop().create_future()

    listener = asyncio.create_task(listen())
    heard = asyncio.create_task(sounding.wait())
    await asyncio.wait({listener, heard}, return_when=asyncio.FIRST_COMPLETED)
    heard.cancel()
    return await cancelled(listener)


async def _leave_while_entering(provider: Provider, order: SpeechOrder) -> float:
    listener = asyncio.create_task(listen(provider, order, LISTEN_S))
    await asyncio.sleep(0)
    return await cancelled(listener)


_WAYS: dict[str, Callable[[Provider, SpeechOrder], Awaitable[float]]] = {
    "before the first chunk": _leave_before_the_first_chunk,
    "by break": _leave_by_break,
    "by cancellation in mid-stream": _leave_by_cancellation,
    "by cancellation while entering": _leave_while_entering,
}


async def cancellation_at_any_moment_leaves_nothing(subject: Subject) -> None:
    """Cancelled at random moments, again and again, it neither leaks nor jams."""
    loop, chance = asyncio.get_running_loop(), random.Random(1)  # noqa: S311 - no secret
    async with opened(subject) as provider:
        began = loop.time()
        await speaks(provider, subject)
        took = min(loop.time() - began, LISTEN_S)
        limit = held().plus(SLACK)
        for _ in range(CANCELLATIONS):
            listener = asyncio.create_task(listen(provider, subject.order, LISTEN_S))
            await asyncio.sleep(chance.uniform(0, took))
            left = await cancelled(listener)
            assert left <= LET_GO_S, f"after a cancellation, leaving took {left:.2f} s"
        await far_side_is_idle(subject, "after the cancellations")
        if not await becomes(lambda: not held().growth(limit), LET_GO_S):
            raise AssertionError(f"cancellations leave more behind: {held().growth(limit)}")
        await speaks(provider, subject)


async def closing_leaves_nothing_behind(subject: Subject) -> None:
    """When it is closed, no task, file, socket or child of its own remains."""

    async def live() -> None:
        async with opened(subject) as provider:
            await speaks(provider, subject)
            await _leave_by_break(provider, subject.order)

    await live()  # what the process itself opens once is not the provider's
    before = held()
    for _ in range(3):
        async with patience(subject.patience_s, "opening, speaking and closing"):
            await live()
    if not await becomes(lambda: not held().growth(before), LET_GO_S):
        raise AssertionError(f"after closing there are {held().growth(before)}")
