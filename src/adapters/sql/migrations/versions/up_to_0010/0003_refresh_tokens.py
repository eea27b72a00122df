"""Refresh tokens, and disabled users."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_DIGEST = sa.LargeBinary(64).with_variant(mysql.VARBINARY(64), "mysql", "mariadb")


def upgrade() -> None:
    """Add the columns. Existing sessions have no refresh token; their access tokens stay valid until they expire."""
    op.add_column("users", sa.Column("disabled_at", _MOMENT, nullable=True))
    op.add_column("sessions", sa.Column("family_digest", _DIGEST, nullable=True))
    op.add_column("sessions", sa.Column("token_digest", _DIGEST, nullable=True))
    op.create_index(op.f("ix_sessions_family_digest"), "sessions", ["family_digest"], unique=True)
