"""The whole journey of a request, from what was asked to speech under way. Read this first."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import msgspec

from router.audio.clip import ClipDecoder
from router.audio.codecs import kept, legal
from router.audio.decode import DECODES
from router.audio.encode import ENCODERS
from router.contract.caller import FREE, Ask, Caller, Gate, Grant
from router.contract.errors import Forbidden, NobodyCan, Overloaded, SpeechError, listed
from router.contract.provider import LOCAL_OWNER, Secret
from router.contract.record import SpeechRecord
from router.contract.speech import PLAIN_TERMS, Held, Priority, SpeechRequest, Terms
from router.contract.trace import TraceContext, trace_context
from router.dispatch import paying
from router.dispatch.answers import Answers
from router.dispatch.asking import Asker, Want
from router.dispatch.cache import SpeechCache
from router.dispatch.keeping import Keeper, Keeping
from router.dispatch.limits import Full, Hold, Places
from router.dispatch.made import Made
from router.dispatch.noting import note_plan, note_speech, outcome_of, since
from router.dispatch.observers import Observers
from router.dispatch.production import Shared
from router.dispatch.recital import Recital
from router.dispatch.roster import Roster
from router.dispatch.speech import Speech
from router.dispatch.spoken import silent, spoken
from router.dispatch.verdicts import LONGEST_WAIT_S, NobodyHas, expected, passed_over, trail
from router.routing.catalogue import Catalogue
from router.routing.language import LatinGuess, is_speakable
from router.routing.negotiate import Codecs
from router.routing.order import ordered, preferred
from router.routing.plan import Candidate, Plan, plan, refusal, who_may_go_on
from router.settings.structs import Settings

CODECS = Codecs(decodes=DECODES, encodes=frozenset(ENCODERS), legal=legal, kept=kept)


class Explained(msgspec.Struct, frozen=True):
    """What would be done with a request: the plan, and the refusal when nobody could speak."""

    plan: Plan
    refusal: SpeechError | None


class Speaker:
    """Everything that a request meets between the door and its audio."""

    def __init__(
        self,
        settings: Settings,
        roster: Roster,
        gate: Gate,
        observers: Observers,
        *,
        clips: ClipDecoder,
        secret: Secret,
        latin: LatinGuess | None = None,
        cache: SpeechCache | None = None,
        answers: Answers | None = None,
    ) -> None:
        self.catalogue = Catalogue(settings)
        self.roster = roster
        self.gate = gate
        self.observers = observers
        self.asker = Asker(settings, roster, gate, observers)
        self._shared = Shared()
        self._latin = latin
        self.clips = clips
        self._key = hashlib.sha256(secret.reveal().encode()).digest()
        answers = answers or Answers(settings.server.answers_bytes)
        self._keeper = Keeper(self._key, cache, answers, self.asker.outlook)
        self._settings = settings
        self._timeouts = settings.timeouts
        self.places = Places(settings.server.places, queue=settings.server.places)
        self._places_again = Places(settings.server.places, queue=settings.server.places)

    def planned(self, request: SpeechRequest, caller: Caller, terms: Terms = PLAIN_TERMS) -> Plan:
        """Who would be asked for this caller; nothing is spoken or counted.

        Raises:
            CallerError, NobodyCan: nobody could speak it.
        """
        _check_model(request, caller)
        made = self._plan(request, caller, terms)
        self._check_candidates(request, made)
        return made

    def kept_bytes(self) -> dict[str, tuple[int, int]]:
        """Of each store of finished speech what it holds, and the most that it may."""
        return self._keeper.kept_bytes()

    def explain(self, request: SpeechRequest) -> Explained:
        """Who would be asked, and why everybody else would not. Nothing is spoken or counted.

        Raises:
            CallerError: the request is refused whoever speaks.
        """
        made = self._plan(request)
        if made.candidates:
            return Explained(made, None)
        return Explained(made, refusal(made, request, self.roster.offers, CODECS))

    @asynccontextmanager
    async def speak(
        self,
        request: SpeechRequest,
        caller: Caller,
        record: SpeechRecord,
        terms: Terms = PLAIN_TERMS,
    ) -> AsyncIterator[Speech]:
        """Enter to wait for the first sound, iterate the speech, leave to let go of everything.

        The record fills up on the way; whoever opened it publishes it.

        Raises:
            CallerError, RouterError, Refused: before the first sound.
            ProviderError: out of the speech's chunks, where it breaks off.
        """
        speech: Speech | None = None
        grant: Grant = FREE
        record.priority = terms.priority
        try:
            async with AsyncExitStack() as stack:
                _check_model(request, caller)
                record.understood_s = since(record)
                record.trace = record.trace or self._new_trace()
                made = self._plan(request, caller, terms)
                record.planned_s = since(record)
                note_plan(record, request, made, self._key)
                self._check_candidates(request, made)
                ask = paying.ask_for(request, made, record.request_id, terms.idempotency_key)
                keeping = self._keeper.of(request, made, caller, terms, ask)
                if keeping is not None:
                    stack.callback(keeping.leave)
                grant = await stack.enter_async_context(self.gate.admit(caller, ask))
                again = None
                if keeping is not None:
                    again = await keeping.again(self._ordered(request, made, terms))
                place = await self._place(
                    request, made, record, is_kept=again is not None, priority=terms.priority
                )
                stack.callback(place.release)
                if again is not None:
                    speech = again
                elif is_speakable(request.text):
                    want = self._want(request, made, record, ask, terms)
                    speech = await stack.enter_async_context(self._heard(want, made, keeping))
                else:
                    speech = await silent(request, made)
                note_speech(record, speech)
                speech.account = paying.Account(grant, speech, request, made.language)
                stack.push(speech.account.leave)  # first of all: now is known what was delivered
                yield speech
            record.outcome = "spoken" if speech.complete else "abandoned"
        except BaseException as error:
            record.outcome, record.reason = outcome_of(error, speech, record)
            raise
        finally:
            if speech is not None:
                record.audio_bytes, record.audio_s = speech.bytes_out, speech.seconds
                record.credits = grant.charged

    def _new_trace(self) -> TraceContext | None:
        """For what did not come by the door: a piece of a job, a sample of a voice."""
        wanted = self._settings.tracing
        return trace_context("", "", wanted.sample_ratio) if wanted.enabled else None

    def _plan(
        self, request: SpeechRequest, caller: Caller | None = None, terms: Terms = PLAIN_TERMS
    ) -> Plan:
        allowed = caller.providers if caller is not None else None
        offers = self.roster.offers_to(caller.id if caller is not None else LOCAL_OWNER)
        longest = self._settings.jobs.longest_chars if terms.priority == "batch" else None
        made = plan(
            request,
            self.catalogue,
            offers,
            CODECS,
            self._latin,
            allowed=allowed,
            longest=longest,
        )
        return made if terms.held is None else _held(made, terms.held, request)

    def _check_candidates(self, request: SpeechRequest, made: Plan) -> None:
        """Refuse what nobody can speak before anything is taken for it. Raises SpeechError."""
        if not made.candidates and is_speakable(request.text):
            raise refusal(made, request, self.roster.offers, CODECS)

    def _want(
        self, request: SpeechRequest, made: Plan, record: SpeechRecord, ask: Ask, terms: Terms
    ) -> Want:
        return Want(
            request=request,
            language=made.language,
            candidates=self._ordered(request, made, terms),
            deadline=asyncio.get_running_loop().time() + self._deadline_s(request, terms),
            whole_bytes=self._settings.server.whole_bytes if made.whole else 0,
            record=record,
            ask=ask,
            hedge=made.rules.hedge if terms.priority == "live" else 0.0,
            priority=terms.priority,
        )

    def _ordered(self, request: SpeechRequest, made: Plan, terms: Terms) -> list[Candidate]:
        """The plan's candidates as they are to be asked now."""
        if len(made.candidates) == 1 or terms.held is not None:
            return list(made.candidates)
        order, first = preferred(made.rules.order, terms.prefer if made.rules.prefer else None)
        beliefs = self.asker.outlook.beliefs()
        dice = random.random()  # noqa: S311  # a draw among providers is no secret
        return ordered(
            made.candidates, order, beliefs, characters=len(request.text), dice=dice, first=first
        )

    @asynccontextmanager
    async def _heard(
        self, want: Want, made: Plan, keeping: Keeping | None
    ) -> AsyncIterator[Speech]:
        """Hear what was kept meanwhile, listen to what is under way for the same request, else have
        it made."""
        came = keeping.since(want.candidates) if keeping is not None else None
        if came is not None:
            yield came
            return

        @asynccontextmanager
        async def making() -> AsyncIterator[Made]:
            decoded = msgspec.structs.replace(want, request=await self._with_samples(want))
            if made.in_pieces:
                recital = Recital(self.asker, self.observers, self._settings, decoded, made)
                async with recital.begun() as begun:
                    yield msgspec.structs.replace(begun, warnings=_warnings(decoded.request))
                return
            spoken = await self.asker.ask(decoded)
            async with aclosing(spoken):
                before = passed_over(made, spoken.candidate, spoken.failed)
                warnings = _warnings(decoded.request)
                yield Made(spoken.candidate, spoken.sounding, before, want.record, warnings)

        is_shared = made.rules.share and want.priority == "live"  # none shall wait behind all
        keys: list[Hashable] = [self._sameness(want, made)] if is_shared else []
        if keeping is not None:
            keys = [*keeping.names, *keys]
        async with self._shared.listening(keys, making, keeping) as (production, reader, shared):
            want.record.shared = shared
            try:
                begun = await production.made()
            except NobodyHas as nobody:
                want.record.passed_over = passed_over(made, None, nobody.failed)
                want.record.fallback = trail(want.record.passed_over)
                raise nobody.error from None
            speech = spoken(want.request, made, begun, reader, shared=shared)
            if keeping is not None:
                keeping.heard(speech)
            yield speech

    def _sameness(self, want: Want, made: Plan) -> Hashable:
        """Equal for requests that one synthesis can answer; nothing of the text is in it."""
        request = want.request
        sample = hashlib.sha256(request.clip.data).digest() if request.clip is not None else b""
        plain = msgspec.structs.replace(request, clip=None, shape="", stream=None)
        who = [(one.provider, one.model, one.voice.id) for one in made.candidates]
        whole = (made.model, made.language, made.whole, who, sample)
        told = msgspec.msgpack.encode((plain, whole))
        return hashlib.blake2b(told, key=self._key, digest_size=16).digest()

    async def _with_samples(self, want: Want) -> SpeechRequest:
        """Decode the voice sample, once for all attempts; 46 MB of it stay only for who wants them.

        Raises:
            BadClip: it is no sample of a voice.
            Overloaded: too many are being decoded.
        """
        request = want.request
        if request.clip is None:
            return request
        clip = await self.clips.decode(request.clip)
        if not any(candidate.wants_samples for candidate in want.candidates):
            clip = msgspec.structs.replace(clip, samples=None)
        return msgspec.structs.replace(request, clip=clip)

    async def _place(
        self,
        request: SpeechRequest,
        made: Plan,
        record: SpeechRecord,
        *,
        is_kept: bool,
        priority: Priority,
    ) -> Hold:
        """A place in the server. What is kept already has places of its own: it does not wait for
        those who are spoken to."""
        places = self._places_again if is_kept else self.places
        known = 0.0
        if made.candidates and not is_kept:
            known = self.asker.expects_s(made.candidates[0], len(request.text))
        began = asyncio.get_running_loop().time()
        try:
            return await places.take(self._timeouts.place_s, known, priority)
        except Full as full:
            wait_s = min(max(2.0, full.wait_s), LONGEST_WAIT_S)
            told = f"The server is full.{expected('A place', full.wait_s)} Try again soon."
            raise Overloaded(told, retry_after=wait_s) from None
        finally:
            record.place_s = asyncio.get_running_loop().time() - began

    def _deadline_s(self, request: SpeechRequest, terms: Terms) -> float:
        if terms.priority == "batch":
            return self._timeouts.deadline_most_s
        limit = self._timeouts.deadline_s
        if request.clip is not None:
            limit = max(limit, self._timeouts.clone_first_audio_s)
        if terms.within_s is not None:
            limit = min(terms.within_s, max(limit, self._timeouts.deadline_most_s))
        return limit


def _held(made: Plan, held: Held, request: SpeechRequest) -> Plan:
    """The plan as far as it may follow on who has spoken before. Raises NobodyCan."""
    clone = request.clip is not None
    able = who_may_go_on(made.candidates, held, made.rules, clone=clone)
    if made.candidates and not able:
        raise NobodyCan(f"{held.provider} began in a voice that nobody else has now.")
    return msgspec.structs.replace(made, candidates=tuple(able))


def _check_model(request: SpeechRequest, caller: Caller) -> None:
    """Refuse a model that is not the caller's own, whether there is one of that name or not.

    Raises:
        Forbidden: naming those that are.
    """
    if caller.models is not None and not caller.may_ask_for(request.model):
        own = listed(sorted(caller.models))
        raise Forbidden(f"This key may not use that model. It may use: {own}.", param="model")


def _warnings(request: SpeechRequest) -> tuple[str, ...]:
    return ("prompt_audio clips",) if request.clip is not None and request.clip.clips else ()
