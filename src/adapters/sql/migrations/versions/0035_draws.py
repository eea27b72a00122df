"""Draws."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0035"
down_revision: str | None = "0034"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the columns. Earlier events have none."""
    moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.add_column("events", sa.Column("admission", sa.String(16), server_default=sa.text("'line'"), nullable=False))
    op.add_column("events", sa.Column("draw_closes_at", moment))
    op.add_column("events", sa.Column("draw_source", sa.String(16)))
    op.add_column("events", sa.Column("draw_commitment", sa.String(64)))
    op.add_column("events", sa.Column("last_entry", sa.BigInteger()))
    op.add_column("events", sa.Column("was_drawn", sa.Boolean(), server_default=sa.text("0"), nullable=False))
    op.add_column("events", sa.Column("is_drawing", sa.Boolean(), server_default=sa.text("0"), nullable=False))
