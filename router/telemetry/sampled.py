"""What is so at the moment of a scrape: looked at then, and counted nowhere."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec
from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from router.contract.provider import State
from router.telemetry import metrics
from router.telemetry.inside import told_of_inside
from router.telemetry.metrics import Declared

_BREAKER = ("closed", "half_open", "open")
_PROVIDER = ("on", "not_ready", "off")


class Room(msgspec.Struct, frozen=True):
    """Places for speeches at once."""

    in_use: int
    free: int
    waiting: int
    wait_s: float
    """What somebody who comes now would wait, as far as is known."""


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What is thought of a provider's model."""

    state: Literal["closed", "open", "half_open"]
    wait_s: float
    first_audio_s: float | None
    real_time_factor: float | None


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A provider, as it is now."""

    kind: str
    state: Literal["on", "not_ready", "off"]
    slots: Room | None = None
    """`None`: it is off."""
    models: Mapping[str, Opinion] = {}
    """Of each of its models that was ever asked."""
    inside: State | None = None


class Kept(msgspec.Struct, frozen=True):
    """A store of speech that is kept."""

    bytes: int
    limit_bytes: int


class JobFigures(msgspec.Struct, frozen=True):
    """The jobs in the store."""

    states: Mapping[str, int]
    oldest_queued_s: float
    """0: none waits."""
    disk_bytes: int


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a router. All names are of the present config."""

    version: str
    is_ready: bool
    is_draining: bool
    requests: int
    config_loaded: float
    """Seconds since 1970."""
    places: Room
    providers: Mapping[str, Instance]
    models: Mapping[str, bool]
    """Whether somebody may speak for it."""
    limits_lost: bool
    books_lost: bool
    kept: Mapping[str, Kept]
    jobs: JobFigures | None = None
    """`None`: there are none here, or the store does not answer."""


def families(sample: Sample) -> Iterator[Metric]:
    """The sample as metrics; those of which nothing is known have no series."""
    rows = [*_of_server(sample), *_of_providers(sample), *_of_insides(sample)]
    gathered: dict[str, Metric] = {}
    for declared, labels, value in rows:
        family = gathered.get(declared.name)
        if family is None:
            family = gathered[declared.name] = _family(declared)
        family.add_metric(labels, value)  # type: ignore[attr-defined]  # of both classes below
    yield from gathered.values()


Row = tuple[Declared, tuple[str, ...], float]


def _family(declared: Declared) -> Metric:
    made = CounterMetricFamily if declared.kind == "counter" else GaugeMetricFamily
    return made(declared.name, declared.help, labels=declared.labels)


def _of_server(sample: Sample) -> Iterator[Row]:
    yield metrics.BUILD, (sample.version, platform.python_version()), 1
    yield metrics.READY, (), sample.is_ready
    yield metrics.DRAINING, (), sample.is_draining
    yield metrics.HTTP_REQUESTS, (), sample.requests
    yield metrics.CONFIG_LOADED, (), sample.config_loaded
    yield metrics.PLACES_IN_USE, (), sample.places.in_use
    yield metrics.PLACES_FREE, (), sample.places.free
    yield metrics.PLACES_WAITING, (), sample.places.waiting
    yield metrics.PREDICTED_WAIT, ("place", ""), sample.places.wait_s
    yield metrics.LIMITS_LOST, (), sample.limits_lost
    yield metrics.BOOKS_LOST, (), sample.books_lost
    for model, is_ready in sample.models.items():
        yield metrics.MODEL_READY, (model,), is_ready
    for store, kept in sample.kept.items():
        yield metrics.CACHE_BYTES, (store,), kept.bytes
        yield metrics.CACHE_LIMIT, (store,), kept.limit_bytes
    if sample.jobs is not None:
        for state, number in sample.jobs.states.items():
            yield metrics.JOBS, (state,), number
        yield metrics.JOBS_OLDEST, (), sample.jobs.oldest_queued_s
        yield metrics.JOBS_DISK, (), sample.jobs.disk_bytes


def _of_providers(sample: Sample) -> Iterator[Row]:
    for name, one in sample.providers.items():
        for state in _PROVIDER:
            yield metrics.PROVIDER_STATE, (name, one.kind, state), state == one.state
        if one.slots is not None:
            yield metrics.SLOTS_IN_USE, (name,), one.slots.in_use
            yield metrics.SLOTS_FREE, (name,), one.slots.free
            yield metrics.SLOTS_WAITING, (name,), one.slots.waiting
            yield metrics.PREDICTED_WAIT, ("slot", name), one.slots.wait_s
        for model, opinion in one.models.items():
            yield from _of_opinion((name, model), opinion)


def _of_opinion(who: tuple[str, str], opinion: Opinion) -> Iterator[Row]:
    for state in _BREAKER:
        yield metrics.BREAKER_STATE, (*who, state), state == opinion.state
    yield metrics.BREAKER_WAIT, who, opinion.wait_s
    if opinion.first_audio_s is not None:
        yield metrics.EXPECTED_FIRST_AUDIO, who, opinion.first_audio_s
    if opinion.real_time_factor is not None:
        yield metrics.EXPECTED_FACTOR, who, opinion.real_time_factor


def _of_insides(sample: Sample) -> Iterator[Row]:
    for name, one in sample.providers.items():
        if one.inside is not None:
            yield from told_of_inside(name, one.inside)
