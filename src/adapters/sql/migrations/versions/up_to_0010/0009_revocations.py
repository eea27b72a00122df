"""Indexes of revocations by time: ended sessions, users whose role changed or who were disabled."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """Add the column and indexes, without earlier revocations: older access tokens contain no role and are invalid."""
    op.add_column("users", sa.Column("standing_changed_at", _MOMENT))
    op.create_index(op.f("ix_users_standing_changed_at"), "users", ["standing_changed_at"])
    op.create_index(op.f("ix_sessions_ended_at"), "sessions", ["ended_at"])
