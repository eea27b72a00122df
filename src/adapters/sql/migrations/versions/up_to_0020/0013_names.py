"""Stored responses with an opaque payload, and the current names of leases and batch ids."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0013"
down_revision: str | None = "0012"
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

_COPY = (
    "INSERT INTO stored_responses (user_id, `key`, fingerprint, payload, subject_id, kept_at) "
    "SELECT user_id, `key`, fingerprint, "
    "CONCAT(JSON_OBJECT('status', status, 'location', location, 'etag', etag), CHAR(10), body), subject_id, kept_at "
    "FROM remembered_answers"
)
_COPY_TO_SQLITE = (
    "INSERT INTO stored_responses (user_id, `key`, fingerprint, payload, subject_id, kept_at) "
    "SELECT user_id, `key`, fingerprint, "
    "CAST(json_object('status', status, 'location', location, 'etag', etag) "
    "|| char(10) || CAST(body AS TEXT) AS BLOB), subject_id, kept_at FROM remembered_answers"
)


def upgrade() -> None:
    """Copy stored responses: a payload is a line of JSON followed by the body. Drop leases, which last seconds."""
    op.create_table(
        "stored_responses",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("key", _EXACT, nullable=False),
        sa.Column("fingerprint", _DIGEST, nullable=False),
        sa.Column("payload", _LONG_BYTES, nullable=False),
        sa.Column("subject_id", _ID, nullable=True),
        sa.Column("kept_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key"),
        **_OPTIONS,
    )
    op.create_index(op.f("ix_stored_responses_kept_at"), "stored_responses", ["kept_at"])
    connection = op.get_bind()
    # A repeated migration starts from the beginning, so each step checks which of the old tables are left.
    if sa.inspect(connection).has_table("remembered_answers"):
        connection.execute(sa.text("DELETE FROM stored_responses"))
        connection.execute(sa.text(_COPY_TO_SQLITE if connection.dialect.name == "sqlite" else _COPY))
        op.drop_table("remembered_answers")
    op.create_table(
        "leases",
        sa.Column("task", sa.String(40), nullable=False),
        sa.Column("process_id", _ID, nullable=False),
        sa.Column("ends_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("task"),
        **_OPTIONS,
    )
    if sa.inspect(connection).has_table("turns"):
        op.drop_table("turns")
    if any(column["name"] == "mark" for column in sa.inspect(connection).get_columns("facts")):
        connection.execute(sa.text("ALTER TABLE facts RENAME COLUMN mark TO batch_id"))
