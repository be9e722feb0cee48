"""What a caller is told when a limit is reached."""

from __future__ import annotations

from collections.abc import Iterable

from router.accounts.price import credits_of
from router.accounts.rates import AtOnce, Limit, PerDay, PerMinute, Refused
from router.accounts.rates import Standing as LimitStanding
from router.contract.caller import Standing, Standings
from router.contract.errors import RateLimited

_WHOSE = {
    "key": "this key",
    "address": "this address",
    "model": "this model",
    "global": "this server",
    "provider": "the provider",
}
_OWN = ("key", "address")
"""How others fare is not told: it is not the caller's to know."""
_DAILY = {
    "requests": "daily_rpd_limit_exceeded",
    "characters": "daily_characters_limit_exceeded",
    "credits": "daily_usd_limit_exceeded",
}
"""NanoGPT's words for the caps of a day; it has none for characters."""


def limited(refused: Refused) -> RateLimited:
    """The error for a verdict that took nothing."""
    limit, wait_s = refused.limit, refused.retry_after_s
    is_daily = isinstance(limit, PerDay)
    return RateLimited(
        _told(limit, wait_s),
        retry_after=wait_s,
        code=_DAILY[limit.measure] if is_daily else "rate_limit_exceeded",
        is_useless=refused.is_useless,
        standings=standings(refused.standings, also=limit),
    )


def standings(found: Iterable[LimitStanding], also: Limit | None = None) -> Standings:
    """Of the caller's own limits, and of the one that refused, those with the least left."""
    least: dict[str, Standing] = {}
    for one in found:
        limit = one.limit
        if limit.scope not in _OWN and limit != also:
            continue
        known = least.get(limit.measure)
        if known is None or one.remaining < known.remaining:
            least[limit.measure] = Standing(_size(limit), one.remaining, one.reset_s)
    return Standings(least.get("requests"), least.get("characters"))


def _size(limit: Limit) -> int:
    """Units of which `remaining` are left: after a pause, a burst may be more than a minute's."""
    return limit.size if isinstance(limit, PerMinute) else limit.limit


def _told(limit: Limit, wait_s: float | None) -> str:
    whose, amount = _WHOSE[limit.scope], f"{limit.limit} {limit.measure}"
    if isinstance(limit, AtOnce):
        return f"Rate limit exceeded: {whose} may have {limit.limit} speeches at once."
    if isinstance(limit, PerDay):
        if limit.measure == "credits":
            amount = f"{credits_of(limit.limit)} credits"
        return f"Daily limit exceeded: {whose} may use {amount} a day (UTC)."
    if wait_s is None:
        most = f"{limit.size} {limit.measure}"
        return f"Rate limit exceeded: {whose} may use at most {most} at once, and this needs more."
    if limit.use != "speech":
        return f"Rate limit exceeded: {limit.limit} requests a minute. Please slow down."
    return f"Rate limit exceeded: {whose} may use {amount} a minute. Please slow down."
