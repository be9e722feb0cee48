"""The server as an ASGI application: its routes, and what lives as long as it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

from litestar import Litestar, Request, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from router.accounts.gate import KeyedGate
from router.api import metrics_port, outside, schema, standing
from router.api.accounts import AccountController
from router.api.admin import AdminController
from router.api.catalogue import CatalogueController
from router.api.door import door_of
from router.api.errors import NoSuchPath
from router.api.job_files import JobFilesController
from router.api.jobs import JobsController
from router.api.metrics import MetricsController
from router.api.operations import OperationsController
from router.api.page import PageController
from router.api.samples import Samples, SamplesController
from router.api.speech import SpeechController
from router.api.tts import TtsController
from router.api.voices import VoicesController
from router.app.entrance import Entrance
from router.app.founding import founded
from router.app.worker import telling_of
from router.contract.errors import SpeechError
from router.dispatch.house import House
from router.dispatch.probes import Probes
from router.dispatch.reloading import Reloads
from router.dispatch.speaker import Speaker
from router.jobs.entrance import office_of
from router.registry import Kinds
from router.settings.structs import Settings
from router.telemetry.exposition import Exposition
from router.telemetry.loop_delay import watched
from router.telemetry.recent import Recent
from router.telemetry.tracing import tracing

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


def create_app(
    settings: Settings,
    kinds: Kinds,
    *,
    started: Callable[[Speaker], None] = lambda _: None,
    house: House | None = None,
    reloads: Reloads | None = None,
) -> Litestar:
    """`started` is called once everybody is open. The `house`
    may be closed and `reloads` be asked for while it runs."""
    house = house or House()
    recent, exposition = Recent(), Exposition()
    counted = (exposition.counting,) if settings.metrics.enabled else ()
    reloads = reloads or Reloads(settings, lambda: settings)

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with (
            tracing(settings.tracing) as tracers,
            founded(settings, kinds, recent, *counted, *tracers) as ensemble,
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
                        telling=telling_of(settings),
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
    entrance = Entrance(app.asgi_handler, house, exposition)
    app.asgi_handler = entrance
    return app


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
