"""One writes, many read: each at its own pace, and nobody's is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from router.contract.errors import Broken
from router.dispatch.tape import Lagging, Reader, Tape
from router.testing.watch import becomes


async def write(tape: Tape, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        await tape.put(chunk)
    tape.end()


async def all_of(reader: Reader) -> bytes:
    return b"".join([chunk async for chunk in reader])


def chunks(count: int, size: int = 10) -> list[bytes]:
    return [bytes([at % 256]) * size for at in range(count)]


async def test_every_reader_hears_all_of_it() -> None:
    tape = Tape()
    readers = [tape.reader() for _ in range(5)]
    sent = chunks(50)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        heard = [group.create_task(all_of(reader)) for reader in readers]
        group.create_task(write(tape, sent))
    assert {task.result() for task in heard} == {b"".join(sent)}


async def test_who_comes_later_hears_it_from_its_start() -> None:
    tape = Tape()
    first = tape.reader()
    await tape.put(b"one")
    assert await anext(first) == b"one"
    assert tape.may_join
    late = tape.reader()
    tape.end()
    assert await all_of(late) == b"one"


async def test_beyond_a_bound_nobody_can_join_and_what_all_have_is_forgotten() -> None:
    tape = Tape(join=100)
    reader = tape.reader()
    for chunk in chunks(20):
        await tape.put(chunk)
        assert await anext(reader) == chunk
    assert not tape.may_join
    assert tape._held_bytes <= 100


async def test_the_writer_waits_for_the_foremost_reader_and_not_for_the_slowest() -> None:
    tape = Tape(ahead=50, join=0, held=10_000)
    quick, slow = tape.reader(), tape.reader()
    writing = asyncio.create_task(write(tape, chunks(100)))
    async with asyncio.timeout(5):
        assert await becomes(lambda: tape.made_bytes == 60, 5)
        await asyncio.sleep(0.01)
        assert tape.made_bytes == 60, "one chunk beyond the bound"
        assert await all_of(quick) == b"".join(chunks(100))
        await writing
        assert await all_of(slow) == b"".join(chunks(100))


async def test_who_falls_too_far_behind_is_cut_off_and_the_others_are_not() -> None:
    tape = Tape(ahead=20, join=0, held=200)
    quick, slow = tape.reader(), tape.reader()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        heard = group.create_task(all_of(quick))
        group.create_task(write(tape, chunks(100)))
    assert heard.result() == b"".join(chunks(100))
    with pytest.raises(Lagging):
        await all_of(slow)
    assert tape._held_bytes == 0


async def test_the_foremost_reader_is_never_cut_off() -> None:
    tape = Tape(ahead=20, join=0, held=200)
    reader = tape.reader()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        heard = group.create_task(all_of(reader))
        group.create_task(write(tape, [bytes(1_000), b"more"]))
    assert heard.result() == bytes(1_000) + b"more"


async def test_an_error_comes_after_all_that_was_made_before_it() -> None:
    tape = Tape()
    readers = [tape.reader(), tape.reader()]
    await tape.put(b"half")
    tape.end(Broken("it broke"))
    for reader in readers:
        assert await anext(reader) == b"half"
        with pytest.raises(Broken):
            await anext(reader)


async def test_a_reader_that_leaves_holds_nobody_up() -> None:
    tape = Tape(ahead=20, join=0)
    gone, stays = tape.reader(), tape.reader()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(write(tape, chunks(30)))
        await anext(gone)
        gone.leave()
        gone.leave()
        assert await all_of(stays) == b"".join(chunks(30))
    assert tape.readers == 1


async def test_a_reader_that_is_cancelled_while_it_waits_can_be_left() -> None:
    tape = Tape()
    reader = tape.reader()
    waiting = asyncio.create_task(all_of(reader))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    reader.leave()
    await tape.put(b"nobody hears it")
    assert tape.readers == 0
