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
from router.contract.provider import HasState, State
from router.dispatch.house import ConfigState, House
from router.dispatch.limits import Places
from router.dispatch.speaker import Explained, Speaker
from router.routing.catalogue import Offered, Offers, PublicModel
from router.routing.order import Beliefs
from router.routing.plan import Candidate, Passed
from router.settings.structs import Route


class BreakerState(msgspec.Struct, frozen=True):
    """Whether a provider's model is asked: `closed`, it is; `open`, it is left alone for so long;
    `half_open`, the next request is on trial."""

    state: str
    reason: str
    """The word of the error that opened it last."""
    wait_s: float


class PlacesState(msgspec.Struct, frozen=True):
    """Speeches at once."""

    size: int
    in_use: int
    waiting: int


class ProviderState(msgspec.Struct, frozen=True):
    """One provider: on, not ready yet, or off with the reason and the remedy."""

    state: str
    kind: str
    reason: str | None
    slots: PlacesState | None
    breakers: dict[str, BreakerState]
    """Of each of its models that was ever asked."""
    inside: State | None
    """What it tells of itself, where it tells anything."""


class ModelState(msgspec.Struct, frozen=True):
    """One model: who is asked first now, and who could follow. Who is left alone could not."""

    ready: bool
    speaks: list[str]


class Readiness(msgspec.Struct, frozen=True):
    """Whether speech can be had now, and of each part why or why not."""

    status: str
    reasons: list[str]
    models: dict[str, ModelState]
    providers: dict[str, ProviderState]
    places: PlacesState
    config: ConfigState


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
        found = readiness(door.speaker, door.house)
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


def readiness(speaker: Speaker, house: House) -> Readiness:
    """What can be spoken now."""
    offers, beliefs = speaker.roster.offers, speaker.asker.outlook.beliefs()
    models = {
        name: _model_state(PublicModel(name, model), offers, beliefs)
        for name, model in speaker.catalogue.models.items()
    }
    mute = [name for name, state in models.items() if not state.ready]
    reasons = [f"nobody can speak for {name}" for name in mute]
    if not models:
        reasons.append("no model is configured")
    if house.is_closing:
        reasons.append("the server is going down")
    troubles = speaker.gate.troubles()
    reasons += [trouble.what for trouble in troubles]
    is_stopped = house.is_closing or any(trouble.stops for trouble in troubles)
    is_ready = any(state.ready for state in models.values()) and not is_stopped
    return Readiness(
        "ready" if is_ready else "not ready",
        reasons,
        models,
        {name: _provider_state(name, speaker, beliefs) for name in offers},
        _places_state(speaker.places),
        house.config,
    )


def _model_state(public: PublicModel, offers: Offers, beliefs: Beliefs) -> ModelState:
    speaks = [
        route.provider
        for route in public.model.routes
        if _may_speak(route, offers[route.provider], public.name, beliefs)
    ]
    return ModelState(bool(speaks), speaks)


def _may_speak(route: Route, offered: Offered, public: str, beliefs: Beliefs) -> bool:
    if offered.off is not None or not offered.capabilities:
        return False
    theirs = route.model or (
        public if public in offered.capabilities else next(iter(offered.capabilities))
    )
    belief = beliefs.get((route.provider, theirs))
    return belief is None or belief.state != "open"


def _provider_state(name: str, speaker: Speaker, beliefs: Beliefs) -> ProviderState:
    offered = speaker.roster.offers[name]
    breakers = {
        model: BreakerState(belief.state, belief.reason, round(belief.wait_s, 1))
        for (provider, model), belief in beliefs.items()
        if provider == name
    }
    is_mute = offered.off is None and not offered.capabilities
    inside = _inside(speaker.roster.providers.get(name))
    return ProviderState(
        state="off" if offered.off else "not ready" if is_mute else "on",
        kind=offered.kind,
        reason=inside.line if is_mute and inside is not None else offered.off,
        slots=_places_state(speaker.asker.slots[name]) if not offered.off else None,
        breakers=breakers,
        inside=inside,
    )


def _inside(provider: object) -> State | None:
    if not isinstance(provider, HasState):
        return None
    try:
        return provider.state()
    except Exception as error:  # a plugin's bug: the rest can still be told
        return State(line=f"its state cannot be told ({type(error).__name__}).")


def _places_state(places: Places) -> PlacesState:
    return PlacesState(places.size, places.size - places.free, places.waiting)


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
