"""What may be written of keys, limits and credit in the YAML file."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from router.contract.caller import Credits
from router.contract.provider import Secret

Count = Annotated[int, Meta(ge=1, le=2**53)]
Spending = Annotated[float, Meta(gt=0, le=1_000_000_000)]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: frozen, and a key that it does not know is a mistake."""


class Rates(Table, frozen=True):
    """How much of it at once, in a minute and in a calendar day of UTC; `None`: no limit."""

    requests_per_minute: Count | None = None
    requests_burst: Count | None = None
    """Requests that pass at once after a pause; `None`: those of a minute."""
    characters_per_minute: Count | None = None
    """Code points of text."""
    characters_burst: Count | None = None
    """The same for characters. A longer text never passes."""
    requests_per_day: Count | None = None
    characters_per_day: Count | None = None
    concurrent: Count | None = None
    """Speeches at once."""


class Limits(Rates, frozen=True):
    """The same, and what may be spent."""

    credits_per_day: Spending | None = None


class Tries(Table, frozen=True):
    """How often something may be tried that is not speech."""

    requests_per_minute: Count
    requests_burst: Count | None = None
    """Those of a minute, if not given."""


class LimitTables(Table, frozen=True):
    """Whose limits they are. A request has to pass all of them at once."""

    key: Limits = Limits()
    """Each key, where neither the key nor its entry in the config says otherwise."""
    address: Limits = Limits()
    """Each caller's address."""
    model: Limits = Limits()
    """Each public model, over all callers; a model may have its own."""
    total: Limits = Limits()
    """All callers together."""
    looking: Tries | None = Tries(requests_per_minute=600)
    """Each address, on what needs no key: models, voices, samples, plans, health."""
    failing: Tries | None = Tries(requests_per_minute=30)
    """Each address, for keys that are missing or wrong."""


class KeyEntry(Table, frozen=True):
    """A key that the config gives: itself (best as a `${REFERENCE}`), or its hash."""

    key: Secret | None = None
    hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    """What `tts-router keys hash` prints of it."""
    models: tuple[str, ...] = ()
    """Public models that it may ask for; none means all."""
    providers: tuple[str, ...] = ()
    """Providers that may speak for it; none means all."""
    limits: Limits = Limits()
    credits: Credits | None = None
    """Credit that it begins with, once; `None`: it is not metered."""
    expires: dt.date | None = None
    """The first day (UTC) on which it is no longer good."""


class Accounts(Table, frozen=True):
    """Who may speak, how fast, and at whose cost."""

    required: bool = True
    """Whether a key is needed. False leaves the server open to this machine, whatever keys there
    are."""
    store: Secret | None = None
    """A `postgresql://` address; `None`: SQLite in `data_dir`."""
    redis: Secret | None = None
    """A `redis://` address that all routers share; `None`: each counts for itself."""
    on_loss: Literal["closed", "open"] = "closed"
    """What happens while that cannot be reached: nobody speaks, or each counts for itself."""
    admin_key: Secret | None = None
    """Opens `/admin/v1`; without one it is closed."""
    limits: LimitTables = LimitTables()
    keys: dict[str, KeyEntry] = {}
