"""An index that contains all that rules for one customer read of live bookings."""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Create the index, which each batch reads for each customer who books."""
    op.create_index(
        "ix_bookings_live_of_customer",
        "bookings",
        ["event_id", "live_customer_id", "ticket_type_id", "quantity", "id"],
    )
