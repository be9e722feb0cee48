"""Keys and the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("last4", sa.String(4), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("disabled_ms", sa.BigInteger()),
    )
    _books()
    op.create_table(
        "usage",
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("account", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(256), primary_key=True),
        sa.Column("provider", sa.String(256), primary_key=True),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("characters", sa.BigInteger(), nullable=False),
        sa.Column("audio_ms", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("charged_nano", sa.BigInteger(), nullable=False),
    )


def _books() -> None:
    counted = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("balance_nano", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("balance_nano >= 0", name="balance_is_never_negative"),
    )
    op.create_table(
        "entries",
        sa.Column("id", counted, primary_key=True, autoincrement=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("request", sa.String(160), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("amount_nano", sa.BigInteger(), nullable=False),
        sa.Column("charged_nano", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("request", "kind", name="one_of_a_kind"),
    )
    op.create_index("entries_by_account", "entries", ["account", "id"])
    op.create_index("entries_by_age", "entries", ["at_ms"])
    op.create_table(
        "reservations",
        sa.Column("request", sa.String(160), primary_key=True),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("amount_nano", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
    )
    op.create_index("reservations_by_holder", "reservations", ["holder"])
    op.create_table(
        "holders",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "paid",
        sa.Column("account", sa.String(64), primary_key=True),
        sa.Column("once", sa.String(64), primary_key=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("paid_by_age", "paid", ["at_ms"])
