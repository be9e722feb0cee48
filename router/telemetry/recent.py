"""The last requests, without their words, for whoever looks at the operations page."""

from __future__ import annotations

import datetime as dt
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from router.contract.record import Event, LimitRefused, Outcome, SpeechRecord

KEPT = 50
_MINUTE_S = 60


class RecentSpeech(msgspec.Struct, frozen=True, kw_only=True):
    """One request: how it was routed, how long it took and how it ended."""

    ended: dt.datetime
    """UTC."""
    shape: str
    model: str
    provider: str
    voice: str
    fallback: str
    first_audio_s: float | None
    total_s: float
    outcome: Outcome
    reason: str
    status: int
    cached: bool


class Minute(msgspec.Struct, frozen=True):
    """What the last sixty seconds were like."""

    outcomes: Mapping[Outcome, int]
    characters: int
    """Code points of the text of all requests, refused ones included."""

    @property
    def requests(self) -> int:
        return sum(self.outcomes.values())


class _Second(msgspec.Struct):
    """The requests that ended in one second of the clock."""

    number: int
    outcomes: Counter[Outcome]
    characters: int = 0


class Recent:
    """An observer that remembers a little: `KEPT` requests, and a minute of figures."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back."""
        self._clock = clock
        self._routes: deque[RecentSpeech] = deque(maxlen=KEPT)
        self._seconds: deque[_Second] = deque(maxlen=_MINUTE_S)
        self._refused: Counter[LimitRefused] = Counter()
        self.began = _now()

    def recorded(self, record: SpeechRecord) -> None:
        self._routes.append(_recent(record))
        second = self._second()
        second.outcomes[record.outcome] += 1
        second.characters += record.characters

    def noticed(self, event: Event) -> None:
        if isinstance(event, LimitRefused):
            self._refused[event] += 1

    @property
    def routes(self) -> Sequence[RecentSpeech]:
        """The last first."""
        return list(reversed(self._routes))

    @property
    def refused(self) -> Mapping[LimitRefused, int]:
        """How often each limit has refused somebody since the start."""
        return self._refused

    def last_minute(self) -> Minute:
        since = int(self._clock()) - _MINUTE_S
        seconds = [one for one in self._seconds if one.number > since]
        outcomes: Counter[Outcome] = Counter()
        for second in seconds:
            outcomes += second.outcomes
        return Minute(outcomes, sum(second.characters for second in seconds))

    def median_first_audio_s(self) -> float | None:
        """Of those remembered that were spoken for their caller, not kept from before."""
        known = [one.first_audio_s for one in self._routes if not one.cached]
        spoken = [seconds for seconds in known if seconds is not None]
        return statistics.median(spoken) if spoken else None

    def _second(self) -> _Second:
        """The one that is now."""
        number = int(self._clock())
        if not self._seconds or self._seconds[-1].number != number:
            self._seconds.append(_Second(number, Counter()))
        return self._seconds[-1]


def _recent(record: SpeechRecord) -> RecentSpeech:
    return RecentSpeech(
        ended=_now(),
        shape=record.shape,
        model=record.model,
        provider=record.provider,
        voice=record.voice,
        fallback=record.fallback,
        first_audio_s=record.first_audio_s,
        total_s=record.total_s,
        outcome=record.outcome,
        reason=record.reason,
        status=record.status,
        cached=record.cache == "hit" or record.repeat,
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
