"""Holds, payments, stored responses (`remembered_answers`) and leases (`turns`)."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_EXACT = sa.LargeBinary(1_020).with_variant(mysql.VARBINARY(1_020), "mysql", "mariadb")
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
    """Add the tables and columns. Existing bookings need no other change, because none could be held or paid."""
    op.add_column("events", sa.Column("earliest_expiry", _MOMENT, nullable=True))
    op.create_index(op.f("ix_events_earliest_expiry_id"), "events", ["earliest_expiry", "id"])
    op.add_column("bookings", sa.Column("paid_by", _ID, nullable=True))
    op.add_column("bookings", sa.Column("paid_with", sa.String(16), nullable=True))
    op.add_column(
        "bookings",
        sa.Column("cancellation_deadline_hours", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.create_index(
        op.f("ix_bookings_event_id_status_expires_at_id"), "bookings", ["event_id", "status", "expires_at", "id"]
    )
    op.create_table(
        "payments",
        sa.Column("id", _ID, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("booking_id", _ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("tried_at", _MOMENT, nullable=False),
        sa.Column("settled_at", _MOMENT, nullable=True),
        sa.Column("ask_at", _MOMENT, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("key", _EXACT, nullable=True),
        sa.CheckConstraint("amount >= 0 AND attempts >= 0", name=op.f("ck_payments_counted")),
        sa.CheckConstraint(
            "(status = 'pending' AND ask_at IS NOT NULL AND settled_at IS NULL) "
            "OR (status <> 'pending' AND ask_at IS NULL AND settled_at IS NOT NULL)",
            name=op.f("ck_payments_settled_or_asked"),
        ),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_payments_booking_id")),
        sa.PrimaryKeyConstraint("id"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_payments_booking_id_created_at_id"), "payments", ["booking_id", "created_at", "id"])
    op.create_index(op.f("ix_payments_status_ask_at_id"), "payments", ["status", "ask_at", "id"])
    op.create_table(
        "remembered_answers",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("key", _EXACT, nullable=False),
        sa.Column("fingerprint", _DIGEST, nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", _LONG_BYTES, nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("etag", sa.String(255), nullable=True),
        sa.Column("subject_id", _ID, nullable=True),
        sa.Column("kept_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_remembered_answers_kept_at"), "remembered_answers", ["kept_at"])
    op.create_table(
        "turns",
        sa.Column("chore", sa.String(40), nullable=False),
        sa.Column("process_id", _ID, nullable=False),
        sa.Column("ends_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("chore"),
        **_OPTIONS,
    )
