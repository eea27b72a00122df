"""Whether newcomers may join an event's waiting list."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the column. In earlier events they may."""
    op.add_column("events", sa.Column("waiting_list", sa.String(16), server_default=sa.text("'on'"), nullable=False))
