"""What is told of those who were asked: the trail of a speech, and the error when nobody spoke."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from router.contract.errors import (
    Busy,
    InvalidRequest,
    NobodySpoke,
    NoSlot,
    NotReady,
    OutOfTime,
    Overloaded,
    ProviderError,
    Refused,
    Resting,
    SpeechError,
    TimedOut,
)
from router.routing.plan import Candidate, Plan

Failed = tuple[Candidate, ProviderError]
LONGEST_WAIT_S = 30.0
"""The longest that a caller is sent away for by a guess of ours: beyond it they are worthless."""


class SlotsInUse(NoSlot):
    """All slots that we have for a provider are in use; `expected_s` is when one may be free."""

    def __init__(self, expected_s: float) -> None:
        wait_s = min(max(1.0, expected_s), LONGEST_WAIT_S)
        super().__init__("all its slots are in use", retry_after=wait_s)
        self.expected_s = expected_s


class TooSlow(NoSlot):
    """Its first sound would come when the time for it is over; `first_s` is how long it takes."""

    def __init__(self, first_s: float) -> None:
        super().__init__("it is too slow for the time that is left", retry_after=1.0)
        self.first_s = first_s


class NobodyHas(Exception):
    """None of the candidates made a sound: with the error of each, and what the caller is told."""

    def __init__(self, failed: Sequence[Failed], error: SpeechError) -> None:
        super().__init__()
        self.failed = failed
        self.error = error


def passed_over(
    made: Plan, speaker: Candidate | None, failed: Sequence[Failed]
) -> Mapping[str, str]:
    """Who was passed over or failed before the one who spoke, and the word for why."""
    reasons = {
        passed.provider: passed.reason
        for passed in made.passed
        if speaker is None or passed.rank < speaker.rank
    }
    return reasons | {candidate.provider: error.reason for candidate, error in failed}


def trail(reasons: Mapping[str, str]) -> str:
    """The same for people and headers: `leaper=off, openai=timed_out`."""
    return ", ".join(f"{provider}={reason}" for provider, reason in reasons.items()) or "none"


def expected(what: str, wait_s: float) -> str:
    """When something may be free again, in a sentence; empty where nobody can tell."""
    return f" {what} may be free in about {math.ceil(wait_s)} s." if wait_s > 0 else ""


def verdict(errors: Sequence[ProviderError]) -> SpeechError:
    """What the caller is told when nobody spoke."""
    if all(isinstance(error, Refused) for error in errors):
        return InvalidRequest(f"Every provider refused this request. {errors[0].message}")
    waits = [error.retry_after for error in errors if error.retry_after is not None]
    if all(isinstance(error, Busy | NotReady | Resting) for error in errors):
        guesses = [error.expected_s for error in errors if isinstance(error, SlotsInUse)]
        told = f"Every provider is busy.{expected('One', min(guesses, default=0.0))}"
        if slow := [error.first_s for error in errors if isinstance(error, TooSlow)]:
            told = f"Nobody can make a sound in time: it takes about {min(slow):.1f} s now."
        return Overloaded(f"{told} Try again soon.", retry_after=min(waits or [5]))
    if all(isinstance(error, TimedOut) for error in errors):
        return OutOfTime("No provider made a sound in time.")
    return NobodySpoke(f"No provider could speak: {', '.join(error.reason for error in errors)}.")
