"""Erasures of accounts that are not finished."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0028"
down_revision: str | None = "0027"
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
    """Add the table, and the indexes by which an erasure finds links and claims."""
    op.create_table(
        "erasures",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("erased_at", _MOMENT, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_id"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_erasures_due_at"), "erasures", ["due_at"])
    op.create_index(op.f("ix_account_links_email"), "account_links", ["email"])
    op.create_index(op.f("ix_account_claims_email"), "account_claims", ["email"])
