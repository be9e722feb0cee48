"""Carries what many requests ask of Redis, and knows whether it is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from router.accounts.rates.pipeline import Pipeline
from router.accounts.rates.script import Command, Reply

_log = structlog.get_logger(__name__)

_WAITING = 1_000
"""Errands that may wait: some 30 ms of the server's time."""
_BACKOFF_S = 0.05, 2.0
"""Between two tries after a loss, at first and at last; each is shortened at random by up to
half."""
_VISIT_S = 2.0
"""For a try: nobody waits for it, and a connection through TLS may be slow to make."""


class Lost(Exception):
    """Redis did not answer, or not in time, or cannot do what it is asked."""


class Errand(NamedTuple):
    """A command, and who waits for its answer; `None` is answered when Redis is lost."""

    command: Command
    answer: asyncio.Future[Reply | None] | None = None
    undo: Callable[[Reply], Command | None] | None = None
    """What takes it back, if nobody waits any more when the answer comes."""


class Courier:
    """One connection, one task.

    While a pipeline is under way, what is asked waits for the next one: with many callers a
    command costs a fraction of what it costs alone, and no caller who leaves tears a connection.
    A caller waits for two pipelines at most. After a loss everybody is told at once, and nobody
    waits again before Redis has done the chores, which write.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        timeout_s: float,
        chores: Callable[[], Sequence[Command]],
        chores_s: float,
        changed: Callable[[bool], None],
    ) -> None:
        """`timeout_s` is for one pipeline. `chores` is asked every `chores_s` seconds, and after a
        loss before anybody is served; `changed` hears whether Redis is lost."""
        self._pipeline = pipeline
        self._timeout_s = timeout_s
        self._chores = chores
        self._chores_s = chores_s
        self._changed = changed
        self._waiting: list[Errand] = []
        self._wake = asyncio.Event()
        self.is_lost = False

    async def ask(self, command: Command, undo: Callable[[Reply], Command | None]) -> Reply:
        """The script's answer. Who leaves has asked for nothing. Raises Lost."""
        if self.is_lost or len(self._waiting) >= _WAITING:
            raise Lost
        answer: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._send(Errand(command, answer, undo))
        try:
            reply = await answer
        except asyncio.CancelledError:
            if not answer.cancelled() and (come := answer.result()) is not None:
                self._undo(undo, come)  # the answer came in the very moment in which we left
            raise
        if reply is None:
            raise Lost
        return reply

    async def tell(self, command: Command) -> None:
        """Have it done, also if the caller leaves. A loss is not told: what is not given back
        runs out by itself."""
        if self.is_lost:
            return
        answer: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._send(Errand(command, answer))
        await asyncio.wait([answer])

    async def visit(self) -> bool:
        """Do the chores once; whether Redis has done them."""
        return await self._carry([*map(Errand, self._chores())], _VISIT_S)

    async def run(self) -> None:
        """Carry errands until cancelled."""
        try:
            await self._go_on()
        except Exception as error:  # a bug: who asks is told that Redis is lost, and never waits
            _log.exception("rates are no longer carried to the shared store")
            self._lose(error)

    async def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._chores_s
        while True:
            if self.is_lost:
                await self._return()
                due_s = loop.time()  # what was taken alone while Redis came back is told it first
            await self._woken(due_s)
            errands, self._waiting = self._waiting, []
            if loop.time() >= due_s:
                due_s = loop.time() + self._chores_s
                errands = [*map(Errand, self._chores()), *errands]
            await self._carry(
                [errand for errand in errands if not _is_left(errand)], self._timeout_s
            )

    async def finish(self, commands: Sequence[Command]) -> None:
        """What is still waiting and these, once; `run` has ended, and nobody is served again."""
        errands, self._waiting = self._waiting, []
        if not self.is_lost:
            await self._carry([*errands, *map(Errand, commands)], self._timeout_s)
        self.is_lost = True

    async def _woken(self, due_s: float) -> None:
        timer = asyncio.get_running_loop().call_at(due_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
        self._wake.clear()

    async def _return(self) -> None:
        """Try until Redis is there again."""
        pause_s, longest_s = _BACKOFF_S
        while not await self.visit():
            await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - spreads processes
            pause_s = min(pause_s * 2, longest_s)
        self.is_lost = False
        _log.info("the shared store of rates is back")
        self._changed(False)

    def _send(self, errand: Errand) -> None:
        self._waiting.append(errand)
        self._wake.set()

    def _undo(self, undo: Callable[[Reply], Command | None], reply: Reply) -> None:
        if (command := undo(reply)) is not None:
            self._send(Errand(command))

    async def _carry(self, errands: Sequence[Errand], timeout_s: float) -> bool:
        """Have them done and hand the answers out; if not, Redis is lost to all who wait."""
        if not errands:
            return True
        replies: Sequence[Reply] = ()
        try:
            replies = await self._pipeline.run([errand.command for errand in errands], timeout_s)
        except Exception as error:  # whatever it is, nobody may go on waiting for it
            self._lose(error)
        finally:
            if not replies:
                _fail(errands)
        for errand, reply in zip(errands, replies, strict=False):
            if errand.answer is not None and not errand.answer.done():
                errand.answer.set_result(reply)
            elif errand.undo is not None:
                self._undo(errand.undo, reply)
        return bool(replies)

    def _lose(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, []
        _fail(waiting)
        if not self.is_lost:
            self.is_lost = True
            _log.warning("the shared store of rates is lost", error=type(error).__name__)
            self._changed(True)


def _is_left(errand: Errand) -> bool:
    """Whether it was a question, and nobody waits for the answer."""
    return errand.undo is not None and errand.answer is not None and errand.answer.cancelled()


def _fail(errands: Sequence[Errand]) -> None:
    for errand in errands:
        if errand.answer is not None and not errand.answer.done():
            errand.answer.set_result(None)
