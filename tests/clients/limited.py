"""A server whose keys are at their limits in every way that an SDK may meet."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.support.process import ServerProcess
from tests.support.scripts import UNJUDGED, models, scripted

TEXT = "Twenty characters!!!"
NO_TRY_S = 1.5
"""Who asks once and is refused is done in milliseconds; the SDKs' shortest sleep is 0.4 s, and
they sleep at least twice."""


class Case(msgspec.Struct, frozen=True):
    """A key that is at a limit, and what an SDK makes of the second request with it."""

    model: str
    limits: dict[str, Any]
    status: int
    code: str | None
    requests: int
    """Sent for the second call, all tries together."""
    slept_s: tuple[float, float]
    """Least and most seconds until the call is over."""
    credits: float | None = None


CASES = {
    # Retry-After is short: the SDK waits for it once, and is served.
    "soon": Case("it", {"requests_per_minute": 30, "requests_burst": 1}, 200, None, 2, (1.4, 5.0)),
    # The wait is longer than any caller has patience for.
    "later": Case(
        "it",
        {"characters_per_minute": 5, "characters_burst": 20},
        429,
        "rate_limit_exceeded",
        1,
        (0, NO_TRY_S),
    ),
    "tomorrow": Case(
        "it", {"requests_per_day": 1}, 429, "daily_rpd_limit_exceeded", 1, (0, NO_TRY_S)
    ),
    "never": Case(
        "it",
        {"characters_per_minute": 600, "characters_burst": 30},
        429,
        "rate_limit_exceeded",
        1,
        (0, NO_TRY_S),
    ),
    "no credit, as OpenAI says it": Case(
        "it", {}, 429, "insufficient_quota", 1, (0, NO_TRY_S), credits=0.02
    ),
    "no credit, as LEAPERone says it": Case(
        "leap", {}, 402, "insufficient_credits", 1, (0, NO_TRY_S), credits=0.02
    ),
}


def key_of(case: str) -> str:
    return f"sk-of-a-test: {case}".replace(" ", "-")


def text_of(case: str) -> str:
    """What the second call says; the first says `TEXT`."""
    return TEXT * 2 if case == "never" else TEXT


def config() -> dict[str, Any]:
    """One key for each case; speech costs a credit for a thousand characters."""
    given = models({"it": ("voice",), "leap": ("voice",)})
    for model in given.values():
        model["price"] = {"credits_per_1k_chars": 1.0}
    given["leap"]["family"] = "leaper"
    keys: dict[str, dict[str, Any]] = {}
    for number, (name, case) in enumerate(CASES.items()):
        keys[f"case-{number}"] = {"key": key_of(name), "limits": case.limits}
        if case.credits is not None:
            keys[f"case-{number}"]["credits"] = case.credits
    return {
        "integrity": UNJUDGED,
        "accounts": {"keys": keys},
        "providers": {"voice": scripted(seconds=0.2)},
        "models": given,
    }


def published(server: ServerProcess, at_least: int) -> int:
    """Requests that the server has published, once there are so many."""
    return server.log.until(lambda log: len(log.records) if len(log.records) >= at_least else None)
