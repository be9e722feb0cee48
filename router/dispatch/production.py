"""One synthesis in a task of its own, for all who listen to it: it goes on while one is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from router.contract.errors import Broken, SpeechError
from router.dispatch.made import Made
from router.dispatch.tape import Reader, Tape, afresh
from router.dispatch.verdicts import NobodyHas

Making = Callable[[], AbstractAsyncContextManager[Made]]
"""Entering waits for the first sound, leaving lets go of all that makes it."""


class Keeper(Protocol):
    """Somebody who wants all of it, when it has come to its end."""

    @property
    def most_bytes(self) -> int: ...

    def keep(self, made: Made, chunks: tuple[bytes, ...] | None) -> None:
        """`None`: it was longer than all who would keep it wanted."""
        ...


class Production:
    """What is being made, as its listeners have it."""

    def __init__(self, making: Making, tape: Tape) -> None:
        self.tape = tape
        self.keys: set[Hashable] = set()
        """What others find it by."""
        self._keepers: list[Keeper] = []
        self._is_stopped = False
        self._made: asyncio.Future[Made] = asyncio.get_running_loop().create_future()
        self._made.add_done_callback(_seen)
        self._task: asyncio.Task[None] | None = asyncio.create_task(
            self._run(making), name="production"
        )

    async def made(self) -> Made:
        """What it is, once it has made its first sound. Raises SpeechError where it never will."""
        try:
            return await asyncio.shield(self._made)
        except NobodyHas as nobody:
            raise NobodyHas(nobody.failed, nobody.error) from None
        except SpeechError as error:
            raise afresh(error) from None

    def keep(self, keeper: Keeper) -> None:
        """Give all of it to somebody, before those who listen hear of its end."""
        self.tape.keep(keeper.most_bytes)
        if self.tape.over:
            keeper.keep(self._made.result(), self.tape.whole)
        else:
            self._keepers.append(keeper)

    @property
    def may_join(self) -> bool:
        """Whether another could hear it from its start."""
        return self.tape.may_join and not self._is_stopped and not self._has_failed

    @property
    def _has_failed(self) -> bool:
        return self._made.done() and self._made.exception() is not None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Reader]:
        """A place on the tape. When the last listener leaves, everything is let go before this
        returns."""
        reader = self.tape.reader()
        try:
            yield reader
        finally:
            reader.leave()
            if not self.tape.readers:
                await self._stop()

    async def _stop(self) -> None:
        self._is_stopped = True
        self._made.cancel()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, making: Making) -> None:
        try:
            async with making() as made:
                self._made.set_result(made)
                async for chunk in made.body:
                    await self.tape.put(chunk)
        except Exception as error:  # it is told to those who listen, each in its own task
            self._ends(error)
        except asyncio.CancelledError:
            if self._is_stopped:
                return  # raised further, its traceback would hold us until the loop's next turn
            self._ends(Broken("it was cancelled by somebody who had no right to"))
        else:
            whole = self.tape.whole if self._keepers else None
            try:
                for keeper in self._keepers:
                    keeper.keep(made, whole)
            finally:
                self.tape.end()

    def _ends(self, error: Exception) -> None:
        if isinstance(error, SpeechError | NobodyHas):
            error.__traceback__ = error.__context__ = None  # they hold us, and we hold the error
        if not self._made.done():
            self._made.set_exception(error)
        self.tape.end(error)


def _seen(made: asyncio.Future[Made]) -> None:
    """Its error may find nobody who still waits for it."""
    if not made.cancelled():
        made.exception()


class Shared:
    """Productions under way, by what was asked for."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Production] = {}

    def find(self, key: Hashable) -> Production | None:
        """One that can still be heard from its start."""
        found = self._under_way.get(key)
        return found if found is not None and found.may_join else None

    @asynccontextmanager
    async def listening(
        self, keys: Iterable[Hashable], making: Making, keeper: Keeper | None = None
    ) -> AsyncIterator[tuple[Production, Reader, bool]]:
        """Listen to what is under way for one of these keys, else to what `making` begins; the
        third is whether it was begun by another. Without a key it is shared with nobody."""
        found = next((one for key in keys if (one := self.find(key)) is not None), None)
        production = found or Production(making, Tape())
        if keeper is not None:
            production.keep(keeper)
        for key in keys:
            self._under_way[key] = production
            production.keys.add(key)
        try:
            async with production.listening() as reader:
                yield production, reader, found is not None
        finally:
            if not production.tape.readers:
                self._forget(production)

    def _forget(self, production: Production) -> None:
        for key in production.keys:
            if self._under_way.get(key) is production:
                del self._under_way[key]
