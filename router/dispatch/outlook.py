"""What is thought of each provider and model, from how they did: whether to ask, and how fast."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Container, Mapping

import structlog

from router.contract.errors import BadKey, Busy, NoCredit, ProviderError, TimedOut
from router.contract.record import BreakerChanged, Event
from router.contract.speech import Priority
from router.dispatch.breaker import Breaker
from router.routing.order import Belief
from router.settings.outlook import Outlook as Settings

_log = structlog.get_logger(__name__)

Key = tuple[str, str]
"""A provider and its model."""
_HEARD = 100
"""Speeches that are remembered of each."""
_LEAST_WAIT_S = 0.001
_WEIGHT = 0.1
"""Of the newest in a moving mean."""


class Pace:
    """How fast one was of late."""

    def __init__(self) -> None:
        self._first_s: deque[float] = deque(maxlen=_HEARD)
        self.first_audio_s: float | None = None
        """A moving mean of the seconds to the first sound."""
        self.real_time_factor: float | None = None
        """A moving mean of the seconds of work for a second of audio."""

    def sounded(self, first_audio_s: float) -> None:
        self._first_s.append(first_audio_s)
        self.first_audio_s = _mean(self.first_audio_s, first_audio_s)

    def ended(self, took_s: float, audio_s: float) -> None:
        if audio_s > 0:
            self.real_time_factor = _mean(self.real_time_factor, took_s / audio_s)

    def within_s(self, part: float, least: int) -> float | None:
        """The seconds in which this part of its first sounds came; `None` where fewer than `least`
        were heard."""
        if len(self._first_s) < least:
            return None
        return sorted(self._first_s)[min(int(part * len(self._first_s)), len(self._first_s) - 1)]


def _mean(before: float | None, newest: float) -> float:
    return newest if before is None else before + _WEIGHT * (newest - before)


class Outlook:
    """The beliefs about all providers of one router."""

    def __init__(
        self,
        settings: Settings,
        publish: Callable[[Event], None],
        *,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._publish = publish
        self._dice = dice
        self._breakers: dict[Key, Breaker] = {}
        self._paces: dict[Key, Pace] = {}

    def breaker(self, key: Key) -> Breaker:
        if key not in self._breakers:
            self._breakers[key] = Breaker(self._settings, self._dice)
        return self._breakers[key]

    def pace(self, key: Key) -> Pace:
        if key not in self._paces:
            self._paces[key] = Pace()
        return self._paces[key]

    def take_over(self, before: Outlook, providers: Container[str]) -> None:
        """Think of these providers as was thought before. Where they are judged by other figures
        now, only that one is left alone is still known."""
        now = _now()
        for key, breaker in before._breakers.items():
            if key[0] not in providers:
                continue
            self._paces[key] = before.pace(key)
            if self._settings == before._settings:
                self._breakers[key] = breaker
            elif breaker.state(now) != "closed":
                wait_s = max(breaker.wait_s(now), _LEAST_WAIT_S)
                self.breaker(key).rests(now, wait_s, breaker.reason)

    def untried(self) -> set[Key]:
        """Those that may be tried again, and nobody does."""
        now = _now()
        return {
            key
            for key, breaker in self._breakers.items()
            if breaker.state(now) == "half_open" and not breaker.is_on_trial
        }

    def beliefs(self) -> Mapping[Key, Belief]:
        """A frozen picture of this moment."""
        now = _now()
        return {key: self._belief(key, now) for key in self._breakers}

    def _belief(self, key: Key, now: float) -> Belief:
        breaker, pace = self._breakers[key], self.pace(key)
        return Belief(
            first_audio_s=pace.first_audio_s,
            real_time_factor=pace.real_time_factor,
            state=breaker.state(now),
            wait_s=breaker.wait_s(now),
            reason=breaker.reason,
        )

    def ask(self, provider: str, model: str, priority: Priority = "live") -> Trial | None:
        """Leave to ask a provider; `None`: it is to be left alone."""
        breaker = self.breaker((provider, model))
        leave = breaker.ask(_now())
        return None if leave is None else Trial(self, (provider, model), leave, priority)

    def wait_s(self, provider: str, model: str) -> float:
        return self.breaker((provider, model)).wait_s(_now())

    def changed(self, key: Key, before: str, error: ProviderError | None) -> None:
        """Tell everybody of a breaker whose state is no longer what it was."""
        breaker, now = self._breakers[key], _now()
        state = breaker.state(now)
        if state == before:
            return
        provider, model = key
        wait_s = round(breaker.wait_s(now), 1)
        if state == "open":
            told = _log.error if isinstance(error, BadKey | NoCredit) else _log.warning
            told(
                "provider left alone",
                provider=provider,
                model=model,
                why=breaker.reason,
                wait_s=wait_s,
            )
        else:
            _log.info("provider asked again", provider=provider, model=model)
        self._publish(BreakerChanged(provider, model, state, breaker.reason, wait_s))


class Trial:
    """One attempt, and what it tells of its provider. Whatever happens, `over` is said at last.

    What goes behind all others may be let wait for long: of how fast its provider is, it tells
    nothing.
    """

    def __init__(
        self, outlook: Outlook, key: Key, leave: object, priority: Priority = "live"
    ) -> None:
        self._outlook = outlook
        self._key = key
        self._breaker = outlook.breaker(key)
        self._leave: object | None = leave
        self._is_timed = priority == "live"
        self._began = _now()
        self._has_failed = False
        self.first_audio_s: float | None = None
        """From its being asked to its first sound, once that came."""

    def begins(self) -> None:
        """It is asked now: what came before was waiting for us."""
        self._began = _now()

    def sounded(self) -> None:
        """Its first sound came."""
        now = _now()
        first_s = self.first_audio_s = now - self._began
        if not self._is_timed:
            self.answered()
            return
        leave = self._taken()
        if leave is None:
            return
        self._outlook.pace(self._key).sounded(first_s)
        before = self._breaker.state(now)
        self._breaker.sounded(leave, now, first_s)
        self._outlook.changed(self._key, before, None)

    def answered(self) -> None:
        """It can speak; how fast, nobody knows."""
        leave = self._taken()
        if leave is None:
            return
        now = _now()
        before = self._breaker.state(now)
        self._breaker.sounded(leave, now, 0.0)
        self._outlook.changed(self._key, before, None)

    def failed(self, error: ProviderError) -> None:
        """It failed, before its first sound or after it. Only the first time counts."""
        if self._has_failed:
            return
        self._has_failed = True
        if isinstance(error, TimedOut) and not self._is_timed:
            self.over()
            return
        now, leave = _now(), self._taken()
        before = self._breaker.state(now)
        wait_s = error.retry_after or 0.0
        rests = isinstance(error, Busy) and error.marks and wait_s > 0
        if rests or not error.marks:
            if leave is not None:
                self._breaker.dropped(leave)
            if rests:
                self._breaker.rests(now, wait_s, error.reason)
        elif leave is None:
            self._breaker.broke(now, error.reason)
        else:
            at_once = isinstance(error, BadKey | NoCredit)
            self._breaker.failed(leave, now, error.reason, wait_s=wait_s, at_once=at_once)
        self._outlook.changed(self._key, before, error)

    def ended(self, audio_s: float | None) -> None:
        """All of its speech has come, so many seconds of it."""
        if audio_s and self._is_timed:
            self._outlook.pace(self._key).ended(self.took_s, audio_s)

    @property
    def took_s(self) -> float:
        """Since it was asked."""
        return _now() - self._began

    def over(self) -> None:
        """Nothing more will come of it; without an outcome, it tells nothing."""
        leave = self._taken()
        if leave is not None:
            self._breaker.dropped(leave)

    def _taken(self) -> object | None:
        leave, self._leave = self._leave, None
        return leave


def _now() -> float:
    return asyncio.get_running_loop().time()
