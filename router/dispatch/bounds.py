"""What no provider can do to us: be silent for ever, not let go, work without a pause."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import structlog

from router.contract.audio import AudioStream
from router.contract.errors import ProviderError, TimedOut

_log = structlog.get_logger(__name__)

LEAVE_S = 5.0
"""How long a provider may take to let go before we stop waiting: it promises one second."""
_TURN_S = 0.002


def place_of(error: Exception) -> dict[str, str]:
    """What may be logged of a plugin's exception: its words could hold the caller's text."""
    where = "".join(traceback.format_tb(error.__traceback__))
    return {"error": type(error).__name__, "where": where}


class Courtesy:
    """Lets others run after every 2 ms of work: a provider may have no real wait in it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()

    async def give_way(self) -> None:
        if self._loop.time() - self._since > _TURN_S:
            await asyncio.sleep(0)
            self._since = self._loop.time()


class Leaving:
    """A provider's context whose exit cannot hold us up."""

    def __init__(self, context: AbstractAsyncContextManager[AudioStream], name: str) -> None:
        self._context = context
        self._name = name

    async def __aenter__(self) -> AudioStream:
        return await self._context.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._context.__aexit__(kind, error, place)
        except TimeoutError:
            _log.error("a provider does not let go", provider=self._name, waited_s=LEAVE_S)
        except ProviderError:
            pass  # it has let go, and nobody listens any more
        except Exception as failed:  # a bug on leaving is nobody's speech
            _log.error("a provider failed on leaving", provider=self._name, **place_of(failed))


class within:  # noqa: N801  # reads as a word in `async with`
    """A limit whose passing is the provider's failure, told apart from a TimeoutError of its
    own."""

    def __init__(self, by: float, message: str) -> None:
        self._limit = asyncio.timeout_at(by)
        self._message = message

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, place)
        except TimeoutError as passed:
            if passed is not error:
                raise TimedOut(self._message) from None
            raise
