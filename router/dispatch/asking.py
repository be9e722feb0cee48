"""Candidates asked in their order, until one has made a sound: the loop behind every speech."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import msgspec

from router.audio.integrity import Finding
from router.contract.caller import Ask, Gate
from router.contract.errors import OutOfTime, ProviderError, Remedy, Resting
from router.contract.record import Attempt as AttemptRecord
from router.contract.record import (
    ProviderFailed,
    SpeechDoubted,
    SpeechHedged,
    SpeechMade,
    SpeechRecord,
)
from router.contract.speech import Cost, Priority, SpeechOrder, SpeechRequest
from router.contract.trace import TraceContext, new_span_id
from router.dispatch.attempts import Attempt
from router.dispatch.limits import Places
from router.dispatch.observers import Observers
from router.dispatch.outlook import Outlook
from router.dispatch.owned import Owned
from router.dispatch.roster import Roster
from router.dispatch.sounding import Sounding
from router.dispatch.verdicts import Failed, NobodyHas, TooSlow, verdict
from router.routing.order import CHARS_PER_S, TRIED_SHARE
from router.routing.plan import Candidate, order_for
from router.settings.structs import Settings

_LONGEST_PAUSE_S = 5.0
"""Beyond it a caller is told to come again rather than kept waiting."""
_MOST_SAVED = 10.0
_NO_COST = Cost(currency="")
_LEAST_HEARD = 20
"""First sounds that must be known of a provider before one of its is late."""
_QUICKEST = 0.05
"""The part of its first sounds that are its quickest."""


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be spoken by one of some candidates, and what all of them may take together."""

    request: SpeechRequest
    """With its sample decoded; the text is that of one piece, where it is spoken in pieces."""
    language: str
    candidates: Sequence[Candidate]
    deadline: float
    """Loop time by which somebody must have made a sound."""
    whole_bytes: int
    """Hold so much of it until it is complete; 0: nothing."""
    record: SpeechRecord
    ask: Ask
    hedge: float = 0.0
    """The most part of requests in which two are asked at once."""
    priority: Priority = "live"


class Spoken(msgspec.Struct, frozen=True):
    """Who has made a sound, and who was asked before. Closing it lets go of the sound."""

    candidate: Candidate
    sounding: Sounding
    failed: Sequence[Failed]
    owner: Owned | None = None
    """The attempt, where it has a task of its own."""

    async def aclose(self) -> None:
        await (self.owner or self.sounding).aclose()


class Asker:
    """Asks providers, with their slots, their limits and what is thought of them."""

    def __init__(
        self,
        settings: Settings,
        roster: Roster,
        gate: Gate,
        observers: Observers,
        *,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._timeouts = settings.timeouts
        self._roster = roster
        self._gate = gate
        self._observers = observers
        self._dice = dice
        self._saved: dict[str, float] = {}
        """Of each public model, how many requests may still be hedged."""
        self.outlook = Outlook(settings.outlook, observers.noticed, dice=dice)
        self.slots = {
            name: Places(provider.entry.slots, queue=provider.entry.slots)
            for name, provider in settings.providers.items()
        }

    async def ask(self, want: Want) -> Spoken:
        """Ask until somebody has made a sound, which is to be closed.

        Everybody is asked once, at once again where the error says so, and all whose error says
        «later» a second time after a pause.

        Raises:
            NobodyHas: with everybody's error.
        """
        failed: list[Failed] = []
        candidates = want.candidates
        spoken = None
        if len(candidates) > 1 and (patience_s := self._hedges_after(want)) is not None:
            spoken, candidates = await self._hedged(want, patience_s, failed)
        if spoken is None:
            spoken = await self._round(want, candidates, failed)
        later = _later(failed) if self._timeouts.retry_pause_s else []
        if spoken is None and later and await self._paused(want, later):
            spoken = await self._round(want, [candidate for candidate, _ in later], failed)
        if spoken is not None:
            return spoken
        if _now() >= want.deadline:
            late = OutOfTime("No provider made a sound before the deadline.")
            raise NobodyHas(failed, late)
        raise NobodyHas(failed, verdict([error for _, error in failed]))

    def _hedges_after(self, want: Want) -> float | None:
        """Seconds after which a second is asked; `None`: this request asks one after the other."""
        if not want.hedge:
            return None
        saved = self._saved.get(want.ask.model, 0.0) + want.hedge
        self._saved[want.ask.model] = min(saved, _MOST_SAVED)
        first = want.candidates[0]
        return self.outlook.pace((first.provider, first.model)).within_s(0.95, _LEAST_HEARD)

    async def _hedged(
        self, want: Want, patience_s: float, failed: list[Failed]
    ) -> tuple[Spoken | None, Sequence[Candidate]]:
        """Ask the first; when it is late, the second as well: the first sound wins, the other is
        let go. Gives who is left to be asked where neither made a sound."""
        first, second, *rest = want.candidates
        asked = [(first, Owned(lambda: self._once(want, first, is_last=False)))]
        try:
            await asyncio.wait([asked[0][1].sounded], timeout=patience_s)
            if not asked[0][1].sounded.done() and self._saved[want.ask.model] >= 1.0:
                self._saved[want.ask.model] -= 1.0
                want.record.hedged = True
                self._observers.noticed(SpeechHedged(want.ask.model, second.provider))
                other = Owned(lambda: self._once(want, second, is_last=not rest))
                asked.append((second, other))
            left = rest if len(asked) > 1 else [second, *rest]
            while asked:
                await asyncio.wait([o.sounded for _, o in asked], return_when="FIRST_COMPLETED")
                candidate, owner = next(one for one in asked if one[1].sounded.done())
                asked.remove((candidate, owner))
                error = owner.sounded.exception()
                if error is None:
                    return Spoken(candidate, owner.sounded.result(), failed, owner), left
                if not isinstance(error, ProviderError):
                    raise error
                failed.append((candidate, error))
            return None, left
        finally:
            for _, owner in asked:
                await owner.aclose()

    async def _round(
        self, want: Want, candidates: Sequence[Candidate], failed: list[Failed]
    ) -> Spoken | None:
        for at, candidate in enumerate(candidates):
            is_last = at == len(candidates) - 1
            for _ in range(2):
                if failed and _now() >= want.deadline:
                    return None
                try:
                    sounding = await self._once(want, candidate, is_last=is_last)
                except ProviderError as error:
                    failed.append((candidate, error))
                    if error.remedy is not Remedy.AGAIN:
                        break
                else:
                    return Spoken(candidate, sounding, failed)
        return None

    async def _paused(self, want: Want, later: Sequence[Failed]) -> bool:
        """Wait before a second round, as long as the most patient of the errors asks; false where
        that is longer than there is time."""
        waits = [error.retry_after for _, error in later if error.retry_after is not None]
        pause_s = max(self._dice() * self._timeouts.retry_pause_s, min(waits, default=0.0))
        if pause_s > _LONGEST_PAUSE_S or _now() + pause_s >= want.deadline:
            return False
        await asyncio.sleep(pause_s)
        return True

    def expects_s(self, candidate: Candidate, characters: int) -> float:
        """Seconds in which it will have spoken so much, by what it did of late; 0: nobody knows."""
        pace = self.outlook.pace((candidate.provider, candidate.model))
        if pace.first_audio_s is None:
            return 0.0
        return pace.first_audio_s + (pace.real_time_factor or 0.0) * characters / CHARS_PER_S

    def _check_pace(self, want: Want, candidate: Candidate, *, is_last: bool) -> None:
        """Pass over who would make its first sound too late, by what it did of late. Behind the
        last comes nobody: it is left out only where even its quickest were too late, and now and
        then asked all the same, for what is thought of it may be over.

        Raises:
            TooSlow: with how long it takes.
        """
        pace = self.outlook.pace((candidate.provider, candidate.model))
        first_s = pace.within_s(_QUICKEST, _LEAST_HEARD) if is_last else pace.first_audio_s
        if first_s is None or _now() + first_s <= want.deadline:
            return
        if not (is_last and self._dice() < TRIED_SHARE):
            raise TooSlow(first_s)

    async def _once(self, want: Want, candidate: Candidate, *, is_last: bool) -> Sounding:
        """One attempt, told to the breaker, to the record and to those who listen."""
        name, model, record = candidate.provider, candidate.model, want.record
        self._check_pace(want, candidate, is_last=is_last)
        trial = self.outlook.ask(name, model, want.priority)
        if trial is None:
            wait_s = self.outlook.wait_s(name, model)
            raise Resting("it is left alone after failures", retry_after=max(1.0, wait_s))
        started, result = _now(), "abandoned"
        order, span_id = _traced(
            order_for(candidate, want.request, want.language, want.priority), record.trace
        )

        def doubted(finding: Finding) -> None:
            record.doubts.append(finding.kind)
            event = SpeechDoubted(name, model, finding.kind, finding.hard)
            self._observers.noticed(event)

        def ended(audio_s: float | None) -> None:
            trial.ended(audio_s)
            told = SpeechMade(name, model, trial.took_s, audio_s, *_takes(candidate, want, audio_s))
            self._observers.noticed(told)

        def let_go(audio_s: float | None) -> None:
            """It takes its price all the same; how fast it is, such an end does not tell."""
            told = SpeechMade(name, model, trial.took_s, None, *_takes(candidate, want, audio_s))
            self._observers.noticed(told)

        attempt = Attempt(
            candidate,
            self._roster.providers[name],
            self.slots[name],
            self._settings,
            doubted,
            ended=ended,
            let_go=let_go,
            turn=lambda: self._gate.attempt(name, want.ask),
            trial=trial,
            size_s=self.expects_s(candidate, len(want.request.text)),
            stall_s=self._stall_s(want),
            is_last=is_last,
        )
        try:
            sounding = await attempt.begin(
                order,
                patience_s=min(self._timeouts.slot_s, want.deadline - started) if is_last else 0,
                first_by=min(want.deadline, started + self._first_audio_s(want, candidate)),
                whole_bytes=want.whole_bytes,
            )
        except ProviderError as error:
            result = error.reason
            self._observers.noticed(ProviderFailed(name, model, error.reason))
            raise
        else:
            result = "spoken"
            return sounding
        finally:
            told = AttemptRecord(
                name,
                model,
                result,
                started - record.opened,
                _now() - started,
                attempt.waited_s,
                trial.first_audio_s,
                span_id,
                want.priority,
            )
            record.attempts.append(told)
            self._observers.noticed(told)

    def _stall_s(self, want: Want) -> float:
        """Who goes behind all others may be let wait in mid-speech, too."""
        is_batch = want.priority == "batch"
        return self._timeouts.deadline_most_s if is_batch else self._timeouts.stall_s

    def _first_audio_s(self, want: Want, candidate: Candidate) -> float:
        if want.priority == "batch":
            return self._timeouts.deadline_most_s
        if want.request.clip is not None:
            return self._timeouts.clone_first_audio_s
        own = self._settings.providers[candidate.provider].entry.first_audio_s
        return own or self._timeouts.first_audio_s


def _takes(candidate: Candidate, want: Want, audio_s: float | None) -> tuple[float, str]:
    """What it takes from us by its own price, and in which currency."""
    cost = candidate.cost or _NO_COST
    takes = cost.per_1k_chars * len(want.request.text) / 1000
    return takes + cost.per_minute * (audio_s or 0.0) / 60, cost.currency


def _traced(order: SpeechOrder, trace: TraceContext | None) -> tuple[SpeechOrder, str]:
    """The order with the headers that put the upstream's work below our attempt, and its span."""
    if trace is None:
        return order, ""
    span_id = new_span_id()
    return msgspec.structs.replace(order, trace=trace.headers(span_id)), span_id


def _later(failed: Sequence[Failed]) -> list[Failed]:
    """The last failure of each candidate that may be asked again."""
    last = {id(candidate): (candidate, error) for candidate, error in failed}
    return [one for one in last.values() if one[1].remedy is Remedy.LATER]


def _now() -> float:
    return asyncio.get_running_loop().time()
