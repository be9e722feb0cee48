"""When a message is tried again, and when it is given up: pure, no clock."""

from __future__ import annotations

import random

import msgspec

from router.jobs.webhooks.delivery import MOST_WAIT_S, Outcome
from router.jobs.webhooks.notice import NoticeState

FIRST_WAIT_S = 5.0
_KEPT_MS = {"delivered": 86_400_000, "dead": 30 * 86_400_000}
"""How long it is known what became of it."""


class Next(msgspec.Struct, frozen=True):
    """What becomes of a message after a try."""

    state: NoticeState
    at_ms: int
    """When it is tried again, or forgotten."""


def wait_s(attempts: int, dice: random.Random) -> float:
    """Before the next try: doubled each time from five seconds to an hour, of which a random half
    is left out, so that what failed together does not come back together."""
    most = min(FIRST_WAIT_S * 2.0 ** min(attempts - 1, 32), MOST_WAIT_S)
    return most * dice.uniform(0.5, 1.0)


def after(
    outcome: Outcome, *, attempts: int, now_ms: int, end_ms: int, dice: random.Random
) -> Next:
    """`attempts` counts the one that ended so; the last is made at `end_ms`."""
    if outcome.ok:
        return Next("delivered", now_ms + _KEPT_MS["delivered"])
    if outcome.is_final or now_ms >= end_ms:
        return Next("dead", now_ms + _KEPT_MS["dead"])
    again_ms = now_ms + round(1000 * max(wait_s(attempts, dice), outcome.wait_s))
    return Next("waiting", min(again_ms, end_ms))
