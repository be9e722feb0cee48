"""Opens the office of an installation: light, for the rest comes with the first job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from router.accounts.entrance import has_store
from router.dispatch.ensemble import Ensemble
from router.dispatch.house import House
from router.jobs.holding import Holding
from router.jobs.job import Job
from router.jobs.office import Office
from router.jobs.opening import Opening, Room
from router.settings.structs import Settings


@asynccontextmanager
async def office_of(
    settings: Settings,
    ensemble: Ensemble,
    holding: Holding,
    house: House,
    *,
    telling: Callable[[Job], Any],
    takes: bool = True,
) -> AsyncIterator[Office | None]:
    """The office while the block lasts, which speaks as many jobs itself as the config says; `None`
    where there are to be none. Its store is opened at once where there is one already, or where
    nobody hands jobs in here (`takes` is false); else with the first job."""
    if not settings.jobs.enabled:
        yield None
        return

    @asynccontextmanager
    async def opened() -> AsyncIterator[Room]:
        await asyncio.to_thread(import_module, "router.jobs.room")  # SQLAlchemy: 0.2 s
        from router.jobs.room import room_of  # noqa: PLC0415

        async with room_of(
            settings, ensemble, holding, house, telling=telling, ended=office.ended
        ) as room:
            yield room

    opening = Opening(opened)
    office = Office(settings.jobs, opening, holding, ensemble.observers.noticed)
    is_there = has_store(settings) or bool(settings.accounts and settings.accounts.store)
    async with opening.at_hand(at_once=is_there or not takes):
        yield office


def address_of(settings: Settings) -> str:
    """Where callers reach the router, as far as the config tells."""
    server = settings.server
    host = f"[{server.host}]" if ":" in server.host else server.host
    return (server.public_url or f"http://{host}:{server.port}").rstrip("/")
