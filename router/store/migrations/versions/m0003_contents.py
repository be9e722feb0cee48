"""What an Idempotency-Key was paid for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("paid", sa.Column("contents", sa.String(64)))
    op.create_index("paid_by_once", "paid", ["once"])
