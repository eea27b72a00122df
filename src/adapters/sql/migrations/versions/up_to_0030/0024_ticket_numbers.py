"""Ticket numbers."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the columns. Tickets of earlier bookings get their numbers while the service runs: see `numbered_to`."""
    op.add_column(
        "events", sa.Column("last_ticket_number", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("events", sa.Column("numbered_to", sa.BigInteger(), nullable=True))
    op.add_column("bookings", sa.Column("first_ticket_number", sa.BigInteger(), nullable=True))
    # Other bookings were never confirmed, so they have no tickets.
    op.execute(
        sa.text(
            "UPDATE events SET numbered_to = 0 "
            "WHERE id IN (SELECT event_id FROM bookings WHERE status IN ('confirmed', 'cancelled'))"
        )
    )
    op.create_index(op.f("ix_events_numbered_to_id"), "events", ["numbered_to", "id"])
    op.create_index("uq_bookings_first_ticket_number", "bookings", ["event_id", "first_ticket_number"], unique=True)
