"""What the stores do, said in the plainest way: exact fractions, no expiry, nothing clever."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from router.accounts.rates import AtOnce, Demand, Limit, PerDay, PerMinute
from tests.accounts.rates.stage import NOON

NEVER_S = 10**12
Whose = tuple[Limit, str]


class Model:
    """Times are in seconds since 1970."""

    def __init__(self) -> None:
        self.now = Fraction(NOON)
        self._full_at: dict[Whose, Fraction] = {}
        self._of_day: Counter[tuple[Whose, int]] = Counter()
        self._slots: Counter[Whose] = Counter()

    @property
    def day(self) -> int:
        return int(self.now // 86_400)

    @property
    def left(self) -> Fraction:
        return (self.day + 1) * 86_400 - self.now

    def wait(self, one: Demand) -> Fraction:
        """0: it passes."""
        limit, whose = one.limit, (one.limit, one.subject)
        if one.amount == 0:
            return Fraction(0)
        if isinstance(limit, PerMinute):
            size = limit.burst or limit.limit
            if one.amount > size:
                return Fraction(NEVER_S)
            full_at = max(self._full_at.get(whose, self.now), self.now)
            missing = full_at - self.now + (one.amount - size) * _unit(limit)
            return max(missing, Fraction(0))
        if isinstance(limit, PerDay):
            if one.amount > limit.limit:
                return Fraction(NEVER_S)
            over = self._of_day[whose, self.day] + one.amount > limit.limit
            return self.left if over else Fraction(0)
        return Fraction(int(self._slots[whose] + one.amount > limit.limit))

    def add(self, demands: Sequence[Demand], sign: int, day: int) -> None:
        """Count them, or with `sign` -1 take them back."""
        for one in demands:
            limit, whose = one.limit, (one.limit, one.subject)
            if isinstance(limit, PerMinute):
                full_at = max(self._full_at.get(whose, self.now), self.now)
                self._full_at[whose] = full_at + sign * one.amount * _unit(limit)
            elif isinstance(limit, PerDay):
                used = self._of_day[whose, day] + sign * one.amount
                self._of_day[whose, day] = max(0, used)
            else:
                self._slots[whose] += sign * one.amount

    def remaining(self, one: Demand) -> int:
        limit, whose = one.limit, (one.limit, one.subject)
        if isinstance(limit, PerMinute):
            taken = max(self._full_at.get(whose, self.now) - self.now, Fraction(0))
            return math.floor((limit.burst or limit.limit) - taken / _unit(limit))
        if isinstance(limit, PerDay):
            return max(0, limit.limit - self._of_day[whose, self.day])
        return limit.limit - self._slots[whose]

    def reset(self, one: Demand) -> Fraction:
        if isinstance(one.limit, PerMinute):
            full_at = self._full_at.get((one.limit, one.subject), self.now)
            return max(full_at - self.now, Fraction(0))
        return self.left if isinstance(one.limit, PerDay) else Fraction(0)


def _unit(limit: PerMinute) -> Fraction:
    return Fraction(60, limit.limit)


def slots_of(demands: Sequence[Demand]) -> list[Demand]:
    return [one for one in demands if isinstance(one.limit, AtOnce)]


def rates_of(demands: Sequence[Demand]) -> list[Demand]:
    return [one for one in demands if not isinstance(one.limit, AtOnce)]
