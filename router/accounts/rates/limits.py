"""What may be limited: so many a minute, so many a day, so many at once.

Each kind weighs an amount against the level of one counter. That is pure: the clock is given, and
the level after it is returned. The Lua script does the same on the server; one test-suite holds
both to it.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Literal

import msgspec

Scope = Literal["key", "address", "model", "global", "provider"]
"""Whose limit it is. Which key, which address and so on is the demand's subject."""

PASSES = 0.0
NEVER = math.inf
DAY_S = 86_400
MOST = 2**53
"""Up to here a double, which is what Lua counts with, holds every whole number."""
_SLACK_S = 1e-6
"""What rounding may add up to: a microsecond of refilling."""
_FREE_SOON_S = 1.0
"""Nobody knows when a speech ends; a caller who asks for a slot once a second is welcome."""


class Now(msgspec.Struct, frozen=True, gc=False):
    """A moment, as its store tells it."""

    s: float
    """Seconds of a clock that is never set back."""
    day: int
    """The calendar day in UTC, counted from 1970."""
    left_s: float
    """Until that day ends."""


class Level(msgspec.Struct, frozen=True, gc=False):
    """One counter. At `until_s` (`Now.s`) it is as if nothing had ever been counted."""

    until_s: float
    used: int = 0
    day: int = 0


class Weighed(msgspec.Struct, frozen=True, gc=False):
    """What became of an amount. `level`, `remaining` and `reset_s` are those after it."""

    wait_s: float
    """`PASSES`, or seconds until it would pass; `NEVER`."""
    level: Level
    remaining: int
    """Of no meaning where it does not pass."""
    reset_s: float
    """Until everything is free again."""


class _Limit(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What all limits have. An amount of 0 passes always: it looks."""

    scope: Scope
    use: str = "speech"
    """What is counted, where a subject has several of a kind: failed logins, looking at models. A
    word of ours, never a caller's."""
    limit: int

    def __post_init__(self) -> None:
        _check(self.limit)


class PerMinute(_Limit, frozen=True):
    """`limit` units a minute, `burst` of them at once (GCRA: no windows, so no double rate at
    their joints). The level is the moment at which all units are back."""

    measure: Literal["requests", "characters"]
    burst: int | None = None
    """As many as the limit, if not given. A single demand above it never passes."""

    def __post_init__(self) -> None:
        _check(self.limit)
        _check(self.size)

    @cached_property
    def name(self) -> str:
        return f"{self.scope}:{self.use}:{self.measure}:minute"

    @cached_property
    def size(self) -> int:
        """Units that pass at once, when nothing has been taken."""
        return self.limit if self.burst is None else self.burst

    @cached_property
    def unit_s(self) -> float:
        """Until one unit is back."""
        return 60 / self.limit

    def weigh(self, level: Level | None, amount: int, now: Now) -> Weighed:
        # A level beyond what a full burst leaves comes from other settings or another clock: it
        # may not lock anybody out.
        unit_s = self.unit_s
        full_s = self.size * unit_s
        used_s = 0.0
        if level is not None and level.until_s > now.s:
            used_s = min(level.until_s - now.s, full_s)
        after_s = used_s + amount * unit_s
        wait_s = PASSES
        if amount > self.size:
            wait_s = NEVER
        elif amount and after_s > full_s + _SLACK_S:
            wait_s = after_s - full_s
        remaining = int((full_s - after_s + _SLACK_S) / unit_s)
        return Weighed(wait_s, Level(now.s + after_s), remaining, after_s)

    def corrected(self, level: Level, by: int, day: int) -> Level:
        """The level as if `by` more (or less) had been taken."""
        return Level(level.until_s + by * self.unit_s)


class PerDay(_Limit, frozen=True):
    """`limit` units in a calendar day of UTC. Credits are whole numbers of the ledger's unit."""

    measure: Literal["requests", "characters", "credits"]

    @cached_property
    def name(self) -> str:
        return f"{self.scope}:{self.use}:{self.measure}:day"

    def weigh(self, level: Level | None, amount: int, now: Now) -> Weighed:
        used = level.used if level is not None and level.day == now.day else 0
        after = used + amount
        wait_s = PASSES
        if amount > self.limit:
            wait_s = NEVER
        elif amount and after > self.limit:
            wait_s = now.left_s
        remaining = max(0, self.limit - after)
        return Weighed(wait_s, Level(now.s + now.left_s, after, now.day), remaining, now.left_s)

    def corrected(self, level: Level, by: int, day: int) -> Level:
        """The level with `by` more (or less); a day that is over is left alone."""
        return Level(level.until_s, max(0, level.used + by), day) if level.day == day else level


class AtOnce(_Limit, frozen=True):
    """`limit` speeches at once, each in a slot that is leased. A demand's amount is 1."""

    measure: Literal["speeches"] = "speeches"

    @cached_property
    def name(self) -> str:
        return f"{self.scope}:{self.use}:{self.measure}:once"

    def weigh(self, level: Level | None, amount: int, now: Now) -> Weighed:
        after = (level.used if level is not None else 0) + amount
        wait_s = _FREE_SOON_S if amount and after > self.limit else PASSES
        return Weighed(wait_s, Level(NEVER, after), max(0, self.limit - after), 0.0)

    def corrected(self, level: Level, by: int, day: int) -> Level:
        """The level with `by` more (or fewer) slots in use."""
        return Level(level.until_s, max(0, level.used + by))


Limit = PerMinute | PerDay | AtOnce


class Demand(msgspec.Struct, frozen=True):
    """What a request takes of one limit, and whose.

    One call holds each limit of a subject at most once. `subject` is an id of a key, an address, a
    name; it becomes part of a key in the store, which is forgotten when the counter is full again.
    """

    limit: Limit
    subject: str = ""
    amount: int = 1


def _check(limit: int) -> None:
    if not 1 <= limit <= MOST:
        raise ValueError(f"a limit lies between 1 and 2**53, and {limit} does not")
