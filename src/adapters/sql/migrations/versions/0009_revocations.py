"""What was revoked is found by its time: ended sessions, users whose role changed or who were disabled."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# What the schema's types were when this was written: a step of the past does not change with the program.
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """Nothing was revoked that a token could say: those from before tell no role, and are good for nothing any more."""
    op.add_column("users", sa.Column("standing_changed_at", _MOMENT))
    op.create_index(op.f("ix_users_standing_changed_at"), "users", ["standing_changed_at"])
    op.create_index(op.f("ix_sessions_ended_at"), "sessions", ["ended_at"])
