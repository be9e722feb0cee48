"""Opens the record of every request, lets it through to the Speaker, and publishes it once."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import quote

from litestar.types import ASGIApp

from router.accounts.addresses import parsed
from router.api import body as bodies
from router.api import shapes
from router.api.body import ApiRequest
from router.api.errors import CallerGone, Dialect, SlowBody, answer, told
from router.api.fields import Asked
from router.api.job_known import LastKnown
from router.api.response import Headers, JourneyResponse, every, header
from router.api.shapes import Endpoint
from router.api.sse import events
from router.api.standing import receipt_headers, standing_headers
from router.api.terms import terms_of
from router.contract.caller import Caller
from router.contract.errors import SpeechError
from router.contract.provider import Secret
from router.contract.record import SpeechRecord
from router.contract.speech import Terms
from router.contract.trace import TraceContext, trace_context
from router.dispatch.house import House
from router.dispatch.speaker import Speaker
from router.dispatch.speech import Speech
from router.settings.structs import Family, Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


class Door:
    """Where requests for speech come in."""

    def __init__(self, settings: Settings, speaker: Speaker, house: House) -> None:
        self.settings = settings
        self.speaker = speaker
        self.house = house
        self.known_jobs = LastKnown()
        self._trusted = [
            ipaddress.ip_network(network, strict=False)
            for network in settings.server.trusted_proxies
        ]

    async def speak(self, request: ApiRequest, endpoint: Endpoint) -> ASGIApp:
        """Answer a request for speech that came to this endpoint."""
        record = self.opened(request, shapes.likely(endpoint, request.headers.get("content-type")))
        try:
            caller = await self.caller(request)
            record.caller = caller.id
            body = await self.body(request)
            record.shape = shape = shapes.family(endpoint, body, self.speaker.catalogue)
            self.house.check_open()
            asked = self.normalised(endpoint, shape, body, request)
            terms = terms_of(request)
        except BaseException as error:
            dialect = _dialect(endpoint, record)
            self.closed(record, error, dialect)
            if isinstance(error, SpeechError):
                return answer(error, dialect, record.request_id)
            raise
        return self.answering(asked, caller, record, _dialect(endpoint, record), terms)

    async def body(self, request: ApiRequest) -> bodies.Body:
        """The request's body, which has to arrive in time. Raises CallerError."""
        limit_s = self.settings.timeouts.body_s
        try:
            async with asyncio.timeout(limit_s):
                return await bodies.read(request)
        except TimeoutError:
            raise SlowBody(f"The body did not arrive within {limit_s:g} s.") from None

    def normalised(
        self, endpoint: Endpoint, shape: Family, body: bodies.Body, request: ApiRequest
    ) -> Asked:
        """The body in the router's words. Raises CallerError."""
        return shapes.normalised(
            endpoint,
            shape,
            body,
            accept=request.headers.get("accept"),
            catalogue=self.speaker.catalogue,
            strict=shape in self.settings.server.strict,
        )

    def answering(
        self,
        asked: Asked,
        caller: Caller,
        record: SpeechRecord,
        dialect: Dialect,
        terms: Terms,
    ) -> ASGIApp:
        """The answer to a request that has been understood."""
        return JourneyResponse(
            self._journey(asked, caller, record, dialect, terms),
            lambda speech: [
                *head(speech, asked, record.request_id),
                *_kept(speech),
                *_account(speech, dialect),
            ],
            events if asked.sse else Speech.chunks,
            lambda error: answer(error, dialect, record.request_id, _route_of(record)),
            self.settings.timeouts.slow_reader_s,
        )

    @asynccontextmanager
    async def _journey(
        self,
        asked: Asked,
        caller: Caller,
        record: SpeechRecord,
        dialect: Dialect,
        terms: Terms,
    ) -> AsyncIterator[Speech]:
        speaking = self.speaker.speak(asked.request, caller, record, terms)
        async with self.publishing(record, dialect), speaking as speech:
            record.status = 200
            yield speech

    @asynccontextmanager
    async def publishing(self, record: SpeechRecord, dialect: Dialect) -> AsyncIterator[None]:
        """Publish the record when the block is left, whatever happened in it."""
        try:
            yield
        except BaseException as error:
            self.closed(record, error, dialect)
            raise
        self.closed(record, None)

    def opened(self, request: ApiRequest, shape: Family) -> SpeechRecord:
        """A record for this request, under its own id or one that we make."""
        return SpeechRecord(
            request_id=request_id(request),
            shape=shape,
            opened=asyncio.get_running_loop().time(),
            endpoint=f"{request.method} {request.scope.get('path_template', '')}".strip(),
            trace=self._trace(request),
        )

    def _trace(self, request: ApiRequest) -> TraceContext | None:
        """Where it belongs; two parents are none, states are one after the other."""
        wanted = self.settings.tracing
        if not wanted.enabled:
            return None
        parents, states = (every(request.scope, name) for name in (b"traceparent", b"tracestate"))
        parent = parents[0] if len(parents) == 1 else ""
        return trace_context(parent, ",".join(states), wanted.sample_ratio)

    def closed(
        self, record: SpeechRecord, error: BaseException | None, dialect: Dialect | None = None
    ) -> None:
        """Publish the record: once, whatever happened. `dialect` is how the error is told."""
        record.total_s = asyncio.get_running_loop().time() - record.opened
        if record.status == 0:
            self._unanswered(record, error, dialect or _family(record))
        self.speaker.observers.recorded(record)

    def _unanswered(
        self, record: SpeechRecord, error: BaseException | None, dialect: Dialect
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, CallerGone):
            record.status = told(error, dialect).status
            if not record.reason:
                known = isinstance(error, SpeechError)
                record.outcome = "refused" if known else "failed"
                record.reason = getattr(error, "reason", type(error).__name__)
        else:
            record.outcome, record.status = "abandoned", 499

    async def caller(self, request: ApiRequest) -> Caller:
        """Who is calling. Raises Unauthenticated or RateLimited."""
        return await self.speaker.gate.identify(credential(request), self.address(request))

    async def visit(self, request: ApiRequest) -> None:
        """Let somebody look at what needs no key. Raises RateLimited."""
        await self.speaker.gate.visit(self.address(request))

    def address(self, request: ApiRequest) -> str:
        """The caller's IP address; behind a trusted proxy, the one that it names."""
        peer = request.client.host if request.client else ""
        hops = request.headers.get("x-forwarded-for", "").split(",") if self._trusted else []
        for hop in reversed(hops):
            if not self._is_trusted(peer):
                break
            peer = hop.strip() or peer
        return peer

    def _is_trusted(self, address: str) -> bool:
        hop = parsed(address)
        return hop is not None and any(hop in network for network in self._trusted)


def door_of(request: ApiRequest) -> Door:
    """The door that a request came in by: on the path of speech, without the cost of injection."""
    door: Door = request.scope["state"]["door"]
    return door


def credential(request: ApiRequest) -> Secret | None:
    """The key of a request: `Authorization: Bearer`, else `X-API-Key`; an empty one is none."""
    given = bearer(request.headers.get("authorization", ""))
    key = request.headers.get("x-api-key", "").strip()
    return given or (Secret(key) if key else None)


def bearer(authorization: str) -> Secret | None:
    """The key in an `Authorization` header, where it has one."""
    scheme, _, token = authorization.strip().partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else ""
    return Secret(key) if key else None


def request_id(request: ApiRequest) -> str:
    """The id of a request, the same wherever it is asked for."""
    known: dict[str, Any] = request.scope["state"]
    if "request_id" not in known:
        known["request_id"] = named(header(request.scope, b"x-request-id"))
    return cast("str", known["request_id"])


def named(given: str | None) -> str:
    """The caller's own `X-Request-ID` where it is harmless, else a new one."""
    given = (given or "").strip()
    return given if _REQUEST_ID.fullmatch(given) else os.urandom(16).hex()


def head(speech: Speech, asked: Asked, request_id: str) -> Headers:
    """The headers of an answer: its type, and the route that it took."""
    headers = [
        (b"content-type", asked.content_type.encode()),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
        (b"x-tts-provider", _ascii(speech.provider)),
        (b"x-tts-model", _ascii(speech.upstream_model)),
        (b"x-tts-voice", _ascii(speech.voice)),
        (b"x-tts-fallback", _ascii(speech.fallback)),
        (b"x-tts-characters", str(speech.characters).encode()),
        (b"x-tts-ignored", _ascii(", ".join(speech.ignored) or "none")),
    ]
    if speech.warnings:
        headers.append((b"x-tts-warning", _ascii(", ".join(speech.warnings))))
    if speech.format.sample_rate is not None:
        headers.append((b"x-audio-sample-rate", str(speech.format.sample_rate).encode()))
    if speech.format.channels is not None:
        headers.append((b"x-audio-channels", str(speech.format.channels).encode()))
    if speech.length is not None and not asked.sse:
        headers.append((b"content-length", str(speech.length).encode()))
    else:
        headers.append((b"x-accel-buffering", b"no"))
    return headers


def _kept(speech: Speech) -> Headers:
    """Whether it was spoken for this request."""
    cache = (b"x-tts-cache", (speech.cache or "off").encode())
    return [cache, (b"idempotent-replayed", b"true")] if speech.repeat else [cache]


def _account(speech: Speech, dialect: Dialect) -> Headers:
    """What the caller pays, and how they stand."""
    if speech.account is None:
        return []
    receipt = receipt_headers(speech.account.receipt())
    return [*receipt, *standing_headers(speech.account.standings, dialect)]


def _route_of(record: SpeechRecord) -> Headers:
    """Who was passed over and who failed, on an answer without speech."""
    return [(b"x-tts-fallback", _ascii(record.fallback))]


def _ascii(value: str) -> bytes:
    """A header's value: what is not printable ASCII is percent-encoded."""
    if value.isascii() and value.isprintable():
        return value.encode()
    return quote(value, safe=" ,=/:;+()").encode()


def _dialect(endpoint: Endpoint, record: SpeechRecord) -> Dialect:
    return endpoint if endpoint == "nanogpt-newer" else _family(record)


def _family(record: SpeechRecord) -> Family:
    return cast("Family", record.shape)
