"""Webhooks, and mails to send."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0006"
down_revision: str | None = "0005"
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
    """Create the tables. Earlier facts are not delivered."""
    op.create_table(
        "webhooks",
        sa.Column("id", _ID, nullable=False),
        sa.Column("organizer_id", _ID, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.String(100), nullable=False),
        sa.Column("event_id", _ID, nullable=True),
        sa.Column("kinds", sa.String(500), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_webhooks_organizer_id_id"), "webhooks", ["organizer_id", "id"])
    op.create_table(
        "webhook_cursors",
        sa.Column("webhook_id", _ID, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("due_at", _MOMENT, nullable=True),
        sa.Column("tried_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_cursors_webhook_id")),
        sa.PrimaryKeyConstraint("webhook_id", "event_id"),
        **_OPTIONS,
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", _ID, nullable=False),
        sa.Column("webhook_id", _ID, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("tried_at", _MOMENT, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=True),
        sa.Column("error", sa.String(200), nullable=False),
        sa.CheckConstraint("(status = 'dead') = (due_at IS NULL)", name=op.f("ck_webhook_deliveries_dead_or_due")),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_deliveries_webhook_id")),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "webhook_id", "event_id", "seq", name=op.f("uq_webhook_deliveries_webhook_id_event_id_seq")
        ),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_webhook_deliveries_webhook_id_status_id"), "webhook_deliveries", ["webhook_id", "status", "id"]
    )
    op.create_index(op.f("ix_webhook_deliveries_status_due_at"), "webhook_deliveries", ["status", "due_at"])
    op.create_table(
        "mails",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("booking_id", _ID, nullable=False),
        sa.Column("customer_id", _ID, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_mails_due_at_id"), "mails", ["due_at", "id"])
    op.create_table(
        "mail_cursors",
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        **_OPTIONS,
    )
