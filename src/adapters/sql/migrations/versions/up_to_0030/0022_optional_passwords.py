"""Accounts without a password, pending changes of address, and erased accounts."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

_COLUMNS = "id, name, email, password_hash, role, created_at, disabled_at, standing_changed_at, verified_at"


def upgrade() -> None:
    """Make the password optional and add the columns."""
    if op.get_bind().dialect.name == "sqlite":
        _create_users_again()
        return
    op.alter_column("users", "password_hash", existing_type=sa.String(255), nullable=True)
    op.add_column("users", sa.Column("pending_email", sa.String(254)))
    op.add_column("users", sa.Column("erased_at", _MOMENT))


def _create_users_again() -> None:
    # SQLite cannot change a column. Sessions refer to users, so their rows are checked at the end.
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TABLE users_before AS SELECT * FROM users")
    op.drop_table("users")
    op.create_table(
        "users",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254)),
        sa.Column("password_hash", sa.String(255)),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("disabled_at", _MOMENT),
        sa.Column("standing_changed_at", _MOMENT),
        sa.Column("verified_at", _MOMENT),
        sa.Column("pending_email", sa.String(254)),
        sa.Column("erased_at", _MOMENT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_index(op.f("ix_users_standing_changed_at"), "users", ["standing_changed_at"])
    op.execute(f"INSERT INTO users ({_COLUMNS}) SELECT {_COLUMNS} FROM users_before")  # noqa: S608 - constants
    op.drop_table("users_before")
