"""The fact that made room on a waiting list, while an event is unsettled."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0034"
down_revision: str | None = "0033"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the column. Of what is unsettled now it is not known."""
    op.add_column("ticket_types", sa.Column("room_made_by", sa.BigInteger()))
