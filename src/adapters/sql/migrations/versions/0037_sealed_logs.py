"""Events' logs, and the keys of customers in them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0037"
down_revision: str | None = "0036"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_DIGEST = sa.LargeBinary(64).with_variant(mysql.VARBINARY(64), "mysql", "mariadb")
_LONG_BYTES = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Add the tables. The logs of earlier events are sealed while the service runs."""
    op.create_table(
        "event_logs",
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", _DIGEST, nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        sa.CheckConstraint("size >= 1", name=op.f("ck_event_logs_size")),
        sa.PrimaryKeyConstraint("event_id"),
        **_OPTIONS,
    )
    op.create_table(
        "log_tiles",
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", _LONG_BYTES, nullable=False),
        sa.PrimaryKeyConstraint("event_id", "level", "number"),
        **_OPTIONS,
    )
    op.create_table(
        "log_bundles",
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entries", _LONG_BYTES, nullable=False),
        sa.PrimaryKeyConstraint("event_id", "number"),
        **_OPTIONS,
    )
    op.create_table(
        "unsealed_events",
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        **_OPTIONS,
    )
    op.create_table(
        "customer_log_keys",
        sa.Column("customer_id", _ID, nullable=False),
        sa.Column("key", _DIGEST, nullable=False),
        sa.PrimaryKeyConstraint("customer_id"),
        **_OPTIONS,
    )
    op.create_table(
        "log_hosts",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **_OPTIONS,
    )
