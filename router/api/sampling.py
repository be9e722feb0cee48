"""Looks at a running router for a scrape: everything that is not counted but seen."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Literal, cast

from router import __version__
from router.api.operations import ProviderState, readiness
from router.dispatch.house import House
from router.dispatch.limits import Places
from router.dispatch.speaker import Speaker
from router.jobs.job import STATES
from router.jobs.office import Office
from router.routing.order import Beliefs
from router.store.errors import StoreUnavailable
from router.telemetry.sampled import Instance, JobFigures, Kept, Opinion, Room, Sample

_JOBS_S = 1.0
"""A store that is slower than this is not waited for: the rest can still be told."""


async def sampled(speaker: Speaker, house: House, office: Office | None) -> Sample:
    """How everything is at this moment; `office` is where jobs are taken, if they are."""
    found = readiness(speaker, house)
    beliefs = speaker.asker.outlook.beliefs()
    lost = {trouble.store for trouble in speaker.gate.troubles()}
    return Sample(
        version=__version__,
        is_ready=found.status == "ready",
        is_draining=house.is_closing,
        requests=house.requests,
        config_loaded=dt.datetime.fromisoformat(house.config.loaded).timestamp(),
        places=_room(speaker.places),
        providers={
            name: _instance(name, state, speaker, beliefs)
            for name, state in found.providers.items()
        },
        models={name: state.ready for name, state in found.models.items()},
        limits_lost="limits" in lost,
        books_lost="books" in lost,
        kept=_kept(speaker),
        jobs=await job_figures(office) if office is not None else None,
    )


async def job_figures(office: Office) -> JobFigures | None:
    """How it stands with the jobs; `None`: the store does not answer."""
    try:
        async with asyncio.timeout(_JOBS_S):
            found = await office.figures()
    except (StoreUnavailable, TimeoutError):
        return None
    states = found.states if found is not None else {}
    return JobFigures(
        states={state: states.get(state, 0) for state in STATES},
        oldest_queued_s=found.oldest_queued_s if found is not None else 0.0,
        disk_bytes=found.disk_bytes if found is not None else 0,
    )


def _instance(name: str, state: ProviderState, speaker: Speaker, beliefs: Beliefs) -> Instance:
    return Instance(
        kind=state.kind,
        state=cast("Literal['on', 'not_ready', 'off']", state.state.replace(" ", "_")),
        slots=_room(speaker.asker.slots[name]) if state.slots is not None else None,
        models=_opinions(name, beliefs),
        inside=state.inside,
    )


def _opinions(name: str, beliefs: Beliefs) -> Mapping[str, Opinion]:
    return {
        model: Opinion(
            state=belief.state,
            wait_s=belief.wait_s,
            first_audio_s=belief.first_audio_s,
            real_time_factor=belief.real_time_factor,
        )
        for (provider, model), belief in beliefs.items()
        if provider == name
    }


def _room(places: Places) -> Room:
    return Room(places.size - places.free, places.free, places.waiting, places.wait_s())


def _kept(speaker: Speaker) -> Mapping[str, Kept]:
    return {store: Kept(held, most) for store, (held, most) in speaker.kept_bytes().items()}
