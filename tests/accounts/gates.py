"""A gate on a real store, for tests that ask it what a request would."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from router.accounts.entrance import gate_of
from router.accounts.gate import KeyedGate
from router.accounts.keys import Terms
from router.accounts.ledger import named
from router.accounts.price import credits_of, nano_of
from router.contract.caller import Ask, Caller, Delivered, Gate, Offer, Price
from router.contract.provider import Secret
from router.contract.record import Event
from router.registry import Kinds
from router.settings.load import parse
from router.settings.structs import Settings
from router.testing.scripted import Scripted, kind_of

APP = Secret("sk-of-the-app-0123456789")
HOME = "192.0.2.1"
PRICE = Price(credits_per_1k_chars=1.0)


def settings_of(folder: Path, accounts: Mapping[str, Any] | None, **more: Any) -> Settings:
    """A config with these accounts, one scripted provider, and one model."""
    kinds = Kinds({"voice": kind_of("voice", Scripted())}, {}, {})
    config = {
        "server": {"data_dir": str(folder / "data"), "cache_dir": str(folder / "cache")},
        "providers": {"voice": {"kind": "voice"}},
        "models": {"it": {"routes": [{"provider": "voice"}]}},
        **more,
    }
    if accounts is not None:
        config["accounts"] = accounts
    return parse(json.dumps(config), kinds.providers)


@asynccontextmanager
async def gated(
    folder: Path,
    accounts: Mapping[str, Any],
    publish: Callable[[Event], None] = lambda _: None,
    **more: Any,
) -> AsyncIterator[KeyedGate]:
    """A gate with these accounts; unless they say otherwise, with the app's key."""
    accounts = {"keys": {"app": {"key": APP.reveal()}}, **accounts}
    async with gate_of(settings_of(folder, accounts, **more), publish) as gate:
        assert isinstance(gate, KeyedGate)
        yield gate


def app(**entry: Any) -> dict[str, Any]:
    """The table of a config in which the app's key has these terms."""
    return {"keys": {"app": {"key": APP.reveal(), **entry}}}


def asking(characters: int = 1_000, *offers: Offer, **more: Any) -> Ask:
    """A request for one provider at a credit for a thousand characters."""
    given = offers or (Offer("voice", "tone-1", PRICE),)
    fields = {"request_id": "r", "model": "it", **more}
    return Ask(characters=characters, offers=given, **fields)


def whole(characters: int = 1_000, provider: str = "voice", **more: Any) -> Delivered:
    """All of a speech."""
    fields = {"model": "tone-1", "audio_s": 10.0, "whole_s": 10.0, "is_whole": True, **more}
    return Delivered(provider=provider, characters=characters, **fields)


async def spoken(gate: Gate, caller: Caller, ask: Ask, delivered: Delivered | None = None) -> None:
    """Admit a request and deliver it: all of it, if nothing else is said."""
    async with gate.admit(caller, ask) as grant:
        grant.heard(delivered or whole(ask.characters))


async def member(
    gate: KeyedGate, credits: str | None = None, address: str = HOME, **terms: Any
) -> Caller:
    """A caller with a key of the store."""
    nano = None if credits is None else nano_of(credits)
    made = await gate.accounts.keys.create(Terms(**terms), credit_nano=nano)
    return await gate.identify(made.credential, address)


async def balance(gate: KeyedGate, caller: Caller) -> str:
    """What is left, once everything that was queued before has been written."""
    left = await gate.accounts.ledger.top_up(caller.id, 0, request=named("look"))
    return credits_of(left)
