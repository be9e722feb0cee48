"""A breaker: whether one provider's model may be asked now, judged by how it did of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

from router.settings.outlook import Outlook

State = Literal["closed", "open", "half_open"]
_BUCKETS = 12
"""Parts of the window: what is older than the window is forgotten a part at a time."""
_STEADY_SPANS = 2
"""Windows without opening after which a provider's past failures to recover are forgiven."""


class _Bucket:
    """What was seen in one part of the window."""

    __slots__ = ("asked", "failed", "number", "slow")

    def __init__(self, number: int) -> None:
        self.number = number
        self.asked = self.failed = self.slow = 0


class Rates(NamedTuple):
    """What was seen in the window."""

    asked: int
    failed: int
    slow: int
    """Failed ones among them."""


class Breaker:
    """Closed: everybody may ask. Open: nobody may. Half open: one may, on trial, and decides.

    Times are seconds of one monotonic clock, given by whoever calls; `dice` gives 0 to 1.
    """

    def __init__(self, settings: Outlook, dice: Callable[[], float]) -> None:
        self._settings = settings
        self._dice = dice
        self._buckets: deque[_Bucket] = deque(maxlen=_BUCKETS + 1)
        self._open_until: float | None = None
        self._trips = 0
        self._healthy_since: float | None = None
        self._trial: object | None = None
        self.reason = ""
        """The word of the error that opened it last."""

    def state(self, now: float) -> State:
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    def wait_s(self, now: float) -> float:
        """Seconds until it may be tried, 0 where it may be asked now or is on trial."""
        return max(0.0, (self._open_until or 0.0) - now)

    @property
    def is_on_trial(self) -> bool:
        return self._trial is not None

    def ask(self, now: float) -> object | None:
        """Leave to ask, to be handed back with the outcome; `None`: not now."""
        state = self.state(now)
        if state == "open" or (state == "half_open" and self._trial is not None):
            return None
        leave = object()
        if state == "half_open":
            self._trial = leave
        return leave

    def dropped(self, leave: object) -> None:
        """It came to nothing that tells anything: a hang-up, a refusal, no room of ours."""
        if leave is self._trial:
            self._trial = None

    def sounded(self, leave: object, now: float, first_audio_s: float) -> None:
        """It made a sound, after so many seconds."""
        slow = first_audio_s >= self._settings.slow_s
        if leave is self._trial:
            self._trial = None
            if slow:
                self._open(now, "slow")
            else:
                self._close(now)
        elif self._open_until is None:
            self._note(now, failed=False, slow=slow)
            self._judge(now, "slow")

    def failed(
        self, leave: object, now: float, reason: str, *, wait_s: float = 0.0, at_once: bool = False
    ) -> None:
        """It failed. `wait_s` is its own Retry-After; `at_once` opens whatever the rates are."""
        if leave is self._trial:
            self._trial = None
            self._open(now, reason, wait_s)
        elif at_once:
            self._open(now, reason, wait_s)
        elif self._open_until is None:
            self._note(now, failed=True, slow=True)
            self._judge(now, reason, wait_s)

    def broke(self, now: float, reason: str) -> None:
        """It made a sound, and failed after it."""
        if self._open_until is None:
            self._note(now, failed=True, slow=False, asked=0)
            self._judge(now, reason)

    def rests(self, now: float, wait_s: float, reason: str) -> None:
        """It asks to be left alone for so long: obeyed up to the cap, and no failure."""
        until = now + min(wait_s, self._settings.cool_most_s)
        if until > (self._open_until or now):
            self._open_until, self.reason, self._trial = until, reason, None

    def rates(self, now: float) -> Rates:
        """What was seen in the window that ends now."""
        oldest = self._number(now) - _BUCKETS
        seen = [bucket for bucket in self._buckets if bucket.number > oldest]
        return Rates(
            sum(bucket.asked for bucket in seen),
            sum(bucket.failed for bucket in seen),
            sum(bucket.slow for bucket in seen),
        )

    def _number(self, now: float) -> int:
        return int(now * _BUCKETS / self._settings.window_s)

    def _note(self, now: float, *, failed: bool, slow: bool, asked: int = 1) -> None:
        number = self._number(now)
        if not self._buckets or self._buckets[-1].number != number:
            self._buckets.append(_Bucket(number))
        bucket = self._buckets[-1]
        bucket.asked += asked
        bucket.failed += failed
        bucket.slow += slow

    def _judge(self, now: float, reason: str, wait_s: float = 0.0) -> None:
        asked, failed, slow = self.rates(now)
        wanted = self._settings
        if asked >= wanted.least and (
            failed >= wanted.error_rate * asked or slow >= wanted.slow_rate * asked
        ):
            self._open(now, reason, wait_s)

    def _open(self, now: float, reason: str, wait_s: float = 0.0) -> None:
        steady_s = _STEADY_SPANS * self._settings.window_s
        if self._healthy_since is not None and now - self._healthy_since > steady_s:
            self._trips = 0
        self._healthy_since = None
        cool = min(self._settings.cool_s * 2.0 ** min(self._trips, 32), self._settings.cool_most_s)
        span = max(cool * (1 - self._dice() / 3), min(wait_s, self._settings.cool_most_s))
        self._open_until = max(now + span, self._open_until or 0.0)
        self._trips += 1
        self._trial = None
        self.reason = reason
        self._buckets.clear()

    def _close(self, now: float) -> None:
        self._open_until, self._healthy_since, self.reason = None, now, ""
