"""The run-ahead reads on for a slow reader, up to its limit and no further."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.contract.errors import Broken
from router.dispatch.speech import RunAhead


class Source:
    """Chunks, with a count of those that were read."""

    def __init__(self, chunks: list[bytes], error: Exception | None = None) -> None:
        self.chunks = chunks
        self.error = error
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.read += 1
            yield chunk
            await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


def ahead(source: Source, *, inline: int = -1, most: int = 100) -> RunAhead:
    return RunAhead(aiter(source), inline=inline, most=most)


async def settled() -> None:
    for _ in range(300):
        await asyncio.sleep(0)


@settings(max_examples=50, deadline=None)
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=30),
    inline=st.sampled_from([-1, 0, 1, 50, 10_000]),
    most=st.sampled_from([1, 30, 10_000]),
)
def test_every_byte_comes_once_and_in_order(chunks: list[bytes], inline: int, most: int) -> None:
    async def read() -> list[bytes]:
        running = ahead(Source(chunks), inline=inline, most=most)
        try:
            return [chunk async for chunk in running]
        finally:
            await running.stop()

    assert asyncio.run(read()) == chunks


async def test_it_holds_no_more_than_its_limit_and_one_chunk() -> None:
    source = Source([b"x" * 10] * 100)
    running = ahead(source, most=100)
    await anext(running)
    await settled()
    assert source.read == 11, "one was taken, ten are held"
    for _ in range(5):
        await anext(running)
    await settled()
    assert source.read == 16
    await running.stop()


async def test_a_fast_reader_pays_for_no_task() -> None:
    before = asyncio.all_tasks()
    source = Source([b"x" * 10] * 6)
    running = ahead(source, inline=1_000)
    for _ in range(6):
        await anext(running)
        assert asyncio.all_tasks() == before
        assert source.read <= 6
    with pytest.raises(StopAsyncIteration):
        await anext(running)
    await running.stop()


@pytest.mark.parametrize("inline", [-1, 0, 10, 1_000])
async def test_the_sources_error_comes_after_all_that_was_read(inline: int) -> None:
    running = ahead(Source([b"x" * 10] * 3, Broken("cut")), inline=inline)
    assert [await anext(running) for _ in range(3)] == [b"x" * 10] * 3
    with pytest.raises(Broken):
        await anext(running)
    await running.stop()


async def test_stopping_ends_the_task_and_the_reading() -> None:
    before = asyncio.all_tasks()
    source = Source([b"x" * 10] * 1_000)
    running = ahead(source)
    await anext(running)
    await settled()
    await running.stop()
    assert asyncio.all_tasks() == before
    read = source.read
    await settled()
    assert source.read == read


async def test_a_reader_who_is_cancelled_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    gate = asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        yield b"x"
        await gate.wait()

    running = RunAhead(silent(), inline=-1)
    await anext(running)
    reader = asyncio.create_task(anext(running))
    await settled()
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await running.stop()
    assert asyncio.all_tasks() == before


async def test_who_stops_in_mid_speech_leaves_no_circle_behind() -> None:
    """A cancelled task keeps its traceback, and that its frames: the source is held by nobody."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"12"
            await asyncio.sleep(0)

    gc.collect()
    gc.disable()
    try:
        source = endless()
        ahead = RunAhead(source, inline=1)
        for _ in range(5):
            await anext(ahead)
        gone = weakref.ref(source)
        await ahead.stop()
        del ahead, source
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()
