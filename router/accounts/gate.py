"""The gate of a server with keys: who it is, what they may still have, and what it costs them."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

import msgspec

from router.accounts.addresses import network_of
from router.accounts.admission import Admission
from router.accounts.entry import Entry, due_of, taken
from router.accounts.keys import Key
from router.accounts.opening import Accounts
from router.accounts.providers import Turns
from router.accounts.rates import Demand, Limit, PerMinute, Rates, RatesLost, Refused
from router.accounts.refusals import limited
from router.accounts.terms import laid_over, limits_of, limits_of_key, tries_of
from router.contract.caller import FREE, Ask, Caller, Grant, Trouble, Turn
from router.contract.errors import Forbidden, MissingKey, RateLimited, Unauthenticated
from router.contract.provider import Secret
from router.contract.record import Event, LimitRefused
from router.settings.accounts import Accounts as Wanted
from router.settings.structs import Settings

_MEMBERS = 10_000


class Member(msgspec.Struct, frozen=True, eq=False):
    """A key, with all that its requests have to pass."""

    key: Key
    limits: tuple[Limit, ...]
    models: frozenset[str] | None
    providers: frozenset[str] | None


class KeyedGate:
    """Keys, rates and books, asked in that order."""

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        rates: Rates,
        turns: Turns,
        publish: Callable[[Event], None],
    ) -> None:
        """`publish` hears of every refusal by a limit."""
        wanted = settings.accounts or Wanted()
        self.accounts = accounts
        self.rates = rates
        self._turns = turns
        self._publish = publish
        self._wanted = wanted
        tables = wanted.limits
        self._looking = tries_of("looking", tables.looking)
        self._failing = tries_of("failing", tables.failing)
        self._needs_no_books = any(key.credits is None for key in wanted.keys.values())
        """Whether somebody may speak without the store: by a key of the config that is free."""
        self._of_address = limits_of("address", tables.address)
        self._of_all = limits_of("global", tables.total)
        self._of_model = limits_of("model", tables.model)
        self._of_models = {
            name: limits_of("model", model.limits)
            for name, model in settings.models.items()
            if model.limits is not None
        }
        self._members: OrderedDict[str, Member] = OrderedDict()

    async def identify(self, credential: Secret | None, address: str) -> Caller:
        if credential is None:
            await self._check(self._failing, address)
            raise MissingKey("A key is required: Authorization: Bearer <key>, or X-API-Key: <key>.")
        key = await self.accounts.keys.find(credential)
        if key is None:
            await self._check(self._failing, address)
            raise Unauthenticated("This key is not one of ours, or is no longer good.")
        member = self._member(key)
        return Caller(
            key.id, key.terms.name, member.models, member.providers, address, account=member
        )

    async def check_admin(self, credential: Secret | None, address: str) -> None:
        """See that somebody has the admin key, which is compared in constant time.

        Raises:
            Forbidden: there is none, so nobody has.
            Unauthenticated, RateLimited: this one has not.
        """
        admin = self._wanted.admin_key
        if not admin:
            raise Forbidden("The admin endpoints are closed: the config has no accounts.admin_key.")
        if credential is None:
            await self._check(self._failing, address)
            raise MissingKey("The admin key is required: Authorization: Bearer <key>.")
        given, right = (
            hashlib.sha256(key.reveal().encode()).digest() for key in (credential, admin)
        )
        if not hmac.compare_digest(given, right):
            await self._check(self._failing, address)
            raise Unauthenticated("This is not the admin key.")

    async def visit(self, address: str) -> None:
        await self._check(self._looking, address)

    def admit(self, caller: Caller, ask: Ask) -> AbstractAsyncContextManager[Grant]:
        member = caller.account
        if not isinstance(member, Member):  # the house, or a job that was let in long ago
            return nullcontext(FREE)
        limits = self._limits(member, caller.address, ask.model)
        ledger = self.accounts.ledger
        return Admission(ledger, self.rates, member.key, limits, ask, refuse=self._refusal)

    async def let_in(self, caller: Caller, asks: Sequence[Ask]) -> Entry:
        """Let jobs in that come together, all of them or none.

        Raises:
            RateLimited: nothing was taken.
            Overloaded: the rates cannot be kept now.
        """
        member = caller.account
        if not isinstance(member, Member):
            return Entry([None] * len(asks))
        passed = [(ask, self._limits(member, caller.address, ask.model)) for ask in asks]
        granted = await taken(self.rates, passed, self._refusal)
        dues = [due_of(member.key, ask) for ask in asks]
        return Entry(dues, self.rates, granted)

    async def attempt(self, provider: str, ask: Ask) -> Turn:
        return await self._turns.take(provider, ask)

    def troubles(self) -> list[Trouble]:
        troubles = self._turns.troubles()
        if self.accounts.ledger.is_lost:
            what = "the store of keys and credit does not answer"
            troubles.append(Trouble(what, stops=not self._needs_no_books, store="books"))
        return troubles

    def _limits(self, member: Member, address: str, model: str) -> list[tuple[Limit, str]]:
        """Every limit that a request has to pass, and whose it is."""
        of_model = self._of_models.get(model, self._of_model)
        return [
            *((limit, member.key.id) for limit in member.limits),
            *((limit, network_of(address)) for limit in self._of_address),
            *((limit, model) for limit in of_model),
            *((limit, "") for limit in self._of_all),
        ]

    async def _check(self, limit: PerMinute | None, address: str) -> None:
        """Count a try that is not speech. While that is not possible nobody is turned away: no
        speech depends on it. Raises RateLimited."""
        if limit is None:
            return
        try:
            verdict = await self.rates.take((Demand(limit, network_of(address)),))
        except RatesLost:
            return
        if isinstance(verdict, Refused):
            raise self._refusal(verdict)

    def _refusal(self, refused: Refused) -> RateLimited:
        limit = refused.limit
        self._publish(LimitRefused(limit.scope, limit.measure, limit.use))
        return limited(refused)

    def _member(self, key: Key) -> Member:
        """What is known of the key, made once for as long as nobody changes it."""
        found = self._members.get(key.id)
        if found is None or not (found.key is key or found.key == key):
            found = self._members[key.id] = self._new_member(key)
            if len(self._members) > _MEMBERS:
                self._members.popitem(last=False)
        return found

    def _new_member(self, key: Key) -> Member:
        terms = key.terms
        entry = self._wanted.keys.get(terms.name) if key.source == "config" else None
        own = limits_of_key(terms.rates) if entry is None else entry.limits
        return Member(
            key=key,
            limits=limits_of("key", laid_over(self._wanted.limits.key, own)),
            models=frozenset(name.strip().casefold() for name in terms.models) or None,
            providers=frozenset(terms.providers) or None,
        )
