"""Opens the gate that the config asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from router.accounts.gate import KeyedGate
from router.accounts.opening import Accounts, embedded, opened
from router.accounts.providers import Turns, turns
from router.accounts.rates import Rates, StoreState, in_memory, in_redis
from router.accounts.terms import fixed_keys
from router.contract.caller import Ask, Gate, OpenGate, Trouble, Turn
from router.contract.record import Event, LimitsLost
from router.settings.accounts import Accounts as Wanted
from router.settings.accounts import Rates as NoRates
from router.settings.secret import secret_of
from router.settings.structs import Settings

_NO_LIMITS = NoRates()


class LimitedGate(OpenGate):
    """The gate of a server without keys whose providers have limits."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    async def attempt(self, provider: str, ask: Ask) -> Turn:
        return await self._turns.take(provider, ask)

    def troubles(self) -> list[Trouble]:
        return self._turns.troubles()


def _unheard(event: Event) -> None:
    """For those to whom nobody listens."""


@asynccontextmanager
async def gate_of(
    settings: Settings, publish: Callable[[Event], None] = _unheard
) -> AsyncIterator[Gate]:
    """The gate while the block lasts; `publish` hears of limits that refuse or cannot be kept.

    Raises:
        StoreUnusable: the store of keys and credit cannot be used as it is.
    """
    if not settings.keyed and not _limits_providers(settings):
        yield OpenGate()
        return
    wanted = settings.accounts or Wanted(required=False)
    async with (
        rates_of(wanted, publish) as rates,
        turns(rates, settings.providers, publish) as own,
    ):
        if not settings.keyed:
            yield LimitedGate(own)
            return
        async with books_of(settings) as accounts:
            yield KeyedGate(settings, accounts, rates, own, publish)


@asynccontextmanager
async def rates_of(wanted: Wanted, publish: Callable[[Event], None]) -> AsyncIterator[Rates]:
    """Where rates are counted: here, or with all who share a Redis."""
    if not wanted.redis:
        yield in_memory()
        return

    def changed(state: StoreState) -> None:
        publish(LimitsLost(state.is_lost, state.on_loss))

    url = wanted.redis.reveal()
    async with in_redis(url, on_loss=wanted.on_loss, changed=changed) as rates:
        yield rates


@asynccontextmanager
async def books_of(settings: Settings) -> AsyncIterator[Accounts]:
    """Keys, credit and usage of this installation, for the server and the command alike.

    Raises:
        StoreUnusable: they cannot be opened.
        OSError: the secret cannot be kept, without which no key would be found again.
    """
    wanted = settings.accounts or Wanted()
    secret = await asyncio.to_thread(secret_of, settings)
    url = wanted.store or embedded(settings.data_dir)
    async with opened(url, secret, fixed=fixed_keys(wanted.keys, secret)) as accounts:
        yield accounts


def _limits_providers(settings: Settings) -> bool:
    return any(provider.entry.limits != _NO_LIMITS for provider in settings.providers.values())


def has_store(settings: Settings) -> bool:
    """Whether this installation has a store of its own already."""
    return Path(embedded(settings.data_dir).reveal().removeprefix("sqlite:///")).exists()


async def has_keys(settings: Settings) -> bool:
    """Whether there is a key in the store, whatever secret it was made with: it may hold no more
    than jobs. Raises StoreUnusable."""
    await asyncio.to_thread(import_module, "router.accounts.stored")  # SQLAlchemy: 0.2 s
    from router.accounts.stored import has_any  # noqa: PLC0415

    wanted = settings.accounts or Wanted()
    return await has_any(wanted.store or embedded(settings.data_dir))
