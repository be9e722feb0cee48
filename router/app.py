"""Puts everything together; the only module that knows everybody."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar, Request, Response, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import MediaType
from litestar.exceptions import HTTPException

from router import registry
from router.accounts.entrance import gate_of
from router.accounts.gate import KeyedGate
from router.api import guard as guards
from router.api import schema, standing
from router.api.accounts import AccountController
from router.api.admin import AdminController
from router.api.catalogue import CatalogueController
from router.api.door import Door, request_id
from router.api.errors import BodyTooLarge, NoSuchPath, WrongMethod, refusal
from router.api.operations import OperationsController
from router.api.response import Headers
from router.api.samples import Samples, SamplesController
from router.api.speech import SpeechController
from router.audio.clip import ClipDecoder
from router.contract.caller import Gate, OpenGate
from router.contract.errors import InvalidRequest, SpeechError
from router.contract.provider import Secret
from router.dispatch.observers import Observers
from router.dispatch.roster import Roster
from router.dispatch.speaker import Speaker
from router.registry import Kinds
from router.routing import latin
from router.settings.secret import secret_of
from router.settings.structs import Settings
from router.telemetry.journal import Journal

_log = structlog.get_logger(__name__)

AnyRequest = Request[Any, Any, State]

EXPOSED = (
    *("X-Request-ID", "Retry-After", "X-Audio-Sample-Rate", "X-Audio-Channels"),
    *("X-TTS-Provider", "X-TTS-Model", "X-TTS-Voice", "X-TTS-Fallback"),
    *("X-TTS-Characters", "X-TTS-Ignored", "X-TTS-Warning"),
    *("X-Cost", "X-Remaining-Balance", *standing.OF_LEAPER),
    *standing.OF_OPENAI,
)


@asynccontextmanager
async def speaking(
    settings: Settings, kinds: Kinds, gate: Gate | None = None
) -> AsyncIterator[Speaker]:
    """Everything that can speak, open while the block lasts; `say` needs no more than this, and
    without a `gate` everybody may."""
    observers = Observers()
    secret = await asyncio.to_thread(_secret, settings)
    async with (
        registry.observing(kinds) as others,
        registry.opened(settings, kinds, observers.noticed) as parts,
    ):
        roster = Roster(settings, parts.providers, parts.failed)
        observers.join(roster)
        for observer in (Journal(), *others):
            observers.join(observer)
        async with roster.kept_fresh(), ClipDecoder() as clips:
            guess = await asyncio.to_thread(latin.load)
            yield Speaker(
                settings,
                roster,
                gate or OpenGate(),
                observers,
                clips=clips,
                secret=secret,
                latin=guess,
            )


def create_app(
    settings: Settings,
    kinds: Kinds,
    *,
    started: Callable[[Speaker], None] = lambda _: None,
) -> Litestar:
    """The server as an ASGI application; `started` is called once everybody is open."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with gate_of(settings) as gate, speaking(settings, kinds, gate) as speaker:
            app.state.door = Door(settings, speaker)
            app.state.samples = Samples(app.state.door)
            app.state.keyed = gate if isinstance(gate, KeyedGate) else None
            started(speaker)
            yield

    app = Litestar(
        route_handlers=[
            SpeechController,
            Router(
                "/",
                route_handlers=[CatalogueController, SamplesController, OperationsController],
                before_request=_visit,
            ),
            AccountController,
            AdminController,
        ],
        dependencies={
            "door": Provide(_door, sync_to_thread=False),
            "samples": Provide(_samples, sync_to_thread=False),
            "gate": Provide(_keyed, sync_to_thread=False),
        },
        exception_handlers={
            SpeechError: _refused,
            HTTPException: _refused_by_litestar,
            Exception: _refused,
        },
        cors_config=_cors(settings),
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=schema.config(),
    )
    app.asgi_handler = guards.Guard(app.asgi_handler, settings.server, keyed=settings.keyed)
    return app


def _secret(settings: Settings) -> Secret:
    """The installation's secret; where nothing can be kept, one that lives as long as we do."""
    try:
        return secret_of(settings)
    except OSError as error:
        _log.warning("the secret cannot be kept", data_dir=str(settings.data_dir), error=str(error))
        return Secret(secrets.token_hex(32))


def _door(state: State) -> Door:
    door: Door = state.door
    return door


def _samples(state: State) -> Samples:
    samples: Samples = state.samples
    return samples


async def _visit(request: AnyRequest) -> None:
    """What needs no key may still be asked too often."""
    door: Door = request.app.state.door
    await door.visit(request)


def _keyed(state: State) -> KeyedGate:
    """The gate, for what is asked of keys and credit. Raises NoSuchPath where there are none."""
    gate: KeyedGate | None = state.keyed
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


def _refused(request: AnyRequest, error: Exception) -> Response[bytes]:
    """An error outside a speech, in the envelope that its path suggests."""
    return _told(request, error, ())


def _refused_by_litestar(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """What Litestar itself refuses, in the caller's envelope."""
    extra = [(k.lower().encode(), v.encode()) for k, v in (error.headers or {}).items()]
    said: Exception = error
    if error.status_code == 404:
        said = NoSuchPath(f"There is nothing at this path for {request.method}.")
    elif error.status_code == 405:
        said = WrongMethod("This path takes another method; see the Allow header.")
    elif error.status_code == 413:
        said = BodyTooLarge("The body is too large.")
    elif 400 <= error.status_code < 500:
        said = InvalidRequest(_malformed(error), code="invalid_request")
    return _told(request, said, extra)


def _malformed(error: HTTPException) -> str:
    """What is wrong, by the names of the fields: what was written in them is not repeated."""
    found = error.extra if isinstance(error.extra, list) else []
    told = [
        f"{one.get('key', 'the body')}: {one['message']}"
        for one in found
        if isinstance(one, dict) and isinstance(one.get("message"), str)
    ]
    return f"The request is malformed. {'; '.join(told)[:500]}".strip()


def _told(request: AnyRequest, error: Exception, extra: Headers) -> Response[bytes]:
    if not isinstance(error, SpeechError):
        _log.error("a request failed unexpectedly", exc_info=error)
    shape = guards.family_of(request.scope["path"])
    status, headers, body = refusal(error, shape, request_id(request), extra)
    names = {name.decode(): value.decode("latin-1") for name, value in headers}
    return Response(body, status_code=status, headers=names, media_type=MediaType.JSON)
