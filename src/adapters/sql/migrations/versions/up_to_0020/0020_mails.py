"""Mails name the fact that is their occasion instead of the customer, and changes of events are announced."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0020"
down_revision: str | None = "0019"
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
    """Change the table of mails, which holds those of the last day. Earlier changes of events are not announced."""
    op.add_column("mails", sa.Column("seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    connection = op.get_bind()
    # So far the kind meant a cancelled event. A repeated migration finds none.
    connection.execute(sa.text("UPDATE mails SET kind = 'event_cancelled' WHERE kind = 'cancelled'"))
    if any(column["name"] == "customer_id" for column in sa.inspect(connection).get_columns("mails")):
        op.drop_column("mails", "customer_id")
    op.create_table(
        "announcements",
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("below", _ID, nullable=True),
        sa.PrimaryKeyConstraint("event_id", "seq"),
        **_OPTIONS,
    )
    op.create_index(
        op.f("ix_announcements_created_at_event_id_seq"), "announcements", ["created_at", "event_id", "seq"]
    )
