"""Waiting bookings that are suspended, and accounts whose bookings are due for a review."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Add the column and the table. Accounts that are disabled already are reviewed once."""
    op.add_column("bookings", sa.Column("is_suspended", sa.Boolean(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "account_reviews",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_id"),
        **_OPTIONS,
    )
    # A repeated migration begins anew.
    op.execute(sa.text("DELETE FROM account_reviews"))
    op.execute(
        sa.text(
            "INSERT INTO account_reviews (user_id, until, due_at) "
            "SELECT id, disabled_at, disabled_at FROM users WHERE disabled_at IS NOT NULL"
        )
    )
    op.create_index(op.f("ix_account_reviews_due_at_user_id"), "account_reviews", ["due_at", "user_id"])
