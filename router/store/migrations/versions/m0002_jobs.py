"""Jobs, their pieces, and what is still to be told of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _jobs()
    _pieces()
    _outbox()


def _jobs() -> None:
    counted = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "jobs",
        sa.Column("turn", counted, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("batch", sa.String(64)),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("once", sa.String(64)),
        sa.Column("contents", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(64)),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("is_orphan", sa.Boolean(), nullable=False),
        sa.Column("cancel_wanted", sa.Boolean(), nullable=False),
        sa.Column("shape", sa.String(16), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("asked_model", sa.String(256), nullable=False),
        sa.Column("voice", sa.String(256), nullable=False),
        sa.Column("encoding", sa.String(8), nullable=False),
        sa.Column("sample_rate", sa.Integer()),
        sa.Column("channels", sa.Integer()),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("characters_done", sa.Integer(), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("pieces_done", sa.Integer(), nullable=False),
        sa.Column("audio_ms", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.String(256), nullable=False),
        sa.Column("disk_bytes", sa.BigInteger(), nullable=False),
        sa.Column("needs_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger()),
        sa.Column("ended_ms", sa.BigInteger()),
        sa.Column("keep_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("billed_as", sa.String(160)),
        sa.Column("metered", sa.Boolean(), nullable=False),
        sa.Column("charged_nano", sa.BigInteger()),
        sa.Column("token", sa.String(64), unique=True),
        sa.Column("audio_bytes", sa.BigInteger()),
        sa.Column("error_reason", sa.String(64)),
        sa.Column("error_message", sa.Text()),
        sa.Column("error_status", sa.Integer()),
        sa.Column("webhook_url", sa.Text()),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("held", sa.LargeBinary()),
        sa.Column("order", sa.LargeBinary()),
        sa.UniqueConstraint("owner", "once", "item", name="one_job_of_a_key"),
    )
    op.create_index(
        "jobs_by_state",
        "jobs",
        ["state", "turn", "owner", "next_ms", "lease_until_ms", "needs_bytes", "disk_bytes"],
    )
    op.create_index("jobs_by_owner", "jobs", ["owner", "turn"])
    op.create_index("jobs_by_batch", "jobs", ["batch", "item"])
    op.create_index("jobs_by_end", "jobs", ["until_ms"])
    op.create_index("jobs_by_size", "jobs", ["disk_bytes"])


def _pieces() -> None:
    op.create_table(
        "pieces",
        sa.Column("job", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("provider", sa.String(256), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("audio_ms", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.Integer()),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("host", sa.String(256), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("last_error", sa.String(32), nullable=False),
    )
    op.create_index("outbox_by_turn", "outbox", ["state", "next_ms"])
    op.create_index("outbox_by_holder", "outbox", ["holder", "state"])
