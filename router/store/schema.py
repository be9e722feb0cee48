"""The tables, for SQLite and PostgreSQL alike.

Money is whole nano-credits, time is Unix milliseconds. `String(n)` is kept by PostgreSQL alone, so
whoever writes keeps to it. What is added here is added to `migrations/` too; a test compares.
"""

from __future__ import annotations

import sqlalchemy as sa

HEAD = "0001"
"""The newest migration: a store at it needs no Alembic, which takes 85 ms to import."""

ID = 64
NAME = 256
REQUEST = 160

metadata = sa.MetaData()
_COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite counts up only in a column of the type INTEGER."""

installation = sa.Table(
    "installation",
    metadata,
    sa.Column("name", sa.String(ID), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.String(ID), primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("prefix", sa.String(16), nullable=False),
    sa.Column("last4", sa.String(4), nullable=False),
    sa.Column("terms", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("disabled_ms", sa.BigInteger),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.String(ID), primary_key=True),
    sa.Column("balance_nano", sa.BigInteger, nullable=False),
    sa.CheckConstraint("balance_nano >= 0", name="balance_is_never_negative"),
)

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("id", _COUNTED, primary_key=True, autoincrement=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("account", sa.String(ID), nullable=False),
    sa.Column("request", sa.String(REQUEST), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("amount_nano", sa.BigInteger, nullable=False),
    sa.Column("charged_nano", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("request", "kind", name="one_of_a_kind"),
    sa.Index("entries_by_account", "account", "id"),
    sa.Index("entries_by_age", "at_ms"),
)

reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("request", sa.String(REQUEST), primary_key=True),
    sa.Column("account", sa.String(ID), nullable=False),
    sa.Column("amount_nano", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(ID), nullable=False),
    sa.Index("reservations_by_holder", "holder"),
)

holders = sa.Table(
    "holders",
    metadata,
    sa.Column("id", sa.String(ID), primary_key=True),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
)

paid = sa.Table(
    "paid",
    metadata,
    sa.Column("account", sa.String(ID), primary_key=True),
    sa.Column("once", sa.String(64), primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Index("paid_by_age", "at_ms"),
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("account", sa.String(ID), primary_key=True),
    sa.Column("model", sa.String(NAME), primary_key=True),
    sa.Column("provider", sa.String(NAME), primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("characters", sa.BigInteger, nullable=False),
    sa.Column("audio_ms", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("charged_nano", sa.BigInteger, nullable=False),
)
