"""From the words of the config, and of a key, to the limits and prices that are reckoned with."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping

import msgspec

from router.accounts.keys import SHOWN, FixedKey, Key, KeyRates, Terms, hash_of
from router.accounts.price import Tariff, credits_of, nano_of
from router.accounts.rates import AtOnce, Limit, PerDay, PerMinute, Scope
from router.contract.caller import Price
from router.contract.provider import Secret
from router.settings.accounts import KeyEntry, Limits, Rates, Tries

_SHOWN_FROM = 32
"""Shorter keys are told by their name alone: their ends would be too much of them."""


def limits_of(scope: Scope, rates: Rates) -> tuple[Limit, ...]:
    """The limits that a table of the config sets."""
    found: list[Limit] = []
    if rates.requests_per_minute:
        found.append(
            PerMinute(
                scope=scope,
                measure="requests",
                limit=rates.requests_per_minute,
                burst=rates.requests_burst,
            )
        )
    if rates.characters_per_minute:
        found.append(
            PerMinute(
                scope=scope,
                measure="characters",
                limit=rates.characters_per_minute,
                burst=rates.characters_burst,
            )
        )
    if rates.requests_per_day:
        found.append(PerDay(scope=scope, measure="requests", limit=rates.requests_per_day))
    if rates.characters_per_day:
        found.append(PerDay(scope=scope, measure="characters", limit=rates.characters_per_day))
    if isinstance(rates, Limits) and rates.credits_per_day:
        nano = max(1, nano_of(rates.credits_per_day))
        found.append(PerDay(scope=scope, measure="credits", limit=nano))
    if rates.concurrent:
        found.append(AtOnce(scope=scope, limit=rates.concurrent))
    return tuple(found)


def tries_of(use: str, tries: Tries | None) -> PerMinute | None:
    """The limit of each address on something that is not speech."""
    if tries is None:
        return None
    return PerMinute(
        scope="address",
        use=use,
        measure="requests",
        limit=tries.requests_per_minute,
        burst=tries.requests_burst,
    )


def laid_over(default: Limits, own: Limits) -> Limits:
    """The limits of a key: its own where it has them. A rate of its own has its own burst."""
    given = {name: value for name, value in msgspec.structs.asdict(own).items() if value}
    for measure in ("requests", "characters"):
        if f"{measure}_per_minute" in given:
            given.setdefault(f"{measure}_burst", None)
    return msgspec.structs.replace(default, **given)


def limits_of_key(own: KeyRates) -> Limits:
    """What was set for a key of the store, in the words of the config."""
    nano = own.credits_per_day_nano
    return Limits(
        requests_per_minute=own.requests_per_minute,
        characters_per_minute=own.characters_per_minute,
        requests_per_day=own.requests_per_day,
        characters_per_day=own.characters_per_day,
        credits_per_day=None if nano is None else float(credits_of(nano)),
        concurrent=own.concurrent,
    )


@functools.lru_cache(maxsize=1024)
def tariff_of(price: Price) -> Tariff:
    """A price of the config in whole nano-credits."""
    tokens, audio = price.credits_per_1k_tokens, price.credits_per_audio_s
    return Tariff(
        per_1k_characters_nano=nano_of(price.credits_per_1k_chars),
        per_1k_tokens_nano=None if tokens is None else nano_of(tokens),
        per_audio_second_nano=None if audio is None else nano_of(audio),
        minimum_nano=nano_of(price.minimum),
        increment=price.increment,
        cached_percent=price.cached_percent,
    )


def fixed_keys(entries: Mapping[str, KeyEntry], secret: Secret) -> list[FixedKey]:
    """The keys that the config gives."""
    return [_fixed(name, entry, secret) for name, entry in entries.items()]


def _fixed(name: str, entry: KeyEntry, secret: Secret) -> FixedKey:
    letters = entry.key.reveal() if entry.key else ""
    is_long = len(letters) >= _SHOWN_FROM
    key = Key(
        id=f"config:{name}",
        prefix=letters[:SHOWN] if is_long else "",
        last4=letters[-4:] if is_long else "",
        terms=Terms(
            name=name,
            models=entry.models,
            providers=entry.providers,
            rates=_rates(entry.limits),
            expires_ms=midnight_ms(entry.expires),
        ),
        created_ms=0,
        metered=entry.credits is not None,
        source="config",
    )
    hash = hash_of(secret, entry.key) if entry.key else entry.hash or ""
    return FixedKey(key=key, hash=hash, credit_nano=nano_of(entry.credits or 0))


def _rates(limits: Limits) -> KeyRates:
    per_day = limits.credits_per_day
    return KeyRates(
        requests_per_minute=limits.requests_per_minute,
        characters_per_minute=limits.characters_per_minute,
        requests_per_day=limits.requests_per_day,
        characters_per_day=limits.characters_per_day,
        credits_per_day_nano=None if per_day is None else nano_of(per_day),
        concurrent=limits.concurrent,
    )


def midnight_ms(day: dt.date | None) -> int | None:
    """The Unix milliseconds at which a day begins in UTC."""
    if day is None:
        return None
    at = dt.datetime.combine(day, dt.time(), dt.UTC)
    return int(at.timestamp() * 1000)
