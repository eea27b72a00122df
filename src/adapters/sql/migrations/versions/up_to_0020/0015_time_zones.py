"""The time zones of events."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the column. Earlier events are in UTC."""
    op.add_column("events", sa.Column("time_zone", sa.String(64), server_default=sa.text("'UTC'"), nullable=False))
