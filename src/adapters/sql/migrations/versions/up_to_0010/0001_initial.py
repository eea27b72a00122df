"""Events, ticket types, bookings, waiting list, facts, users, sessions."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    """Create the schema in an empty database."""
    op.create_table(
        "events",
        sa.Column("id", _ID, nullable=False),
        sa.Column("organizer_id", _ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("venue", sa.String(200), nullable=False),
        sa.Column("starts_at", _MOMENT, nullable=True),
        sa.Column("ends_at", _MOMENT, nullable=True),
        sa.Column("sales_open_at", _MOMENT, nullable=True),
        sa.Column("sales_close_at", _MOMENT, nullable=True),
        sa.Column("max_tickets_per_customer", sa.Integer(), nullable=False),
        sa.Column("payment_window_minutes", sa.Integer(), nullable=True),
        sa.Column("cancellation_deadline_hours", sa.Integer(), nullable=False),
        sa.Column("waiting_list_policy", sa.String(16), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_queue_number", sa.BigInteger(), nullable=False),
        sa.Column("is_unsettled", sa.Boolean(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("start_order", sa.BigInteger(), nullable=False),
        sa.Column("searchable", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_events_is_unsettled_id"), "events", ["is_unsettled", "id"])
    op.create_index(
        op.f("ix_events_organizer_id_status_start_order_id"), "events", ["organizer_id", "status", "start_order", "id"]
    )
    op.create_index(op.f("ix_events_status_start_order_id"), "events", ["status", "start_order", "id"])
    op.create_table(
        "users",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        **_OPTIONS,
    )
    op.create_table(
        "facts",
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("booking_id", _ID, nullable=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("occurred_at", _MOMENT, nullable=False),
        sa.Column("data", _LONG_TEXT, nullable=False),
        sa.Column("mark", _ID, nullable=False),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_facts_seq")),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_facts_event_id")),
        sa.PrimaryKeyConstraint("event_id", "seq"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_facts_booking_id_seq"), "facts", ["booking_id", "seq"])
    op.create_index(op.f("ix_facts_mark"), "facts", ["mark"])
    op.create_table(
        "sessions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id")),
        sa.PrimaryKeyConstraint("id"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_sessions_user_id_expires_at"), "sessions", ["user_id", "expires_at"])
    op.create_table(
        "ticket_types",
        sa.Column("id", _ID, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("name_key", sa.String(600), nullable=False),
        sa.Column("price_amount", sa.BigInteger(), nullable=True),
        sa.Column("price_currency", sa.String(3), nullable=True),
        sa.Column("total_tickets", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("waiting_tickets", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("taken >= 0 AND taken <= total_tickets", name=op.f("ck_ticket_types_never_oversold")),
        sa.CheckConstraint("waiting >= 0 AND waiting_tickets >= waiting", name=op.f("ck_ticket_types_waiting")),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_ticket_types_event_id")),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event_id", "id", name=op.f("uq_ticket_types_event_id_id")),
        sa.UniqueConstraint("event_id", "name_key", name=op.f("uq_ticket_types_event_id_name_key")),
        sa.UniqueConstraint("event_id", "ordinal", name=op.f("uq_ticket_types_event_id_ordinal")),
        **_OPTIONS,
    )
    op.create_table(
        "bookings",
        sa.Column("id", _ID, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("ticket_type_id", _ID, nullable=False),
        sa.Column("customer_id", _ID, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("payment_status", sa.String(16), nullable=False),
        sa.Column("queue_number", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", _MOMENT, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column(
            "live_customer_id",
            _ID,
            sa.Computed("CASE WHEN status IN ('waitlisted', 'held', 'confirmed') THEN customer_id END", persisted=True),
            nullable=True,
        ),
        sa.CheckConstraint(
            "status <> 'waitlisted' OR queue_number IS NOT NULL", name=op.f("ck_bookings_place_in_line")
        ),
        sa.CheckConstraint("quantity >= 1 AND quantity <= 1000", name=op.f("ck_bookings_quantity")),
        sa.ForeignKeyConstraint(
            ["event_id", "ticket_type_id"],
            ["ticket_types.event_id", "ticket_types.id"],
            name=op.f("fk_bookings_event_id_ticket_type_id"),
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event_id", "live_customer_id", "ticket_type_id", name="uq_bookings_one_live"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_bookings_customer_id_status_id"), "bookings", ["customer_id", "status", "id"])
    op.create_index(op.f("ix_bookings_event_id_status_id"), "bookings", ["event_id", "status", "id"])
    op.create_index(op.f("ix_bookings_event_id_ticket_type_id"), "bookings", ["event_id", "ticket_type_id"])
    op.create_table(
        "waiting_list",
        sa.Column("ticket_type_id", _ID, nullable=False),
        sa.Column("queue_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("booking_id", _ID, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.CheckConstraint("quantity >= 1 AND queue_number >= 1", name=op.f("ck_waiting_list_place")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_waiting_list_booking_id")),
        sa.PrimaryKeyConstraint("ticket_type_id", "queue_number"),
        sa.UniqueConstraint("booking_id", name=op.f("uq_waiting_list_booking_id")),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_waiting_list_ticket_type_id_quantity"), "waiting_list", ["ticket_type_id", "quantity"])
