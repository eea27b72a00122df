"""Single tickets to which something happened."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0029"
down_revision: str | None = "0028"
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
    """Add the columns and the table. Nothing has happened to a single ticket so far."""
    op.add_column("bookings", sa.Column("returned", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("bookings", sa.Column("used", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "tickets",
        sa.Column("booking_id", _ID, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("holder_name", sa.String(200)),
        sa.Column("is_returned", sa.Boolean(), nullable=False),
        sa.Column("checked_in_at", _MOMENT),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_tickets_booking_id")),
        sa.PrimaryKeyConstraint("booking_id", "number"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_tickets_event_id_number"), "tickets", ["event_id", "number"])
