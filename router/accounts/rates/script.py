"""What the Lua script is asked, and what it answers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files

from router.accounts.rates.limits import NEVER, AtOnce, Demand, Level, PerMinute, Weighed
from router.accounts.rates.verdict import Granted, Verdict, refused, slots, standings

Word = str | int | float
Command = tuple[Word, ...]
"""What follows the script's name: the number of keys, the keys, the arguments."""
Reply = Sequence[int]

SERVER_TIME = "redis.call('TIME')"
_PER_KEY = 3
_MICRO = 1e-6
_UNTOLD = Level(0.0)


class Script:
    """`script.lua`, for keys with one prefix.

    All keys have one hash tag, so that a cluster keeps them together: one step is one step only
    within one of its nodes.
    """

    def __init__(self, prefix: str, lease_s: float, clock: str = SERVER_TIME) -> None:
        """`clock` is a Lua expression for seconds since 1970 and microseconds."""
        text = files(__package__).joinpath("script.lua").read_text("utf-8")
        self.text = text.replace(SERVER_TIME, clock)
        self.name = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        self._prefix = f"{prefix}:{{rates}}:"
        self._lease_s = lease_s

    def key(self, demand: Demand) -> str:
        return f"{self._prefix}{demand.limit.name}:{demand.subject}"

    def take(self, demands: Sequence[Demand], lease: str) -> Command:
        changes = [(one, one.amount) for one in demands]
        return self._changes("take", lease, changes, 0)

    def correct(self, changes: Sequence[tuple[Demand, int]], granted: Granted) -> Command:
        """Add these amounts, and free the lease's slots that are named."""
        return self._changes("correct", granted.lease, changes, granted.day)

    def renew(self, leases: Sequence[tuple[str, Demand]]) -> Command:
        keys = [self.key(demand) for _, demand in leases]
        names = [lease for lease, _ in leases]
        return (len(keys), *keys, "renew", "", self._lease_s, *names)

    def _changes(
        self, what: str, lease: str, changes: Sequence[tuple[Demand, int]], day: int
    ) -> Command:
        words: list[Word] = [len(changes)]
        words += [self.key(demand) for demand, _ in changes]
        words += (what, lease, self._lease_s)
        for demand, amount in changes:
            limit = demand.limit
            if isinstance(limit, PerMinute):
                words += ("minute", amount, limit.size, limit.unit_s, 0)
            else:
                words += (
                    "once" if isinstance(limit, AtOnce) else "day",
                    amount,
                    limit.limit,
                    0,
                    day,
                )
        return tuple(words)


def verdict(demands: Sequence[Demand], reply: Reply, lease: str) -> Verdict:
    """The answer to `take`."""
    day, *rest = reply
    weighed = [
        Weighed(
            NEVER if rest[at + 2] < 0 else rest[at + 2] * _MICRO,
            _UNTOLD,
            rest[at],
            rest[at + 1] * _MICRO,
        )
        for at in range(0, len(rest), _PER_KEY)
    ]
    stand = standings(demands, weighed)
    if any(one.wait_s for one in weighed):
        return refused(demands, weighed, stand)
    lease = lease if slots(demands) else ""
    return Granted(tuple(demands), stand, day, lease, shared=True)
