"""How a caller stands, in the headers of each shape.

LEAPERone tells of requests, with the Unix second of the reset (of characters here, where only those
are limited); OpenAI of requests and tokens, with durations (characters stand in for tokens here).
NanoGPT documents none; its callers get LEAPERone's
on its own path and OpenAI's on its newer one. Sources: leaper.one/docs/advanced/rate-limits;
OpenAI's guide to rate limits (2026-11-21).
"""

from __future__ import annotations

import math
import time

from router.api.response import Headers
from router.contract.caller import Receipt, Standing, Standings

OF_LEAPER = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
OF_OPENAI = tuple(
    f"x-ratelimit-{what}-{of}"
    for of in ("requests", "tokens")
    for what in ("limit", "remaining", "reset")
)


def standing_headers(standings: Standings, shape: str) -> Headers:
    """The headers of this shape; none where nothing is limited."""
    if shape in ("leaper", "nanogpt"):
        told = standings.requests or standings.characters
        return _of_leaper(told) if told is not None else []
    return [
        *(_of_openai(standings.requests, "requests") if standings.requests else []),
        *(_of_openai(standings.characters, "tokens") if standings.characters else []),
    ]


def receipt_headers(receipt: Receipt) -> Headers:
    """What it costs and what is left, in credits."""
    headers = []
    if receipt.cost is not None:
        headers.append((b"x-cost", receipt.cost.encode()))
    if receipt.balance is not None:
        headers.append((b"x-remaining-balance", receipt.balance.encode()))
    return headers


def _of_leaper(standing: Standing) -> list[tuple[bytes, bytes]]:
    reset = math.ceil(time.time() + standing.reset_s)
    values = (standing.limit, standing.remaining, reset)
    return [
        (name.lower().encode(), str(value).encode())
        for name, value in zip(OF_LEAPER, values, strict=True)
    ]


def _of_openai(standing: Standing, of: str) -> list[tuple[bytes, bytes]]:
    return [
        (f"x-ratelimit-limit-{of}".encode(), str(standing.limit).encode()),
        (f"x-ratelimit-remaining-{of}".encode(), str(standing.remaining).encode()),
        (f"x-ratelimit-reset-{of}".encode(), duration(standing.reset_s).encode()),
    ]


def duration(seconds: float) -> str:
    """A time as OpenAI writes it: `20ms`, `1s`, `6m0s`, `23h59m59s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = f"{hours}h" if hours else ""
    if hours or minutes:
        parts += f"{minutes}m"
    return f"{parts}{rest}s"
