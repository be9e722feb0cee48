"""A key in the words of people: what they ask for, and what they may see of it."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import time
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.accounts.keys import Key, KeyRates, NewKey, Terms
from router.accounts.price import credits_of, nano_of
from router.accounts.terms import midnight_ms
from router.contract.caller import Credits
from router.settings.accounts import Count, Spending

Name = Annotated[str, Meta(max_length=256)]


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one key; what is left out is as the config has it."""

    requests_per_minute: Count | None = None
    characters_per_minute: Count | None = None
    requests_per_day: Count | None = None
    characters_per_day: Count | None = None
    credits_per_day: Spending | None = None
    concurrent: Count | None = None


class WantedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made."""

    name: Name = ""
    models: tuple[Name, ...] = ()
    """Public models that it may ask for; none: all."""
    providers: tuple[Name, ...] = ()
    """Providers that may speak for it; none: all."""
    limits: KeyLimits = KeyLimits()
    credits: Credits | None = None
    """What it begins with; left out: it is not metered."""
    expires: dt.date | None = None
    """The first day (UTC) on which it is no longer good."""

    @property
    def credit_nano(self) -> int | None:
        return None if self.credits is None else nano_of(self.credits)


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A key as people may see it."""

    id: str
    name: str
    shown: str
    """Its first and last characters."""
    state: Literal["active", "disabled", "expired"]
    source: str
    """`store`, or `config` for one that is changed there."""
    models: tuple[str, ...]
    providers: tuple[str, ...]
    limits: KeyLimits
    metered: bool
    balance: str | None
    """Credits, as a decimal."""
    created: str | None
    expires: str | None
    key: str | None = None
    """The key itself: only in the answer that makes it, and never again."""


def terms_of(wanted: WantedKey) -> Terms:
    """What is stored of a wish."""
    limits, per_day = wanted.limits, wanted.limits.credits_per_day
    return Terms(
        name=wanted.name,
        models=wanted.models,
        providers=wanted.providers,
        rates=KeyRates(
            requests_per_minute=limits.requests_per_minute,
            characters_per_minute=limits.characters_per_minute,
            requests_per_day=limits.requests_per_day,
            characters_per_day=limits.characters_per_day,
            credits_per_day_nano=None if per_day is None else nano_of(per_day),
            concurrent=limits.concurrent,
        ),
        expires_ms=midnight_ms(wanted.expires),
    )


def info_of(key: Key) -> KeyInfo:
    """What people may see."""
    terms, rates = key.terms, key.terms.rates
    per_day = rates.credits_per_day_nano
    return KeyInfo(
        id=key.id,
        name=terms.name,
        shown=f"{key.prefix}…{key.last4}" if key.prefix else "",
        state=_state(key),
        source=key.source,
        models=terms.models,
        providers=terms.providers,
        limits=KeyLimits(
            requests_per_minute=rates.requests_per_minute,
            characters_per_minute=rates.characters_per_minute,
            requests_per_day=rates.requests_per_day,
            characters_per_day=rates.characters_per_day,
            credits_per_day=None if per_day is None else float(credits_of(per_day)),
            concurrent=rates.concurrent,
        ),
        metered=key.metered,
        balance=None if key.balance_nano is None else credits_of(key.balance_nano),
        created=_day(key.created_ms or None),
        expires=_day(terms.expires_ms),
    )


def info_of_new(made: NewKey) -> KeyInfo:
    """The same with the key itself: it can be read here and nowhere else."""
    return msgspec.structs.replace(info_of(made.key), key=made.credential.reveal())


def top_up_name(account: str, idempotency_key: str | None) -> str:
    """What a top-up is called in the books, where the same name adds once."""
    if idempotency_key is None:
        return f"top-up.{os.urandom(16).hex()}"
    digest = hashlib.sha256(f"{account}\0{idempotency_key}".encode()).hexdigest()
    return f"top-up.{digest}"


def _state(key: Key) -> Literal["active", "disabled", "expired"]:
    if key.disabled_ms is not None:
        return "disabled"
    expires_ms = key.terms.expires_ms
    is_over = expires_ms is not None and expires_ms <= time.time_ns() // 1_000_000
    return "expired" if is_over else "active"


def _day(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).date().isoformat()
