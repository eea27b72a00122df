"""Who may read an event's log."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0033"
down_revision: str | None = "0032"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the column. In earlier events customers get receipts."""
    op.add_column("events", sa.Column("log", sa.String(16), server_default=sa.text("'receipts'"), nullable=False))
