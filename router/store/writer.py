"""One task of each process that writes: whatever has queued goes into one transaction.

A transaction costs a millisecond; sharing it, a change costs some thirty microseconds. It also
keeps every caller's task out of transactions: one that is cancelled in the middle of its own would
tear the connection down with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection

from router.store.databases import Database
from router.store.errors import StoreUnavailable
from router.store.passing import is_passing

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Apply = Callable[[Connection, Sequence[Item]], Sequence[Answer | Exception]]
"""Makes many changes of one kind at once and has an answer or a refusal for each, in their order.
Since nobody knows whether a commit arrived when the line breaks, it may be called again with the
same items, and must then change nothing and answer the same."""

BATCH = 256
"""Changes in one transaction: it bounds how long the others of the same store wait."""
QUEUE = 10_000
"""Changes that wait; beyond it new ones are refused, save those that must be made."""
MUST_QUEUE = 50_000
"""For those there is an end too, after a long time without a store."""
PATIENCE_S = 5.0
"""For the answer to a change."""
DRAIN_S = 10.0
_RETRY_S = (0.02, 1.0)

_log = structlog.get_logger(__name__)


class _Change(msgspec.Struct):
    apply: Apply[Any, Any]
    item: Any
    done: asyncio.Future[Any]
    must: bool
    undo: Any
    is_begun: bool = False

    @property
    def is_wanted(self) -> bool:
        return self.must or not self.done.done()


class Writer:
    """Use `writing`; `write` may be called by any task of the loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: deque[_Change] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._tried_since: float | None = None
        """Since when a change has been tried in vain, loop time."""

    @property
    def is_lost(self) -> bool:
        """Whether the store has not answered for longer than anybody waits for it."""
        since = self._tried_since
        return since is not None and asyncio.get_running_loop().time() - since >= PATIENCE_S

    def write(
        self,
        apply: Apply[Item, Answer],
        item: Item,
        *,
        must: bool = False,
        undo: Item | None = None,
    ) -> asyncio.Future[Answer]:
        """Queue a change; the future has its answer once it is committed, its refusal, or
        StoreUnavailable after `PATIENCE_S`.

        A change whose future was left or has run out of patience is not begun any more; with `must`
        it is made nevertheless, as soon as the store can be reached. If it was begun when it was
        left, and so may have been made, `undo` is made after it.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Answer] = loop.create_future()
        done.add_done_callback(_heard)
        if self._closed or len(self._queue) >= (MUST_QUEUE if must else QUEUE):
            done.set_exception(StoreUnavailable())
            return done
        patience = loop.call_later(PATIENCE_S, _give_up, done)
        done.add_done_callback(lambda _: patience.cancel())
        self._queue.append(_Change(apply, item, done, must, undo))
        self._wake.set()
        return done

    async def run(self) -> None:
        """Commit until closed and empty."""
        while not (self._closed and not self._queue):
            self._wake.clear()
            if not self._queue and not self._closed:
                await self._wake.wait()
            taken = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            await self._commit(taken)

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    async def _commit(self, changes: list[_Change]) -> None:
        """All in one transaction, again and again while the store cannot be reached."""
        wait_s, most_s = _RETRY_S
        self._tried_since = self._tried_since or asyncio.get_running_loop().time()
        while changes := self._wanted(changes):
            for change in changes:
                change.is_begun = True
            try:
                answers = await self._database.run(partial(_made, changes))
            except Exception as error:
                if not is_passing(error):
                    self._tried_since = None  # it did answer
                    await self._alone(changes, error)
                    return
                if wait_s == most_s:
                    _log.warning("the store cannot be written", error=type(error).__name__)
            else:
                self._tried_since = None
                for change, answer in zip(changes, answers, strict=True):
                    if change.is_wanted:
                        _answer(change.done, answer)
                    else:
                        self._undo(change)
                return
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, most_s)

    def _wanted(self, changes: Sequence[_Change]) -> list[_Change]:
        for change in changes:
            if not change.is_wanted:
                self._undo(change)
        return [change for change in changes if change.is_wanted]

    def _undo(self, change: _Change) -> None:
        """Nobody heard whether it was made: after it, it is as if it had not been."""
        if change.undo is not None and change.is_begun:
            done = asyncio.get_running_loop().create_future()
            done.add_done_callback(_heard)
            self._queue.append(_Change(change.apply, change.undo, done, must=True, undo=None))
            self._wake.set()

    async def _alone(self, changes: Sequence[_Change], error: Exception) -> None:
        """One of them cannot be made: the others shall not suffer for it."""
        if len(changes) == 1:
            _log.error("a change of the store failed", error=type(error).__name__)
            _answer(changes[0].done, error)
            return
        for change in changes:
            await self._commit([change])


@asynccontextmanager
async def writing(database: Database) -> AsyncIterator[Writer]:
    """A writer at work; at the end it writes what has queued, for at most `DRAIN_S` seconds."""
    writer = Writer(database)
    task = asyncio.create_task(writer.run(), name="store writer")
    try:
        yield writer
    finally:
        writer.close()
        await asyncio.wait([task], timeout=DRAIN_S)
        if not task.done():
            _log.warning("the store was closed with changes unwritten")
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _made(changes: Sequence[_Change], connection: Connection) -> list[Any]:
    """Answers or refusals, in the order of the changes."""
    kinds: dict[Apply[Any, Any], list[int]] = {}
    for at, change in enumerate(changes):
        kinds.setdefault(change.apply, []).append(at)
    answers: list[Any] = [None] * len(changes)
    for apply, places in kinds.items():
        given = apply(connection, [changes[at].item for at in places])
        for at, answer in zip(places, given, strict=True):
            answers[at] = answer
    return answers


def _answer(done: asyncio.Future[Any], answer: Any) -> None:
    if done.done():
        return
    if isinstance(answer, Exception):
        done.set_exception(answer)
    else:
        done.set_result(answer)


def _give_up(done: asyncio.Future[Any]) -> None:
    _answer(done, StoreUnavailable())


def _heard(done: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more is no news for the loop."""
    if not done.cancelled():
        done.exception()
