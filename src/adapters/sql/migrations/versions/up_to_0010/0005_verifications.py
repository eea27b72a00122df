"""The results of the last verification of the promises."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
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
    """Create the table, which is empty at first."""
    op.create_table(
        "verifications",
        sa.Column("promise", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("breaches", sa.Integer(), nullable=False),
        sa.Column("verified_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("promise"),
        **_OPTIONS,
    )
