"""A worker without a server: it speaks jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial

import msgspec

from router.accounts.entrance import gate_of
from router.api.job_info import JobInfo, info_of
from router.app.founding import founded
from router.dispatch.ensemble import Ensemble
from router.dispatch.house import House
from router.dispatch.speaker import Speaker
from router.dispatch.succession import Succession
from router.jobs.entrance import address_of, office_of
from router.jobs.job import Job
from router.registry import Kinds
from router.settings.structs import Settings
from router.telemetry.tracing import tracing


@asynccontextmanager
async def working(settings: Settings, kinds: Kinds, house: House) -> AsyncIterator[Speaker]:
    """A worker without a server: it speaks jobs while the block lasts."""
    async with (
        tracing(settings.tracing) as tracers,
        founded(settings, kinds, *tracers) as ensemble,
    ):
        running = Succession[_Working]()
        async with aclosing(running):
            house.drain_s = settings.timeouts.drain_s
            opening = _for_work(settings, ensemble)
            speaker = (await running.follow(opening, settings.timeouts.total_s)).speaker
            telling = telling_of(settings)
            async with office_of(
                settings, ensemble, running.holding, house, telling=telling, takes=False
            ):
                yield speaker


class _Working(msgspec.Struct, frozen=True):
    """What a worker speaks with."""

    speaker: Speaker


@asynccontextmanager
async def _for_work(settings: Settings, ensemble: Ensemble) -> AsyncIterator[_Working]:
    async with (
        gate_of(settings, ensemble.observers.noticed) as gate,
        ensemble.speaker(settings, gate) as speaker,
    ):
        yield _Working(speaker)


def telling_of(settings: Settings) -> Callable[[Job], JobInfo]:
    """How receivers of webhooks are told of a job."""
    return partial(info_of, base=address_of(settings))
