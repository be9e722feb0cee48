"""Reads the config again when somebody asks: it is adopted as a whole, or nothing changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from router.contract.errors import listed
from router.contract.record import ConfigReloaded, Event
from router.dispatch.house import House
from router.settings.load import BadConfig
from router.settings.reload import carried
from router.settings.structs import Settings

_log = structlog.get_logger(__name__)

_TOLD = 5
"""Mistakes that are named to everybody; the log has all of them."""


class WouldLose(Exception):
    """With the new config a provider that speaks now would not."""

    def __init__(self, providers: Sequence[str]) -> None:
        super().__init__(f"{listed(providers)} cannot start as the new config says")


class Emptied(Exception):
    """With the new config nobody would speak for anything: most likely it is not written yet."""

    def __init__(self) -> None:
        super().__init__("the new config names no model")


class Reloads:
    """Wishes that the config be read again; those that come meanwhile are one more."""

    def __init__(self, written: Settings, reread: Callable[[], Settings]) -> None:
        """`written` is the config as it was read at the start; `reread` blocks, and raises
        BadConfig."""
        self._written = written
        self._reread = reread
        self._is_asked = asyncio.Event()

    def ask(self) -> None:
        """Have it read again soon. In the loop, or in a signal handler before it runs."""
        self._is_asked.set()

    @asynccontextmanager
    async def served(
        self,
        running: Settings,
        adopt: Callable[[Settings], Awaitable[object]],
        house: House,
        publish: Callable[[Event], None],
    ) -> AsyncIterator[None]:
        """Fulfil the wishes while the block lasts. `adopt` makes settings current or raises; then
        nothing has changed."""

        async def serve() -> None:
            while True:
                await self._is_asked.wait()
                self._is_asked.clear()
                if house.is_closing:
                    return
                publish(await self._once(running, adopt, house))

        task = asyncio.create_task(serve(), name="reloads")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _once(
        self, running: Settings, adopt: Callable[[Settings], Awaitable[object]], house: House
    ) -> ConfigReloaded:
        try:
            new = await asyncio.to_thread(self._read)
            settings, restart = carried(running, self._written, new)
            await adopt(settings)
        except Exception as error:
            why = _why(error)
            house.refused(why)
            return ConfigReloaded(ok=False, why=why)
        house.adopted(restart)
        why = f"a restart is needed for {listed(restart)}" if restart else ""
        tell = _log.warning if restart else _log.info
        tell("config loaded again", config=settings.source, needs_restart=restart or None)
        return ConfigReloaded(ok=True, why=why)

    def _read(self) -> Settings:
        """Raises BadConfig, Emptied."""
        new = self._reread()
        if self._written.models and not new.models:
            raise Emptied
        return new


def _why(error: Exception) -> str:
    """Why it was not taken, for everybody: what was written in the file is told to the log
    alone."""
    if isinstance(error, BadConfig):
        problems = [str(problem) for problem in error.problems]
        _log.error("config not taken", config=error.source, mistakes=problems)
        places = listed([problem.path for problem in error.problems], most=_TOLD)
        return f"the new config has mistakes, see the log: {places}"
    if isinstance(error, WouldLose | Emptied):
        _log.error("config not taken", why=str(error))
        return str(error)
    _log.error("config not taken", exc_info=error)
    return f"the new config could not be taken ({type(error).__name__})"
