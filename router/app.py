"""Puts everything together; the only module that knows everybody."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import msgspec
import structlog
from litestar import Litestar, Request, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send

from router import registry
from router.accounts.entrance import gate_of
from router.accounts.gate import KeyedGate
from router.api import guard as guards
from router.api import metrics_port, outside, schema, standing
from router.api.accounts import AccountController
from router.api.admin import AdminController
from router.api.catalogue import CatalogueController
from router.api.door import Door, door_of, named
from router.api.errors import NoSuchPath
from router.api.job_files import JobFilesController
from router.api.job_info import JobInfo, info_of
from router.api.jobs import JobsController
from router.api.metrics import MetricsController
from router.api.operations import OperationsController
from router.api.page import PageController
from router.api.response import header
from router.api.samples import Samples, SamplesController
from router.api.speech import SpeechController
from router.api.tts import TtsController
from router.api.voices import VoicesController
from router.audio.clip import ClipDecoder
from router.contract.caller import OpenGate
from router.contract.errors import SpeechError
from router.contract.provider import Secret
from router.contract.record import Observer
from router.dispatch.ensemble import Ensemble
from router.dispatch.house import House
from router.dispatch.observers import Observers
from router.dispatch.probes import Probes
from router.dispatch.reloading import Reloads
from router.dispatch.speaker import Speaker
from router.dispatch.succession import Succession
from router.jobs.entrance import address_of, office_of
from router.jobs.job import Job
from router.jobs.office import Office
from router.registry import Kinds
from router.routing import latin
from router.settings.accounts import Rates
from router.settings.secret import secret_of
from router.settings.structs import Settings
from router.telemetry.exposition import Exposition
from router.telemetry.journal import Journal
from router.telemetry.loop_delay import watched
from router.telemetry.recent import Recent
from router.telemetry.tracing import tracing

_log = structlog.get_logger(__name__)

AnyRequest = Request[Any, Any, State]

EXPOSED = (
    *("X-Request-ID", "Retry-After", "X-Audio-Sample-Rate", "X-Audio-Channels"),
    *("X-TTS-Provider", "X-TTS-Model", "X-TTS-Voice", "X-TTS-Fallback"),
    *("X-TTS-Characters", "X-TTS-Ignored", "X-TTS-Warning"),
    *("X-TTS-Cache", "Idempotent-Replayed"),
    *("X-Cost", "X-Remaining-Balance", *standing.OF_LEAPER),
    *("Accept-Ranges", "Content-Length", "Content-Range", "ETag", "Location"),
    *standing.OF_OPENAI,
)


class _Running(msgspec.Struct, frozen=True):
    """What one config has opened. A request that began with it ends with it."""

    settings: Settings
    speaker: Speaker
    door: Door
    samples: Samples
    keyed: KeyedGate | None
    guarded: guards.Guard


class _Entrance:
    """The application: what is current when a request comes is its own to the end."""

    def __init__(self, app: ASGIApp, house: House, exposition: Exposition) -> None:
        self.app = app
        self.house = house
        self.exposition = exposition
        self.running = Succession[_Running]()
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

    async def adopt(self, ensemble: Ensemble, settings: Settings) -> _Running:
        """Open what this config says, and make it current. Raises what opening raises."""
        self.exposition.counting.learn(settings.models, settings.providers)
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
        self, ensemble: Ensemble, settings: Settings, before: _Running | None
    ) -> AsyncIterator[_Running]:
        publish = ensemble.observers.noticed
        opening = partial(gate_of, settings, publish)
        async with (
            ensemble.pool.using(_gate_settings(settings), opening) as gate,
            ensemble.speaker(settings, gate, before.speaker if before else None) as speaker,
        ):
            del before  # what is over must not live on in this frame
            door = Door(settings, speaker, self.house)
            yield _Running(
                settings,
                speaker,
                door,
                Samples(door),
                gate if isinstance(gate, KeyedGate) else None,
                guards.Guard(self.app, settings.server, keyed=settings.keyed),
            )


@asynccontextmanager
async def _founded(settings: Settings, kinds: Kinds, *own: Observer) -> AsyncIterator[Ensemble]:
    """What is the same for every config; `own` are observers of ours beside the journal."""
    secret = await asyncio.to_thread(_secret, settings)
    async with registry.observing(kinds) as others, ClipDecoder() as clips:
        observers = Observers()
        for observer in (Journal(), *own, *others):
            observers.join(observer)
        guess = await asyncio.to_thread(latin.load)
        yield Ensemble(kinds, observers, clips=clips, secret=secret, latin=guess)


@asynccontextmanager
async def speaking(settings: Settings, kinds: Kinds) -> AsyncIterator[Speaker]:
    """Everything that can speak, open while the block lasts, and everybody may: `say` needs no
    more."""
    async with (
        _founded(settings, kinds) as ensemble,
        ensemble.speaker(settings, OpenGate()) as speaker,
    ):
        yield speaker


@asynccontextmanager
async def working(settings: Settings, kinds: Kinds, house: House) -> AsyncIterator[Speaker]:
    """A worker without a server: it speaks jobs while the block lasts."""
    async with (
        tracing(settings.tracing) as tracers,
        _founded(settings, kinds, *tracers) as ensemble,
    ):
        running = Succession[_Working]()
        async with aclosing(running):
            house.drain_s = settings.timeouts.drain_s
            opening = _for_work(settings, ensemble)
            speaker = (await running.follow(opening, settings.timeouts.total_s)).speaker
            telling = _telling(settings)
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


def _telling(settings: Settings) -> Callable[[Job], JobInfo]:
    """How receivers of webhooks are told of a job."""
    return partial(info_of, base=address_of(settings))


def create_app(
    settings: Settings,
    kinds: Kinds,
    *,
    started: Callable[[Speaker], None] = lambda _: None,
    house: House | None = None,
    reloads: Reloads | None = None,
) -> Litestar:
    """The server as an ASGI application; `started` is called once everybody is open. The `house`
    may be closed and `reloads` be asked for while it runs."""
    house = house or House()
    recent, exposition = Recent(), Exposition()
    counted = (exposition.counting,) if settings.metrics.enabled else ()
    reloads = reloads or Reloads(settings, lambda: settings)

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with (
            tracing(settings.tracing) as tracers,
            _founded(settings, kinds, recent, *counted, *tracers) as ensemble,
        ):
            adopt = partial(entrance.adopt, ensemble)
            async with aclosing(entrance.running):
                started((await adopt(settings)).speaker)
                probes = Probes(entrance.running.holding)
                publish = ensemble.observers.noticed
                async with (
                    office_of(
                        settings,
                        ensemble,
                        entrance.running.holding,
                        house,
                        telling=_telling(settings),
                    ) as entrance.office,
                    reloads.served(settings, adopt, house, publish),
                    probes.kept_up(),
                    watched(exposition.counting.loop_delay.add),
                    metrics_port.listening(
                        settings.metrics, settings.server, exposition, entrance.seen
                    ),
                ):
                    yield

    app = Litestar(
        route_handlers=[
            SpeechController,
            Router(
                "/",
                route_handlers=[
                    CatalogueController,
                    SamplesController,
                    VoicesController,
                    OperationsController,
                    MetricsController,
                ],
                before_request=_visit,
            ),
            TtsController,
            JobsController,
            JobFilesController,
            AccountController,
            AdminController,
            PageController,
        ],
        dependencies={
            "door": Provide(door_of, sync_to_thread=False),
            "samples": Provide(_samples, sync_to_thread=False),
            "gate": Provide(_keyed, sync_to_thread=False),
            "recent": Provide(lambda: recent, sync_to_thread=False),
            "exposition": Provide(lambda: exposition, sync_to_thread=False),
        },
        exception_handlers={
            SpeechError: outside.refused,
            HTTPException: outside.refused_by_litestar,
            Exception: outside.refused,
        },
        cors_config=_cors(settings),
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=schema.config(),
    )
    entrance = _Entrance(app.asgi_handler, house, exposition)
    app.asgi_handler = entrance
    return app


def _gate_settings(settings: Settings) -> object:
    """All that a gate is made of: while nothing of it changes, its counters go on."""
    limited = ((name, one.entry.limits) for name, one in settings.providers.items())
    providers = {name: limits for name, limits in limited if limits != Rates()}
    models = {name: one.limits for name, one in settings.models.items() if one.limits is not None}
    return settings.accounts, providers, models


def _secret(settings: Settings) -> Secret:
    """The installation's secret; where nothing can be kept, one that lives as long as we do."""
    try:
        return secret_of(settings)
    except OSError as error:
        _log.warning("the secret cannot be kept", data_dir=str(settings.data_dir), error=str(error))
        return Secret(secrets.token_hex(32))


def _samples(request: AnyRequest) -> Samples:
    samples: Samples = request.scope["state"]["samples"]
    return samples


async def _visit(request: AnyRequest) -> None:
    """What needs no key may still be asked too often."""
    await door_of(request).visit(request)


def _keyed(request: AnyRequest) -> KeyedGate:
    """The gate, for what is asked of keys and credit. Raises NoSuchPath where there are none."""
    gate: KeyedGate | None = request.scope["state"]["keyed"]
    if gate is None:
        raise NoSuchPath("There are no keys here: the config has no table `accounts`.")
    return gate


def _cors(settings: Settings) -> CORSConfig:
    """Pages of this machine, and those that the config lists; with keys, all pages. Never with
    credentials: a key is a header that a page has to know."""
    return CORSConfig(
        allow_origins=["*"] if settings.keyed else list(settings.server.origins),
        allow_origin_regex=r"https?://(localhost|[a-z0-9.-]+\.localhost|127(\.\d+){3}|\[::1\])(:\d+)?",
        allow_methods=["GET", "POST", "DELETE", "OPTIONS"],
        allow_headers=["*"],
        expose_headers=list(EXPOSED),
        allow_credentials=False,
        max_age=600,
    )
