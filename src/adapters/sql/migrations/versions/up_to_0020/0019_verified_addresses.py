"""Verified addresses, links in mails, and one spelling for each stored address."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import mysql

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_EXACT = sa.LargeBinary(1_020).with_variant(mysql.VARBINARY(1_020), "mysql", "mariadb")
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

_users = sa.table("users", sa.column("id", _ID), sa.column("email", sa.String(254)))


def upgrade() -> None:
    """Normalize the addresses unless two accounts would get the same one; add the tables and columns."""
    connection = op.get_bind()
    # First of all, so that nothing is changed if addresses collide.
    changes = context.config.attributes["address_changes"](connection.execute(sa.select(_users.c.id, _users.c.email)))
    _create_tables()
    _make_address_optional(connection)
    op.add_column("users", sa.Column("verified_at", _MOMENT))
    change = sa.update(_users).where(_users.c.id == sa.bindparam("of")).values(email=sa.bindparam("new"))
    for user_id, address in changes:
        connection.execute(change, {"of": user_id.bytes, "new": address})


def _create_tables() -> None:
    op.create_table(
        "account_links",
        sa.Column("id", _ID, nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("due_at", _MOMENT),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_account_links_user_id"), "account_links", ["user_id"])
    op.create_index(op.f("ix_account_links_created_at"), "account_links", ["created_at"])
    op.create_index(op.f("ix_account_links_due_at_id"), "account_links", ["due_at", "id"])
    op.create_table(
        "account_claims",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_account_claims_created_at"), "account_claims", ["created_at"])
    op.create_table(
        "mail_times",
        sa.Column("subject", _ID, nullable=False),
        sa.Column("times", _EXACT, nullable=False),
        sa.Column("last_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("subject"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_mail_times_last_at"), "mail_times", ["last_at"])


def _make_address_optional(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite":
        op.alter_column("users", "email", existing_type=sa.String(254), nullable=True)
        return
    # SQLite cannot change a column. Sessions refer to users, so their rows are checked at the end.
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TABLE users_before AS SELECT * FROM users")
    op.drop_table("users")
    op.create_table(
        "users",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254)),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("disabled_at", _MOMENT),
        sa.Column("standing_changed_at", _MOMENT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_index(op.f("ix_users_standing_changed_at"), "users", ["standing_changed_at"])
    op.execute(
        "INSERT INTO users (id, name, email, password_hash, role, created_at, disabled_at, standing_changed_at) "
        "SELECT id, name, email, password_hash, role, created_at, disabled_at, standing_changed_at FROM users_before"
    )
    op.drop_table("users_before")
