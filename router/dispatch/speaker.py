"""The whole journey of a request, from what was asked to speech under way. Read this first."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from router.audio.clip import ClipDecoder
from router.audio.codecs import kept, legal
from router.audio.decode import DECODES
from router.audio.encode import ENCODERS
from router.audio.integrity import Finding
from router.audio.pipeline import silence
from router.contract.audio import Clip
from router.contract.caller import Caller, Gate
from router.contract.errors import (
    Busy,
    InvalidRequest,
    NobodySpoke,
    NotReady,
    OutOfTime,
    Overloaded,
    ProviderError,
    Refused,
    Remedy,
    SpeechError,
    TimedOut,
)
from router.contract.provider import Secret
from router.contract.record import Attempt as AttemptRecord
from router.contract.record import Outcome, ProviderFailed, SpeechDoubted, SpeechRecord
from router.contract.speech import SpeechRequest
from router.dispatch.attempts import Attempt, Sounding
from router.dispatch.limits import Full, Hold, Places
from router.dispatch.observers import Observers
from router.dispatch.roster import Roster
from router.dispatch.speech import Speech
from router.routing.catalogue import Catalogue
from router.routing.language import LatinGuess, is_speakable
from router.routing.negotiate import Codecs
from router.routing.plan import Candidate, Plan, order_for, plan, refusal
from router.settings.structs import Settings

CODECS = Codecs(decodes=DECODES, encodes=frozenset(ENCODERS), legal=legal, kept=kept)
SILENCE_S = 0.3
"""The answer to a text with nothing to say in it: some clients try a server with «.»."""


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
    ) -> None:
        self.catalogue = Catalogue(settings)
        self.roster = roster
        self.gate = gate
        self.observers = observers
        self._latin = latin
        self._clips = clips
        self._key = hashlib.sha256(secret.reveal().encode()).digest()
        self._settings = settings
        self._timeouts = settings.timeouts
        self._places = Places(settings.server.places, queue=settings.server.places)
        self._slots = {
            name: Places(provider.entry.slots, queue=provider.entry.slots)
            for name, provider in settings.providers.items()
        }

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
        self, request: SpeechRequest, caller: Caller, record: SpeechRecord
    ) -> AsyncIterator[Speech]:
        """Enter to wait for the first sound, iterate the speech, leave to let go of everything.

        The record fills up on the way; whoever opened it publishes it.

        Raises:
            CallerError, RouterError, Refused: before the first sound.
            ProviderError: out of the speech's chunks, where it breaks off.
        """
        speech: Speech | None = None
        try:
            async with AsyncExitStack() as stack:
                made = self._plan(request)
                self._note_plan(record, request, made)
                await stack.enter_async_context(self.gate.admit(caller, request))
                stack.callback((await self._place()).release)
                request = await self._with_samples(request, made)
                speech = await self._begin(stack, request, made, record)
                _note_speech(record, speech)
                yield speech
            record.outcome = "spoken" if speech.complete else "abandoned"
        except BaseException as error:
            record.outcome, record.reason = _outcome(error, speech, record)
            raise
        finally:
            if speech is not None:
                record.audio_bytes, record.audio_s = speech.bytes_out, speech.seconds

    def _note_plan(self, record: SpeechRecord, request: SpeechRequest, made: Plan) -> None:
        record.model, record.voice, record.language = made.model, made.voice, made.language
        record.characters = len(request.text)
        record.format = request.format.encoding
        record.clone = request.clip is not None
        text = request.text.encode("utf-8", "surrogatepass")
        record.text_key = hashlib.blake2b(text, key=self._key, digest_size=8).hexdigest()

    def _plan(self, request: SpeechRequest) -> Plan:
        return plan(request, self.catalogue, self.roster.offers, CODECS, self._latin)

    async def _with_samples(self, request: SpeechRequest, made: Plan) -> SpeechRequest:
        """Decode the voice sample, once for all attempts; 46 MB of it stay only for who wants them.

        Raises:
            BadClip: it is no sample of a voice.
            Overloaded: too many are being decoded.
        """
        if request.clip is None:
            return request
        clip = await self._clips.decode(request.clip)
        if not any(candidate.wants_samples for candidate in made.candidates):
            clip = msgspec.structs.replace(clip, samples=None)
        return msgspec.structs.replace(request, clip=clip)

    async def _place(self) -> Hold:
        try:
            return await self._places.take(self._timeouts.place_s)
        except Full:
            raise Overloaded("The server is full. Try again soon.", retry_after=2) from None

    async def _begin(
        self, stack: AsyncExitStack, request: SpeechRequest, made: Plan, record: SpeechRecord
    ) -> Speech:
        """Ask the candidates in order until one has made a sound; the stack lets go of it."""
        if not is_speakable(request.text):
            return await _silent(request, made)
        if not made.candidates:
            raise refusal(made, request, self.roster.offers, CODECS)
        deadline = self._deadline(request)
        failed: list[tuple[Candidate, ProviderError]] = []
        for candidate in _with_repeats(made.candidates, failed):
            try:
                sounding = await self._attempt(candidate, request, made, deadline, record)
            except ProviderError as error:
                failed.append((candidate, error))
                if asyncio.get_running_loop().time() >= deadline:
                    break
            else:
                stack.push_async_callback(sounding.aclose)
                return _spoken(request, made, candidate, sounding, failed)
        record.fallback = trail(made, None, failed)
        if asyncio.get_running_loop().time() >= deadline:
            raise OutOfTime("No provider made a sound before the deadline.")
        raise verdict([error for _, error in failed])

    async def _attempt(
        self,
        candidate: Candidate,
        request: SpeechRequest,
        made: Plan,
        deadline: float,
        record: SpeechRecord,
    ) -> Sounding:
        name = candidate.provider
        loop = asyncio.get_running_loop()
        started, result = loop.time(), "abandoned"
        is_last = candidate is made.candidates[-1]

        def doubted(finding: Finding) -> None:
            record.doubts.append(finding.kind)
            event = SpeechDoubted(name, candidate.model, finding.kind, finding.hard)
            self.observers.noticed(event)

        attempt = Attempt(
            candidate,
            self.roster.providers[name],
            self._slots[name],
            self._settings,
            doubted,
            is_last=is_last,
        )
        try:
            sounding = await attempt.begin(
                order_for(candidate, request, made.language),
                patience_s=min(self._timeouts.slot_s, deadline - started) if is_last else 0,
                first_by=min(deadline, started + self._first_audio_s(candidate, request)),
                whole_bytes=self._settings.server.whole_bytes if made.whole else 0,
            )
        except ProviderError as error:
            result = error.reason
            self.observers.noticed(ProviderFailed(name, candidate.model, error.reason))
            raise
        else:
            result = "spoken"
            return sounding
        finally:
            since = started - record.opened
            took = loop.time() - started
            record.attempts.append(AttemptRecord(name, candidate.model, result, since, took))

    def _deadline(self, request: SpeechRequest) -> float:
        limit = self._timeouts.deadline_s
        if request.clip is not None:
            limit = max(limit, self._timeouts.clone_first_audio_s)
        return asyncio.get_running_loop().time() + limit

    def _first_audio_s(self, candidate: Candidate, request: SpeechRequest) -> float:
        if request.clip is not None:
            return self._timeouts.clone_first_audio_s
        own = self._settings.providers[candidate.provider].entry.first_audio_s
        return own or self._timeouts.first_audio_s


def _with_repeats(
    candidates: Sequence[Candidate], failed: Sequence[tuple[Candidate, ProviderError]]
) -> Iterator[Candidate]:
    """Each candidate in order, and once more at once where its error says that this may help."""
    for candidate in candidates:
        yield candidate
        if failed and failed[-1][1].remedy is Remedy.AGAIN:
            yield candidate


def trail(
    made: Plan, speaker: Candidate | None, failed: Sequence[tuple[Candidate, ProviderError]]
) -> str:
    """Who was passed over or failed before the one who spoke: `leaper=off, openai=timed_out`."""
    reasons = {
        passed.provider: passed.reason
        for passed in made.passed
        if speaker is None or passed.rank < speaker.rank
    }
    reasons |= {candidate.provider: error.reason for candidate, error in failed}
    return ", ".join(f"{provider}={reason}" for provider, reason in reasons.items()) or "none"


def verdict(errors: Sequence[ProviderError]) -> SpeechError:
    """What the caller is told when nobody spoke."""
    if all(isinstance(error, Refused) for error in errors):
        return InvalidRequest(f"Every provider refused this request. {errors[0].message}")
    waits = [error.retry_after for error in errors if error.retry_after is not None]
    if all(isinstance(error, Busy | NotReady) for error in errors):
        return Overloaded("Every provider is busy. Try again soon.", retry_after=min(waits or [5]))
    if all(isinstance(error, TimedOut) for error in errors):
        return OutOfTime("No provider made a sound in time.")
    return NobodySpoke(f"No provider could speak: {', '.join(error.reason for error in errors)}.")


def _spoken(
    request: SpeechRequest,
    made: Plan,
    candidate: Candidate,
    sounding: Sounding,
    failed: Sequence[tuple[Candidate, ProviderError]],
) -> Speech:
    return Speech(
        chunks=sounding.body,
        format=sounding.format,
        length=sounding.length,
        model=made.model,
        provider=candidate.provider,
        upstream_model=candidate.model,
        voice=sounding.stream.voice or candidate.voice.id or made.voice,
        fallback=trail(made, candidate, failed),
        ignored=candidate.ignored,
        warnings=_warnings(request.clip),
        characters=len(request.text),
        upstream_id=sounding.stream.upstream_id,
        seconds=lambda: sounding.seconds,
    )


def _warnings(clip: Clip | None) -> tuple[str, ...]:
    return ("prompt_audio clips",) if clip is not None and clip.clips else ()


async def _silent(request: SpeechRequest, made: Plan) -> Speech:
    """Nothing to say: no provider is asked, nothing is charged."""
    format, body = await asyncio.to_thread(silence, request.format, SILENCE_S)

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    return Speech(
        chunks=chunks(),
        format=format,
        length=len(body),
        model=made.model,
        provider="router",
        upstream_model="silence",
        voice=made.voice,
        fallback="none",
        ignored=(),
        warnings=(),
        characters=0,
        upstream_id=None,
        seconds=lambda: SILENCE_S,
    )


def _note_speech(record: SpeechRecord, speech: Speech) -> None:
    record.first_audio_s = asyncio.get_running_loop().time() - record.opened
    record.provider, record.upstream_model = speech.provider, speech.upstream_model
    record.fallback, record.upstream_id = speech.fallback, speech.upstream_id
    record.characters = speech.characters


def _outcome(
    error: BaseException, speech: Speech | None, record: SpeechRecord
) -> tuple[Outcome, str]:
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "abandoned", ""
    reason = error.reason if isinstance(error, SpeechError) else type(error).__name__
    if speech is not None:
        return "broken", reason
    return ("failed" if record.attempts else "refused"), reason
