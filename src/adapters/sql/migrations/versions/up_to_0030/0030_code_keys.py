"""The keys that sign the codes of tickets."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0030"
down_revision: str | None = "0029"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_DIGEST = sa.LargeBinary(64).with_variant(mysql.VARBINARY(64), "mysql", "mariadb")
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "code_keys",
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("public", _DIGEST, nullable=False),
        sa.Column("sealed", _DIGEST, nullable=False),
        sa.Column("sealed_by", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_code_keys_sealed_by"), "code_keys", ["sealed_by"])
