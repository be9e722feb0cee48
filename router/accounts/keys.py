"""API keys: shown once, stored as a keyed hash, found by it."""

from __future__ import annotations

import hmac
import secrets
import string
import time
from collections.abc import Sequence
from typing import Protocol

import msgspec

from router.accounts.errors import KeyOfConfig, UnknownKey
from router.accounts.lookup import Lookup
from router.accounts.price import MOST_NANO
from router.contract.provider import Secret

PREFIX = "sk-tts-"
SHOWN = len(PREFIX) + 4
"""Characters at a key's beginning that people may see."""
LETTERS = 40
"""Random letters and digits of a key: 238 bits."""
KEPT_S = 2.0
"""How long a key that was found may be used before it is looked up again."""
KEPT = 10_000
PAGE = 1_000
TERMS_BYTES = 65_536
_ALPHABET = string.ascii_letters + string.digits


class KeyRates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rates of one key; `None`: those of the config hold."""

    requests_per_minute: int | None = None
    characters_per_minute: int | None = None
    requests_per_day: int | None = None
    characters_per_day: int | None = None
    credits_per_day_nano: int | None = None
    concurrent: int | None = None
    """Speeches at once."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever holds a key may do."""

    name: str = ""
    """For people; need not be unique."""
    models: tuple[str, ...] = ()
    """Public models that may be used; empty: all."""
    providers: tuple[str, ...] = ()
    """Instances of providers that may speak; empty: all."""
    rates: KeyRates = KeyRates()
    expires_ms: int | None = None
    """Unix milliseconds; from then on the key is not found any more."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is known to us: never the key itself."""

    id: str
    """Safe for logs; it is the account in the ledger and outlives rotation."""
    prefix: str
    """Its first eleven characters, for people."""
    last4: str
    terms: Terms
    created_ms: int
    disabled_ms: int | None = None
    metered: bool = False
    """Whether it pays: it has an account, with whatever balance. Others only count."""
    balance_nano: int | None = None
    """As it was when the key was read."""
    source: str = "store"
    """`store`, or `config` for a key of the YAML file, which cannot be changed here."""


class NewKey(msgspec.Struct, frozen=True):
    """A key that has just been made: the only moment in which it can be read."""

    key: Key
    credential: Secret


class FixedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that the config gives; `hash` is what `hash_of` makes of the credential."""

    key: Key
    """Its `source` is `config`, its `id` the same at every start; it is `metered` if it pays."""
    hash: str
    credit_nano: int = 0
    """What a metered one begins with, once."""


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is written."""

    key: Key
    hash: str
    credit_nano: int | None = None
    """What its account begins with; `None`: it has none."""


class KeyRows(Protocol):
    """The keys in the store. All raise StoreUnavailable."""

    async def by_hash(self, hash: str) -> Key | None: ...

    async def by_id(self, id: str) -> Key | None: ...

    async def page(self, after: str, limit: int) -> list[Key]: ...

    async def balances(self, accounts: Sequence[str]) -> dict[str, int]: ...

    async def add(self, row: KeyRow) -> None: ...

    async def set_disabled(self, id: str, at_ms: int | None) -> bool:
        """Whether there is such a key."""
        ...

    async def set_credential(self, row: KeyRow) -> bool: ...


class Keys:
    """All keys, of the store and of the config. All methods raise StoreUnavailable."""

    def __init__(self, rows: KeyRows, secret: Secret, fixed: Sequence[FixedKey] = ()) -> None:
        self._rows = rows
        self._secret = secret
        self._fixed = {one.hash: one.key for one in fixed}
        self._stored = Lookup(rows.by_hash, KEPT_S, KEPT)

    async def find(self, credential: Secret) -> Key | None:
        """The key, if it is one of ours, neither disabled nor expired. What was found is kept for
        `KEPT_S`, so a key that is disabled anywhere stops working everywhere within it."""
        hash = hash_of(self._secret, credential)
        key = self._fixed.get(hash) or await self._stored.find(hash)
        return key if key is not None and _is_live(key) else None

    async def create(self, terms: Terms, *, credit_nano: int | None = None) -> NewKey:
        """A new key; with `credit_nano` it is metered and begins with that balance.

        Raises:
            ValueError: the terms are too long, or the credit is no amount.
        """
        if not 0 <= (credit_nano or 0) <= MOST_NANO:
            raise ValueError("credits lie between 0 and 1000000000")
        if len(msgspec.json.encode(terms)) > TERMS_BYTES:
            raise ValueError(f"the terms of a key take at most {TERMS_BYTES} bytes")
        credential, now_ms = _drawn(), _now_ms()
        key = Key(
            id=f"key_{now_ms // 1000:08x}{secrets.token_hex(4)}",  # in the order of their making
            prefix=credential.reveal()[:SHOWN],
            last4=credential.reveal()[-4:],
            terms=terms,
            created_ms=now_ms,
            metered=credit_nano is not None,
            balance_nano=credit_nano,
        )
        hash = hash_of(self._secret, credential)
        await self._rows.add(KeyRow(key=key, hash=hash, credit_nano=credit_nano))
        return NewKey(key, credential)

    async def page(self, *, after: str = "", limit: int = 100) -> list[Key]:
        """Keys in the order of their making, those after the id `after`; at most 1,000. Keys of
        the config come before the first page, beyond the limit."""
        stored = await self._rows.page(after, max(1, min(limit, PAGE)))
        return stored if after else [*await self._of_config(), *stored]

    async def get(self, id: str) -> Key:
        """Raises UnknownKey."""
        if fixed := [key for key in await self._of_config() if key.id == id]:
            return fixed[0]
        if "\0" not in id and (key := await self._rows.by_id(id)):  # no text of PostgreSQL has it
            return key
        raise UnknownKey(f"there is no key {id!r}")

    async def disable(self, id: str) -> Key:
        """Raises UnknownKey, KeyOfConfig."""
        return await self._disabled(id, _now_ms())

    async def enable(self, id: str) -> Key:
        """Raises UnknownKey, KeyOfConfig."""
        return await self._disabled(id, None)

    async def rotate(self, id: str) -> NewKey:
        """The same key, account and terms with a new credential; the old one ends at once,
        elsewhere within `KEPT_S`.

        Raises UnknownKey, KeyOfConfig."""
        old = await self._changeable(id)
        credential = _drawn()
        letters = credential.reveal()
        key = msgspec.structs.replace(old, prefix=letters[:SHOWN], last4=letters[-4:])
        await self._rows.set_credential(KeyRow(key=key, hash=hash_of(self._secret, credential)))
        self._stored.forget()
        return NewKey(key, credential)

    async def _disabled(self, id: str, at_ms: int | None) -> Key:
        await self._changeable(id)
        await self._rows.set_disabled(id, at_ms)
        self._stored.forget()
        return await self.get(id)

    async def _changeable(self, id: str) -> Key:
        key = await self.get(id)
        if key.source == "config":
            raise KeyOfConfig(f"the key {id!r} is the config's: change it there")
        return key

    async def _of_config(self) -> list[Key]:
        if not self._fixed:
            return []
        balances = await self._rows.balances([key.id for key in self._fixed.values()])
        return [
            msgspec.structs.replace(key, balance_nano=balances.get(key.id))
            for key in self._fixed.values()
        ]


def hash_of(secret: Secret, credential: Secret) -> str:
    """What is stored of a key: 64 hexadecimal digits that say nothing without the secret."""
    message = b"key:" + credential.reveal().encode()
    return hmac.digest(secret.reveal().encode(), message, "sha256").hex()


def _drawn() -> Secret:
    return Secret(PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(LETTERS)))


def _is_live(key: Key) -> bool:
    expires_ms = key.terms.expires_ms
    return key.disabled_ms is None and (expires_ms is None or _now_ms() < expires_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
