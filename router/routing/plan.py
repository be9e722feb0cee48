"""Who could speak a request, in which voice, language and format, and why each other could not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from router.contract.audio import AudioFormat
from router.contract.caller import Price
from router.contract.errors import (
    Forbidden,
    InputTooLong,
    InvalidRequest,
    NobodyCan,
    SpeechError,
    UnknownVoice,
    UnsupportedFormat,
)
from router.contract.speech import (
    Capabilities,
    Cost,
    Held,
    Priority,
    SpeechOrder,
    SpeechRequest,
    VoiceChoice,
)
from router.routing import language as languages
from router.routing.catalogue import Catalogue, Offered, Offers, PublicModel, PublicVoice
from router.routing.negotiate import Codecs, agree
from router.settings.structs import Model, Route

WHOLE_UP_TO = 1_000
"""Code points up to which a WAV is held until it is whole, so that it has exact sizes."""


FIRST_CHARS = 60
"""Code points of a first piece: four seconds of speech, most often a sentence."""
SHIFTS = (-12.0, 12.0)
"""Semitones that can be made here for a provider that cannot."""
UNSTRETCHED = (1.0, 0.0)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One provider that could speak, and all that it would be asked."""

    rank: int
    """Its place in the model's route."""
    provider: str
    model: str
    voice: VoiceChoice
    native: AudioFormat
    output: AudioFormat
    through: bool
    """Its bytes are passed on as they are."""
    wants_samples: bool
    gain_db: float
    speed: float
    """What it is asked for; what it cannot do itself is in `stretch`."""
    pitch: float | None
    stretch: tuple[float, float]
    """Speed and semitones that are made here."""
    options: Mapping[str, Any]
    ignored: tuple[str, ...]
    """The caller's fields that it cannot honour."""
    price: Price
    """What the caller pays when it speaks."""
    kind: str
    place: str
    weight: float
    cost: Cost | None
    """What it takes from us."""
    longest: int | None
    """Code points that it takes at once."""

    traits: tuple[str | None, str | None]
    """Language and gender of its voice, as far as they are known."""

    @property
    def timbre(self) -> tuple[str, str, str, str | None]:
        """Equal where two candidates sound like the same voice."""
        return self.kind, self.place, self.model, self.voice.id

    @property
    def held(self) -> Held:
        """What must be known of it for somebody else to go on."""
        return Held(self.provider, self.timbre, self.traits)


class Passed(msgspec.Struct, frozen=True):
    """One provider that was passed over: `reason` is a closed word, `detail` is for people."""

    rank: int
    provider: str
    reason: str
    detail: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The candidates in the order in which they are asked, and everybody else with the reason."""

    model: str
    voice: str
    language: str
    whole: bool
    """The answer is held until it is complete."""
    in_pieces: bool
    """The text is spoken piece by piece."""
    rules: Model
    """What the config says of the model."""
    candidates: tuple[Candidate, ...]
    passed: tuple[Passed, ...]


_OWN_FAULTS = {"no_cloning", "no_voice", "no_language", "unreadable", "too_long", "no_format"}
"""Reasons that lie in the request: another one could be served."""


class Unfit(Exception):
    """A route step that cannot serve this request."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Wish(msgspec.Struct, frozen=True):
    """What every step of a route is held against."""

    request: SpeechRequest
    model: str
    voice: PublicVoice
    language: str
    codecs: Codecs
    clone: bool
    price: Price
    allowed: frozenset[str] | None
    in_pieces: bool
    is_read: bool
    """What comes is looked into, and never passed on as it is."""


def plan(
    request: SpeechRequest,
    catalogue: Catalogue,
    offers: Offers,
    codecs: Codecs,
    latin: languages.LatinGuess | None = None,
    *,
    allowed: frozenset[str] | None = None,
    longest: int | None = None,
) -> Plan:
    """Plan a request, for a caller for whom the `allowed` providers may speak (`None`: all);
    `longest` is given for a job: it holds instead of what the model says of the longest text, and
    what is spoken is looked into before it is kept. Pure: the same arguments give the same plan.

    Raises:
        UnknownModel, UnknownVoice: with the names that come near.
        InvalidRequest: a malformed language.
        InputTooLong: longer than the public model allows.
    """
    model = catalogue.model(request.model, offers)
    steps = [route for route in model.model.routes if route.provider in offers]
    voice = catalogue.voice(request.voice, offers, [route.provider for route in steps])
    given = languages.parsed(request.language)
    _check_length(request, model, longest or model.model.max_input)
    own = languages.primary(voice.voice.languages[0]) if voice.voice.languages else None
    wish = _Wish(
        request=request,
        model=model.name,
        voice=voice,
        language=given or languages.guessed(request.text, own, latin),
        codecs=codecs,
        clone=request.clip is not None and not _speaks_preset(request, model, offers),
        price=model.model.price,
        allowed=allowed,
        in_pieces=_speaks_in_pieces(request, model, steps, offers),
        is_read=longest is not None,
    )
    candidates, passed = _sorted_out(steps, wish, offers)
    return Plan(
        model=model.name,
        voice=voice.name,
        language=wish.language,
        whole=_is_whole(request, model),
        in_pieces=wish.in_pieces,
        rules=model.model,
        candidates=tuple(candidates),
        passed=tuple(passed),
    )


def refusal(made: Plan, request: SpeechRequest, offers: Offers, codecs: Codecs) -> SpeechError:
    """The error for a plan without candidates: the caller's, where another request could be
    served."""
    able = [passed for passed in made.passed if passed.reason not in ("off", "forbidden")]
    reasons = {passed.reason for passed in able}
    if not able and any(passed.reason == "forbidden" for passed in made.passed):
        return Forbidden(f"None of the providers that this key may use speaks for {made.model}.")
    told = "; ".join(f"{passed.provider}: {passed.detail}" for passed in made.passed)
    if "no_format" in reasons and len(reasons) == 1:
        names = _formats_to_be_had(able, offers, codecs)
        asked = request.format.encoding
        return UnsupportedFormat(
            f"No provider of {made.model} can deliver {asked} here. Available: {', '.join(names)}.",
            param="response_format",
        )
    if reasons == {"no_voice"}:
        return UnknownVoice(f"No provider of {made.model} has this voice. {told}", param="voice")
    if reasons and reasons <= {"no_language", "unreadable"}:
        message = f"No provider of {made.model} can read this text as {made.language}. {told}"
        return InvalidRequest(message, param="language")
    if "no_cloning" in reasons:
        message = f"No provider of {made.model} that is on can clone a voice. {told}"
        return InvalidRequest(message, param="prompt_audio", code="cloning_unavailable")
    if reasons == {"too_long"}:
        return InputTooLong(f"The input is too long for every provider: {told}", param="input")
    if reasons and reasons <= _OWN_FAULTS:
        return InvalidRequest(f"No provider of {made.model} can serve this request. {told}")
    return NobodyCan(f"Nobody can speak for {made.model} now. {told or 'Its route is empty.'}")


def who_may_go_on(
    candidates: Sequence[Candidate], held: Held, rules: Model, *, clone: bool
) -> list[Candidate]:
    """Who of these may go on where somebody has spoken before: that one himself, then the others in
    their order. A cloned voice is never changed."""
    change = "same-voice" if clone else rules.voice_change
    able = list(candidates)
    if change == "same-voice":
        able = [one for one in candidates if one.timbre == held.timbre]
    elif change == "same-language-and-gender":
        able = [one for one in candidates if one.traits == held.traits]
    return sorted(able, key=lambda one: one.held != held)


def order_for(
    candidate: Candidate, request: SpeechRequest, language: str, priority: Priority = "live"
) -> SpeechOrder:
    """What this candidate is asked to speak."""
    clip = None if "prompt_audio" in candidate.ignored else request.clip
    return SpeechOrder(
        model=candidate.model,
        text=request.text,
        voice=candidate.voice,
        language=language,
        speed=candidate.speed,
        pitch=candidate.pitch,
        options=candidate.options,
        clip=clip,
        priority=priority,
    )


def _check_length(request: SpeechRequest, model: PublicModel, limit: int) -> None:
    actual = len(request.text)
    if actual > limit:
        raise InputTooLong(
            f"The input has {actual} characters; {model.name} takes at most {limit}.", param="input"
        )


def _is_whole(request: SpeechRequest, model: PublicModel) -> bool:
    if not model.model.streaming:
        return True
    has_sizes = request.format.encoding in ("wav", "flac")
    return has_sizes and request.stream is not True and len(request.text) <= WHOLE_UP_TO


def _speaks_in_pieces(
    request: SpeechRequest, model: PublicModel, steps: Sequence[Route], offers: Offers
) -> bool:
    """Whether the text is cut: always, or where it is longer than one of the providers takes."""
    rules = model.model
    if rules.pieces == "auto":
        return any(_falls_short(route, offers[route.provider], model, request) for route in steps)
    return rules.pieces == "always" and len(request.text) > FIRST_CHARS


def _falls_short(
    route: Route, offered: Offered, model: PublicModel, request: SpeechRequest
) -> bool:
    try:
        return _is_too_long(request, _model_there(route, offered, model.name)[1])
    except Unfit:
        return False


def _is_too_long(request: SpeechRequest, caps: Capabilities) -> bool:
    return caps.max_chars is not None and len(request.text) > caps.max_chars


def _speaks_preset(request: SpeechRequest, model: PublicModel, offers: Offers) -> bool:
    """Whether a voice sample is to be answered in the preset voice: nobody who is on can clone."""
    if request.clip is None or model.model.clone_fallback != "preset":
        return False
    return not any(
        caps.cloning
        for route in model.model.routes
        if (offered := offers.get(route.provider)) and offered.off is None
        for caps in offered.capabilities.values()
    )


def _sorted_out(
    steps: Iterable[Route], wish: _Wish, offers: Offers
) -> tuple[list[Candidate], list[Passed]]:
    candidates, passed = [], []
    for rank, route in enumerate(steps):
        try:
            candidates.append(_candidate(rank, route, offers[route.provider], wish))
        except Unfit as unfit:
            passed.append(Passed(rank, route.provider, unfit.reason, unfit.detail))
    return candidates, passed


def _candidate(rank: int, route: Route, offered: Offered, wish: _Wish) -> Candidate:
    """Hold one step against the wish. Raises Unfit."""
    if wish.allowed is not None and route.provider not in wish.allowed:
        raise Unfit("forbidden", "this key may not use it")
    if offered.off is not None:
        raise Unfit("off", offered.off)
    model, caps = _model_there(route, offered, wish.model)
    if wish.clone and not caps.cloning:
        raise Unfit("no_cloning", "it cannot clone a voice")
    voice = _voice_there(route, offered, model, wish)
    _check_language(caps, wish)
    if not wish.in_pieces and _is_too_long(wish.request, caps):
        raise Unfit("too_long", f"it takes at most {caps.max_chars} characters")
    controls = _controls(wish, caps)
    price = route.price or wish.price
    # What is paid by its length has to be looked into.
    shaped = (
        controls.stretch != UNSTRETCHED
        or offered.gain_db != 0.0
        or price.credits_per_audio_s is not None
        or wish.in_pieces
        or wish.is_read
    )
    agreement = agree(wish.request.format, caps.formats, wish.codecs, shaped=shaped)
    if agreement is None:
        raise Unfit("no_format", f"it has {', '.join(str(format) for format in caps.formats)}")
    return Candidate(
        rank=rank,
        provider=route.provider,
        model=model,
        voice=voice,
        native=agreement.native,
        output=agreement.output,
        through=agreement.through,
        wants_samples=caps.wants_samples,
        gain_db=offered.gain_db,
        speed=controls.speed,
        pitch=controls.pitch,
        stretch=controls.stretch,
        options=controls.options,
        ignored=controls.ignored,
        price=price,
        kind=offered.kind,
        place=offered.place,
        weight=route.weight,
        cost=caps.cost,
        longest=caps.max_chars,
        traits=_traits(voice, offered),
    )


def _model_there(route: Route, offered: Offered, public: str) -> tuple[str, Capabilities]:
    if not offered.capabilities:
        raise Unfit("no_model", "it offers no model now")
    if route.model is not None:
        if route.model not in offered.capabilities:
            raise Unfit("no_model", f"it has no model {route.model}")
        return route.model, offered.capabilities[route.model]
    name = public if public in offered.capabilities else next(iter(offered.capabilities))
    return name, offered.capabilities[name]


def _voice_there(route: Route, offered: Offered, model: str, wish: _Wish) -> VoiceChoice:
    """The voice as this provider calls it: by the config's map, else by the very name."""
    name, voice = wish.voice
    own = languages.primary(voice.languages[0]) if voice.languages else None
    id = voice.providers.get(route.provider) or voice.providers.get(offered.kind)
    theirs = offered.voices.get((id or name).casefold())
    if theirs is not None:
        has_it = theirs.models is None or model in theirs.models
        id = theirs.id if has_it else None
    if id is None and not offered.capabilities[model].chooses_voice and not wish.clone:
        raise Unfit("no_voice", f"it has no voice for {name}")
    return VoiceChoice(id, own, voice.gender)


def _traits(voice: VoiceChoice, offered: Offered) -> tuple[str | None, str | None]:
    """What a provider's own voice is like, by the provider's words, else by the config's."""
    theirs = offered.voices.get((voice.id or "").casefold())
    if theirs is None:
        return voice.language, voice.gender
    language = languages.primary(theirs.languages[0]) if len(theirs.languages) == 1 else None
    return language or voice.language, theirs.gender or voice.gender


def _check_language(caps: Capabilities, wish: _Wish) -> None:
    tongue = languages.primary(wish.language)
    if caps.languages is not None and tongue not in caps.languages:
        raise Unfit("no_language", f"it does not speak {tongue}")
    for script in sorted(caps.unreadable.get(tongue, ())):
        if languages.has_script(wish.request.text, script):
            raise Unfit("unreadable", f"it cannot read {script} characters in {tongue}")


class _Controls(NamedTuple):
    """Speed, pitch and options: who does what."""

    speed: float
    pitch: float | None
    stretch: tuple[float, float]
    options: dict[str, Any]
    ignored: tuple[str, ...]


def _controls(wish: _Wish, caps: Capabilities) -> _Controls:
    """What the provider does itself, what is made here, and the names of what nobody can do.

    `pitch` counts semitones here. A provider whose own scale is another says so in its capabilities
    by taking none, and is shifted.
    """
    request = wish.request
    ignored = [name for name in request.options if name not in caps.options]
    options = {name: value for name, value in request.options.items() if name in caps.options}
    speed, pitch = request.speed, request.pitch or None
    stretch_speed, stretch_pitch = UNSTRETCHED
    if speed != 1.0 and not _within(speed, caps.speed):
        speed, stretch_speed = 1.0, speed
    if pitch is not None and not _within(pitch, caps.pitch):
        if _within(pitch, SHIFTS):
            stretch_pitch = pitch
        else:
            ignored.append("pitch")
        pitch = None
    if request.clip is not None and not wish.clone:
        ignored.append("prompt_audio")
    stretch = (stretch_speed, stretch_pitch)
    return _Controls(speed, pitch, stretch, options, tuple(sorted(ignored)))


def _within(value: float, bounds: tuple[float, float] | None) -> bool:
    return bounds is not None and bounds[0] <= value <= bounds[1]


def _formats_to_be_had(able: Iterable[Passed], offers: Offers, codecs: Codecs) -> list[str]:
    names: set[str] = set()
    for passed in able:
        for caps in offers[passed.provider].capabilities.values():
            for format in caps.formats:
                names.add(format.encoding)
                if format.encoding in codecs.decodes:
                    names |= codecs.encodes
    return sorted(names)
