"""An SQLite store that several parts of a process, and several processes, have open at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from sqlalchemy import Connection

from router.contract.provider import Secret
from router.store.opening import opened
from tests.store.test_writer import NOTES, note, noted

OTHER = """
import asyncio, sys
from router.contract.provider import Secret
from router.store.opening import opened
from tests.store.test_writer import note, noted

async def main() -> None:
    async with opened(Secret(sys.argv[1])) as store:
        if len(sys.argv) > 2:
            await store.write(note, int(sys.argv[2]))
        print(*await store.read(noted))

asyncio.run(main())
"""


async def other(url: Secret, *words: str) -> list[int]:
    """What another process finds, that opens the store, adds its numbers, and closes it."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", OTHER, url.reveal(), *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return [int(word) for word in done.stdout.split()]


async def test_who_opens_and_closes_it_takes_nothing_from_who_has_it_open(tmp_path: Path) -> None:
    """A process loses all its locks on a file when it closes any descriptor of it; without them the
    next one to leave takes the log of the others along."""
    url = Secret(f"sqlite:///{tmp_path / 'store.db'}")
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(opened(url)) for _ in range(2)]
        await first.write(_made, None)
        await first.write(note, 1)
        assert await other(url, "2") == [1, 2]
        await second.write(note, 3)
        async with opened(url) as third:
            await third.write(note, 4)
        assert await other(url) == [1, 2, 3, 4]
        await first.write(note, 5)
        assert await second.read(noted) == [1, 2, 3, 4, 5]
        assert await other(url) == [1, 2, 3, 4, 5]
    assert await other(url) == [1, 2, 3, 4, 5]


def _made(line: Connection, items: Sequence[None]) -> list[None]:
    NOTES.create(line)
    return [None] * len(items)
