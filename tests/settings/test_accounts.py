"""The table `accounts`: what may stand in it, and how a mistake is told."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from router.settings.load import BadConfig, parse
from router.settings.structs import Settings

KEY = "sk-of-a-test-0123456789"
HASH = "0123456789abcdef" * 4


def read(accounts: Any, **more: Any) -> Settings:
    return parse(json.dumps({"accounts": accounts, **more}), {})


def told(accounts: Any, **more: Any) -> list[str]:
    """Every mistake in one line."""
    with pytest.raises(BadConfig) as wrong:
        read(accounts, **more)
    return [str(problem) for problem in wrong.value.problems]


def test_without_the_table_no_key_is_needed() -> None:
    assert not parse("{}", {}).keyed
    assert not read({"required": False}).keyed
    assert read({}).keyed


def test_an_empty_table_has_limits_on_what_needs_no_key_alone() -> None:
    accounts = read({}).accounts
    assert accounts is not None
    assert accounts.limits.looking is not None
    assert accounts.limits.failing is not None
    assert (accounts.limits.looking.requests_per_minute, accounts.admin_key) == (600, None)
    assert accounts.limits.failing.requests_per_minute == 30


def test_a_key_is_given_with_its_terms() -> None:
    entry = {
        "key": KEY,
        "limits": {"requests_per_minute": "5", "credits_per_day": 0.5},
        "credits": 2,
        "expires": "2027-01-31",
    }
    accounts = read({"keys": {"me": entry}}).accounts
    assert accounts is not None
    me = accounts.keys["me"]
    assert me.key is not None
    assert me.key.reveal() == KEY
    assert (me.limits.requests_per_minute, me.credits) == (5, 2)
    assert me.expires == dt.date(2027, 1, 31)


def test_a_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"keys": {"me": {"key": "${TTS_A_KEY}"}}}
    monkeypatch.delenv("TTS_A_KEY", raising=False)
    assert told(keys) == [
        "accounts.keys.me.key: $TTS_A_KEY is not set — set it, or write ${TTS_A_KEY:-default}"
    ]
    monkeypatch.setenv("TTS_A_KEY", KEY)
    read(keys)


@pytest.mark.parametrize(
    ("accounts", "path", "wrong"),
    [
        ({"keys": {"me": {}}}, "accounts.keys.me", "needs either key or hash"),
        ({"keys": {"me": {"key": KEY, "hash": HASH}}}, "accounts.keys.me", "needs either"),
        ({"keys": {"me": {"key": "short"}}}, "accounts.keys.me.key", "is shorter than 16"),
        ({"keys": {"me": {"hash": "x"}}}, "accounts.keys.me.hash", "regex"),
        ({"keys": {"a": {"key": KEY}, "b": {"key": KEY}}}, "accounts.keys.b", "the same key as"),
        ({"keys": {"x" * 49: {"key": KEY}}}, f"accounts.keys.{'x' * 49}", "no name of at most 48"),
        (
            {"keys": {"me": {"key": KEY, "models": ["typo"]}}},
            "accounts.keys.me.models[0]",
            "there is no model 'typo'",
        ),
        (
            {"keys": {"me": {"key": KEY, "providers": ["typo"]}}},
            "accounts.keys.me.providers[0]",
            "there is no provider 'typo'",
        ),
        ({"keys": {"me": {"key": KEY, "expires": "soon"}}}, "accounts.keys.me.expires", "date"),
        ({"store": "mysql://me:word@db/x"}, "accounts.store", "does not begin with"),
        ({"redis": "http://:word@db"}, "accounts.redis", "does not begin with"),
        ({"on_loss": "ajar"}, "accounts.on_loss", "Invalid enum value"),
        ({"limits": {"key": {"requests_per_minute": 0}}}, "accounts.limits.key", ">= 1"),
        ({"limits": {"keys": {}}}, "accounts.limits.keys", "is not a key here"),
        ({"limits": {"failing": {}}}, "accounts.limits.failing", "is missing"),
    ],
)
def test_a_mistake_is_told_with_its_place(accounts: Any, path: str, wrong: str) -> None:
    (line,) = told(accounts)
    assert line.startswith(path)
    assert wrong in line
    for hidden in (KEY, "word@"):
        assert hidden not in line


def test_a_price_is_no_less_than_nothing() -> None:
    for price in ({"credits_per_1k_chars": -1}, {"increment": 0}, {"cached_percent": 101}):
        model = {"routes": [{"provider": "p"}], "price": price}
        with pytest.raises(BadConfig, match="price"):
            parse(json.dumps({"models": {"it": model}, "providers": {"p": {"kind": "k"}}}), {})
