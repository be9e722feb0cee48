"""For the person who runs it: is it alive, is it ready and why not, and who would be asked."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency

from router.api import shapes
from router.api.body import BODY_BYTES, ApiRequest
from router.api.door import Door
from router.contract.errors import SpeechError
from router.dispatch.speaker import Explained, Speaker
from router.routing.plan import Candidate, Passed


class ProviderState(msgspec.Struct, frozen=True):
    """One provider: on, or off with the reason and the remedy."""

    state: str
    kind: str
    reason: str | None


class ModelState(msgspec.Struct, frozen=True):
    """One model: who is asked first now, and who could follow."""

    ready: bool
    speaks: list[str]


class Readiness(msgspec.Struct, frozen=True):
    """Whether speech can be had now, and of each part why or why not."""

    status: str
    reasons: list[str]
    models: dict[str, ModelState]
    providers: dict[str, ProviderState]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One provider that would be asked, in this order."""

    provider: str
    model: str
    voice: str | None
    asked_for: str
    delivers: str
    ignored: list[str]


class PassedOver(msgspec.Struct, frozen=True):
    """One provider that would not be asked."""

    provider: str
    reason: str
    detail: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The plan for a request: the order in which providers would be asked, and why others not."""

    shape: str
    model: str
    voice: str
    language: str
    format: str
    held_whole: bool
    candidates: list[Asked]
    passed_over: list[PassedOver]
    refusal: str | None


class OperationsController(Controller):
    """Health, and the dry run."""

    tags = ("Operations",)

    @get("/health/live", sync_to_thread=False, summary="Is the process alive?")
    def live(self) -> dict[str, str]:
        return {"status": "live"}

    @get("/health/ready", sync_to_thread=False, summary="Can it speak, and who is off and why?")
    def ready(self, door: NamedDependency[Door]) -> Response[Readiness]:
        found = readiness(door.speaker)
        return Response(found, status_code=200 if found.status == "ready" else 503)

    @post(
        ["/v1/route/explain", "/route/explain"],
        status_code=200,
        request_max_body_size=BODY_BYTES,
        summary="Who would be asked for this request, and why others not",
    )
    async def explain(self, request: ApiRequest, door: NamedDependency[Door]) -> Explanation:
        body = await door.body(request)
        endpoint = shapes.of_any(body)
        shape = shapes.family(endpoint, body, door.speaker.catalogue)
        asked = door.normalised(endpoint, shape, body, request)
        return explanation(shape, door.speaker.explain(asked.request), str(asked.request.format))


def explanation(shape: str, explained: Explained, format: str) -> Explanation:
    """A plan in words, for HTTP and the command line alike."""
    made, refusal = explained.plan, explained.refusal
    return Explanation(
        shape=shape,
        model=made.model,
        voice=made.voice,
        language=made.language,
        format=format,
        held_whole=made.whole,
        candidates=[_asked(candidate) for candidate in made.candidates],
        passed_over=_passed_over(made.passed),
        refusal=refusal.message if isinstance(refusal, SpeechError) else None,
    )


def readiness(speaker: Speaker) -> Readiness:
    """What can be spoken now."""
    offers = speaker.roster.offers
    models: dict[str, ModelState] = {}
    for name, model in speaker.catalogue.models.items():
        speaks = [
            route.provider
            for route in model.routes
            if offers[route.provider].off is None and offers[route.provider].capabilities
        ]
        models[name] = ModelState(bool(speaks), speaks)
    providers = {
        name: ProviderState("off" if offered.off else "on", offered.kind, offered.off)
        for name, offered in offers.items()
    }
    mute = [name for name, state in models.items() if not state.ready]
    reasons = [f"nobody can speak for {name}" for name in mute]
    if not models:
        reasons.append("no model is configured")
    troubles = speaker.gate.troubles()
    reasons += [trouble.what for trouble in troubles]
    is_stopped = any(trouble.stops for trouble in troubles)
    is_ready = any(state.ready for state in models.values()) and not is_stopped
    return Readiness("ready" if is_ready else "not ready", reasons, models, providers)


def _asked(candidate: Candidate) -> Asked:
    return Asked(
        provider=candidate.provider,
        model=candidate.model,
        voice=candidate.voice.id,
        asked_for=str(candidate.native),
        delivers=str(candidate.output),
        ignored=list(candidate.ignored),
    )


def _passed_over(passed: Iterable[Passed]) -> list[PassedOver]:
    return [PassedOver(one.provider, one.reason, one.detail) for one in passed]
