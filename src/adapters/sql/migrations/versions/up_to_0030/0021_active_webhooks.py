"""Whether webhooks are active."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the column. Earlier webhooks are active."""
    op.add_column("webhooks", sa.Column("active", sa.Boolean(), server_default=sa.text("1"), nullable=False))
