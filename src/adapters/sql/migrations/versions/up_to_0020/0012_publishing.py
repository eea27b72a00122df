"""Whether an event was ever on sale, its number of reschedules, and bookings' exemptions from the deadline."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

_events = sa.table(
    "events", sa.column("id", _ID), sa.column("status", sa.String()), sa.column("was_published", sa.Boolean())
)
_facts = sa.table("facts", sa.column("event_id", _ID), sa.column("kind", sa.String()), sa.column("data", sa.Text()))
_AT_ONCE = 500


def upgrade() -> None:
    """Add the columns. Facts show whether a cancelled event was on sale; earlier reschedules exempt no booking."""
    op.add_column("events", sa.Column("was_published", sa.Boolean(), server_default=sa.text("0"), nullable=False))
    op.add_column("events", sa.Column("reschedules", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("bookings", sa.Column("reschedules", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("bookings", sa.Column("grace_until", _MOMENT, nullable=True))
    connection = op.get_bind()
    connection.execute(
        sa.update(_events).where(_events.c.status.in_(["on_sale", "paused", "completed"])).values(was_published=True)
    )
    published = _published(
        connection.execute(
            sa.select(_facts.c.event_id, _facts.c.data)
            .join(_events, _events.c.id == _facts.c.event_id)
            .where(_events.c.status == "cancelled", _facts.c.kind.in_(["EventInitialized", "EventChanged"]))
        )
    )
    for start in range(0, len(published), _AT_ONCE):
        some = published[start : start + _AT_ONCE]
        connection.execute(sa.update(_events).where(_events.c.id.in_(some)).values(was_published=True))
    op.create_index(
        op.f("ix_events_status_was_published_start_order_id"),
        "events",
        ["status", "was_published", "start_order", "id"],
    )


def _published(facts: Iterable[Any]) -> list[bytes]:
    """Return the events that were on sale according to these facts."""
    found: dict[bytes, None] = {}
    for event_id, data in facts:
        payload = json.loads(data)
        if {**payload.get("values", {}), **payload.get("changes", {})}.get("status") == "on_sale":
            found[event_id] = None
    return list(found)
