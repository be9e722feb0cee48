"""The application as the server calls it: what is current when a request comes is its own to the
end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from router.accounts.entrance import gate_of
from router.accounts.gate import KeyedGate
from router.api.door import Door, named
from router.api.guard import Guard
from router.api.response import header
from router.api.samples import Samples
from router.dispatch.ensemble import Ensemble
from router.dispatch.house import House
from router.dispatch.speaker import Speaker
from router.dispatch.succession import Succession
from router.jobs.office import Office
from router.settings.accounts import Rates
from router.settings.structs import Settings
from router.telemetry.exposition import Exposition


class Running(msgspec.Struct, frozen=True):
    """What one config has opened. A request that began with it ends with it."""

    settings: Settings
    speaker: Speaker
    door: Door
    samples: Samples
    keyed: KeyedGate | None
    guarded: Guard


class Entrance:
    """Finds what is current, and names the request."""

    def __init__(self, app: ASGIApp, house: House, exposition: Exposition) -> None:
        self.app = app
        self.house = house
        self.exposition = exposition
        self.running = Succession[Running]()
        self.office: Office | None = None
        """`None`: no jobs are taken."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.house, self.running.holding() as one:
            scope["state"] |= {"door": one.door, "samples": one.samples, "keyed": one.keyed}
            scope["state"]["office"] = self.office
            if scope["type"] == ScopeType.HTTP:  # whatever is logged on the way says whose it is
                id = scope["state"]["request_id"] = named(header(scope, b"x-request-id"))
                structlog.contextvars.bind_contextvars(request_id=id)
            await one.guarded(scope, receive, send)

    async def adopt(self, ensemble: Ensemble, settings: Settings) -> Running:
        """Open what this config says, and make it current. Raises what opening raises."""
        self.exposition.counting.learn(settings.models, settings.providers)
        self.exposition.counting.begin(settings.models)
        before = self.running.current
        limits = before.settings.timeouts if before is not None else settings.timeouts
        longest_s = limits.deadline_most_s + limits.total_s
        one = await self.running.follow(self._opened(ensemble, settings, before), longest_s)
        self.house.drain_s = settings.timeouts.drain_s
        return one

    @contextmanager
    def seen(self) -> Iterator[tuple[Door, Office | None]]:
        """The present door, which stays open while the block lasts, and where jobs are taken."""
        with self.running.holding() as one:
            yield one.door, self.office

    @asynccontextmanager
    async def _opened(
        self, ensemble: Ensemble, settings: Settings, before: Running | None
    ) -> AsyncIterator[Running]:
        publish = ensemble.observers.noticed
        opening = partial(gate_of, settings, publish)
        async with (
            ensemble.pool.using(_gate_settings(settings), opening) as gate,
            ensemble.speaker(settings, gate, before.speaker if before else None) as speaker,
        ):
            del before  # what is over must not live on in this frame
            door = Door(settings, speaker, self.house)
            yield Running(
                settings,
                speaker,
                door,
                Samples(door),
                gate if isinstance(gate, KeyedGate) else None,
                Guard(self.app, settings.server, keyed=settings.keyed),
            )


def _gate_settings(settings: Settings) -> object:
    """All that a gate is made of: while nothing of it changes, its counters go on."""
    limited = ((name, one.entry.limits) for name, one in settings.providers.items())
    providers = {name: limits for name, limits in limited if limits != Rates()}
    models = {name: one.limits for name, one in settings.models.items() if one.limits is not None}
    return settings.accounts, providers, models
