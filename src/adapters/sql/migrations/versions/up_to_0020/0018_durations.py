"""The duration class of events, for lists of those that are over and of those that are not."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types and values when this was written: a past migration does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_DURATIONS = tuple(timedelta(hours=3 * 8**power) for power in range(6))

_events = sa.table(
    "events",
    sa.column("id", _ID),
    sa.column("starts_at", _MOMENT),
    sa.column("ends_at", _MOMENT),
    sa.column("duration_class", sa.Integer()),
)
_AT_ONCE = 500


def upgrade() -> None:
    """Add the column and its indexes."""
    op.add_column("events", sa.Column("duration_class", sa.Integer(), server_default=sa.text("0"), nullable=False))
    connection = op.get_bind()
    page = sa.select(_events).where(_events.c.ends_at.is_not(None)).order_by(_events.c.id).limit(_AT_ONCE)
    last: bytes | None = None
    while found := connection.execute(page if last is None else page.where(_events.c.id > last)).all():
        by_class: dict[int, list[bytes]] = {}
        for each in found:
            by_class.setdefault(1 + bisect_left(_DURATIONS, each.ends_at - each.starts_at), []).append(each.id)
        for duration_class, ids in by_class.items():
            connection.execute(sa.update(_events).where(_events.c.id.in_(ids)).values(duration_class=duration_class))
        last = found[-1].id
    op.create_index("ix_events_status_by_duration", "events", ["status", "duration_class", "start_order", "id"])
    op.create_index(
        "ix_events_published_by_duration",
        "events",
        ["status", "was_published", "duration_class", "start_order", "id"],
    )
