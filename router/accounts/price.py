"""What speech costs, reckoned in whole nano-credits.

One credit is 1,000,000,000 nano-credits, so 0.005 credits for 1,000 code points are 5,000
nano-credits for each. **Rounding**: what is billed is rounded up to a whole increment, and the cost
up to a whole nano-credit; nothing else is rounded. Decimal strings are for the edges only.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation

import msgspec

NANO = 1_000_000_000
"""Nano-credits in a credit."""
MOST_NANO = 1_000_000_000 * NANO
"""The dearest that anything may be, 10^9 credits: all sums stay well within 63 bits."""
_PER = 1_000
"""Prices of characters and tokens are for a thousand, prices of audio for a second of 1,000 ms."""


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """The price of a model. Exactly one of the three rates is used: that of tokens where it is set
    and the upstream reported usage, else that of audio where it is set, else that of characters."""

    per_1k_characters_nano: int = 0
    """For 1,000 Unicode code points of the caller's text."""
    per_1k_tokens_nano: int | None = None
    per_audio_second_nano: int | None = None
    minimum_nano: int = 0
    """The least that heard speech costs."""
    increment: int = 1
    """So many code points, tokens or milliseconds are billed at once, the last of them in full."""
    cached_percent: int = 100
    """What speech out of the cache costs, of the same price."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller was given: the facts that a price is made of."""

    characters: int = 0
    audio_ms: int = 0
    tokens: int | None = None
    """As the upstream reported them; `None`: it did not."""
    cached: bool = False


def cost_nano(tariff: Tariff, heard: Heard) -> int:
    """What `heard` costs. Where nothing was heard nothing is charged, not even the minimum."""
    if not (heard.characters or heard.audio_ms or heard.tokens):
        return 0
    amount, rate = _billed(tariff, heard)
    billed = _up(amount, tariff.increment) * tariff.increment
    cost = max(_up(billed * rate, _PER), tariff.minimum_nano)
    return min(_up(cost * tariff.cached_percent, 100) if heard.cached else cost, MOST_NANO)


def dearest_nano(tariff: Tariff, characters: int, *, most_audio_ms: int, most_tokens: int) -> int:
    """The most that a text can cost, whatever is reported: this is reserved before synthesis."""
    said = Heard(characters=characters, audio_ms=most_audio_ms)
    counted = Heard(characters=characters, audio_ms=most_audio_ms, tokens=most_tokens)
    return max(cost_nano(tariff, said), cost_nano(tariff, counted))


def delivered(whole: Heard, heard_ms: int) -> Heard:
    """The part of a speech that broke off which the caller was given.

    `whole` is the whole speech as far as it is known or expected, `heard_ms` the audio that left.
    Characters and tokens are shared out by time and rounded down, in the caller's favour.
    """
    if heard_ms <= 0:
        return Heard()
    most = max(whole.audio_ms, heard_ms)
    tokens = None if whole.tokens is None else whole.tokens * heard_ms // most
    return Heard(
        characters=whole.characters * heard_ms // most,
        audio_ms=heard_ms,
        tokens=tokens,
        cached=whole.cached,
    )


def nano_of(credits: str | float | Decimal) -> int:
    """Nano-credits from a decimal that somebody wrote; what lies below one is rounded up.

    Raises:
        ValueError: not a number, below zero, or more than 10^9 credits.
    """
    try:
        amount = Decimal(str(credits)) * NANO
    except InvalidOperation:
        raise ValueError("credits are a decimal number, such as 2.5") from None
    if not (amount.is_finite() and 0 <= amount <= MOST_NANO):
        raise ValueError("credits lie between 0 and 1000000000")
    return int(amount.to_integral_value(ROUND_CEILING))


def credits_of(nano: int) -> str:
    """The exact decimal string of an amount, without zeros at its end: `0.005`, `-1`, `12.5`."""
    whole, rest = divmod(abs(nano), NANO)
    tail = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{'-' if nano < 0 else ''}{whole}{tail}"


def _billed(tariff: Tariff, heard: Heard) -> tuple[int, int]:
    """The amount that counts, and the price of a thousand of it."""
    if tariff.per_1k_tokens_nano is not None and heard.tokens is not None:
        return heard.tokens, tariff.per_1k_tokens_nano
    if tariff.per_audio_second_nano is not None:
        return heard.audio_ms, tariff.per_audio_second_nano
    return heard.characters, tariff.per_1k_characters_nano


def _up(amount: int, of: int) -> int:
    """The quotient, rounded up."""
    return -(-amount // of)
