"""Opens the office of an installation: light, for the rest comes with the first job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from importlib import import_module
from typing import Any

from router.accounts.entrance import has_store
from router.contract.provider import Secret
from router.contract.record import Event
from router.dispatch.house import House
from router.jobs.job import Job
from router.jobs.office import Office, Speaking
from router.jobs.opening import Opening, Room
from router.settings.structs import Settings


@asynccontextmanager
async def office_of(
    settings: Settings,
    secret: Secret,
    holding: Callable[[], AbstractContextManager[Speaking]],
    house: House,
    *,
    at_once: int,
    publish: Callable[[Event], None],
    telling: Callable[[Job], Any],
) -> AsyncIterator[Office]:
    """The office while the block lasts; it speaks `at_once` jobs itself. What was left unfinished
    is taken up at once, where there is a store already."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Room]:
        await asyncio.to_thread(import_module, "router.jobs.room")  # SQLAlchemy: 0.2 s
        from router.jobs.room import room_of  # noqa: PLC0415

        async with room_of(
            settings,
            secret,
            holding,
            house,
            at_once=at_once,
            publish=publish,
            telling=telling,
            ended=office.ended,
        ) as room:
            yield room

    opening = Opening(opened)
    office = Office(settings.jobs, opening, holding, publish)
    is_there = has_store(settings) or bool(settings.accounts and settings.accounts.store)
    async with opening.at_hand(at_once=is_there):
        yield office
