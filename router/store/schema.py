"""The tables, for SQLite and PostgreSQL alike.

Money is whole nano-credits, time is Unix milliseconds. `String(n)` is kept by PostgreSQL alone, so
whoever writes keeps to it. What is added here is added to `migrations/` too; a test compares.
"""

from __future__ import annotations

import sqlalchemy as sa

HEAD = "0003"
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
    sa.Column("contents", sa.String(64)),
    sa.Index("paid_by_age", "at_ms"),
    sa.Index("paid_by_once", "once"),
)
"""`once` is a hash of an Idempotency-Key, `contents` one of it and what it was used for. Rows from
before there were `contents` have that one in `once`."""

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

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("turn", _COUNTED, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(ID), nullable=False, unique=True),
    sa.Column("owner", sa.String(ID), nullable=False),
    sa.Column("batch", sa.String(ID)),
    sa.Column("item", sa.Integer, nullable=False),
    sa.Column("once", sa.String(64)),
    sa.Column("contents", sa.String(64)),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("next_ms", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(ID)),
    sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("is_orphan", sa.Boolean, nullable=False),
    sa.Column("cancel_wanted", sa.Boolean, nullable=False),
    sa.Column("shape", sa.String(16), nullable=False),
    sa.Column("model", sa.String(NAME), nullable=False),
    sa.Column("asked_model", sa.String(NAME), nullable=False),
    sa.Column("voice", sa.String(NAME), nullable=False),
    sa.Column("encoding", sa.String(8), nullable=False),
    sa.Column("sample_rate", sa.Integer),
    sa.Column("channels", sa.Integer),
    sa.Column("characters", sa.Integer, nullable=False),
    sa.Column("characters_done", sa.Integer, nullable=False),
    sa.Column("pieces", sa.Integer, nullable=False),
    sa.Column("pieces_done", sa.Integer, nullable=False),
    sa.Column("audio_ms", sa.BigInteger, nullable=False),
    sa.Column("provider", sa.String(NAME), nullable=False),
    sa.Column("disk_bytes", sa.BigInteger, nullable=False),
    sa.Column("needs_bytes", sa.BigInteger, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("started_ms", sa.BigInteger),
    sa.Column("ended_ms", sa.BigInteger),
    sa.Column("keep_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("billed_as", sa.String(REQUEST)),
    sa.Column("metered", sa.Boolean, nullable=False),
    sa.Column("charged_nano", sa.BigInteger),
    sa.Column("token", sa.String(ID), unique=True),
    sa.Column("audio_bytes", sa.BigInteger),
    sa.Column("error_reason", sa.String(ID)),
    sa.Column("error_message", sa.Text),
    sa.Column("error_status", sa.Integer),
    sa.Column("webhook_url", sa.Text),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("held", sa.LargeBinary),
    sa.Column("order", sa.LargeBinary),
    sa.UniqueConstraint("owner", "once", "item", name="one_job_of_a_key"),
    sa.Index(
        "jobs_by_state",
        *("state", "turn", "owner", "next_ms", "lease_until_ms", "needs_bytes", "disk_bytes"),
    ),
    sa.Index("jobs_by_owner", "owner", "turn"),
    sa.Index("jobs_by_batch", "batch", "item"),
    sa.Index("jobs_by_end", "until_ms"),
    sa.Index("jobs_by_size", "disk_bytes"),
)
"""`order` is the text, the clip and all that was asked for: gone with the transaction that ends the
job. It stands last, so that whoever looks at the rest does not read it. Whose turn it is can be
told from `jobs_by_state` alone: with 10,000 jobs that saves three quarters of the time."""

pieces = sa.Table(
    "pieces",
    metadata,
    sa.Column("job", sa.String(ID), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("provider", sa.String(NAME), nullable=False),
    sa.Column("model", sa.String(NAME), nullable=False),
    sa.Column("characters", sa.Integer, nullable=False),
    sa.Column("audio_ms", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.Integer),
    sa.Column("bytes", sa.BigInteger, nullable=False),
)

URL = 2048

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.String(ID), primary_key=True),
    sa.Column("job", sa.String(ID), nullable=False),
    sa.Column("owner", sa.String(ID), nullable=False),
    sa.Column("url", sa.String(URL), nullable=False),
    sa.Column("host", sa.String(NAME), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("next_ms", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("holder", sa.String(ID), nullable=False),
    sa.Column("last_error", sa.String(32), nullable=False),
    sa.Index("outbox_by_turn", "state", "next_ms"),
    sa.Index("outbox_by_holder", "holder", "state"),
)
