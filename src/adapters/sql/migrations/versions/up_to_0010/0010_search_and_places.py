"""A search index of events, and counts of waiting bookings by blocks of queue numbers."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_GRAM = sa.LargeBinary(12).with_variant(mysql.VARBINARY(12), "mysql", "mariadb")
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
    "sqlite_with_rowid": False,
}
_SIZES = (100, 10_000)

_EVENTS_AT_ONCE = 100
"""Events whose rows are inserted and committed together: about ten thousand rows."""

_events = sa.table(
    "events",
    sa.column("id", _ID),
    sa.column("status", sa.String(16)),
    sa.column("start_order", sa.BigInteger()),
    sa.column("name", sa.Text()),
    sa.column("venue", sa.Text()),
    sa.column("searchable", sa.Text()),
)
_grams = sa.table(
    "event_grams",
    sa.column("status", sa.String(16)),
    sa.column("gram", _GRAM),
    sa.column("start_order", sa.BigInteger()),
    sa.column("event_id", _ID),
)
_waiting_list = sa.table(
    "waiting_list",
    sa.column("ticket_type_id", _ID),
    sa.column("queue_number", sa.BigInteger()),
    sa.column("quantity", sa.Integer()),
)
_blocks = sa.table(
    "waiting_blocks",
    sa.column("ticket_type_id", _ID),
    sa.column("size", sa.Integer()),
    sa.column("block", sa.BigInteger()),
    sa.column("bookings", sa.BigInteger()),
    sa.column("tickets", sa.BigInteger()),
)


def upgrade() -> None:
    """Create both tables from the existing events and waiting lists."""
    op.create_table(
        "event_grams",
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("gram", _GRAM, nullable=False),
        sa.Column("start_order", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("status", "gram", "start_order", "event_id"),
        **_OPTIONS,
    )
    op.create_table(
        "waiting_blocks",
        sa.Column("ticket_type_id", _ID, nullable=False),
        sa.Column("size", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bookings", sa.BigInteger(), nullable=False),
        sa.Column("tickets", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("bookings >= 0 AND tickets >= bookings", name=op.f("ck_waiting_blocks_counted")),
        sa.PrimaryKeyConstraint("ticket_type_id", "size", "block"),
        **_OPTIONS,
    )
    connection = op.get_bind()
    if _commits_each_step(connection):
        # An interrupted attempt may have left outdated rows.
        op.execute("TRUNCATE TABLE event_grams")
        op.execute("TRUNCATE TABLE waiting_blocks")
    _fill_grams(connection)
    _fill_blocks(connection)


def _commits_each_step(connection: sa.Connection) -> bool:
    """Return whether a migration on this database is not one transaction, so it may commit in between."""
    return connection.dialect.name != "sqlite"


def _fill_grams(connection: sa.Connection) -> None:
    page = sa.select(_events).order_by(_events.c.id).limit(_EVENTS_AT_ONCE)
    last: bytes | None = None
    while found := connection.execute(page if last is None else page.where(_events.c.id > last)).all():
        # Rows are inserted fastest in the order of their keys.
        rows = sorted(
            (each.status, gram, each.start_order, each.id) for each in found for gram in _grams_of(_text_of(each))
        )
        for each in found:
            if each.searchable != _text_of(each):
                # Earlier versions folded it without Unicode normalization.
                refolded = sa.update(_events).where(_events.c.id == each.id).values(searchable=_text_of(each))
                connection.execute(refolded)
        connection.execute(sa.insert(_grams), [dict(zip(_grams.c.keys(), row, strict=True)) for row in rows])
        if _commits_each_step(connection):
            connection.commit()
        last = found[-1].id


def _text_of(event: Any) -> str:
    return unicodedata.normalize("NFC", f"{event.name}\n{event.venue}".casefold())


def _grams_of(text: str) -> set[bytes]:
    return {
        line[start : start + length].encode()
        for line in text.split("\n")
        for length in (1, 2, 3)
        for start in range(len(line) - length + 1)
    }


def _fill_blocks(connection: sa.Connection) -> None:
    """Fill the blocks of one ticket type after another."""
    next_type = sa.select(sa.func.min(_waiting_list.c.ticket_type_id))
    type_id = connection.scalar(next_type)
    while type_id is not None:
        for size in _SIZES:
            block = _waiting_list.c.queue_number // size
            counted = (
                sa.select(
                    _waiting_list.c.ticket_type_id,
                    sa.literal(size),
                    block,
                    sa.func.count(),
                    sa.func.sum(_waiting_list.c.quantity),
                )
                .where(_waiting_list.c.ticket_type_id == type_id)
                .group_by(_waiting_list.c.ticket_type_id, block)
            )
            connection.execute(sa.insert(_blocks).from_select(_blocks.c.keys(), counted))
        if _commits_each_step(connection):
            connection.commit()
        type_id = connection.scalar(next_type.where(_waiting_list.c.ticket_type_id > type_id))
