"""How often a waiting booking may be overtaken, and how often it was."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0032"
down_revision: str | None = "0031"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the columns. Earlier events have no bound."""
    op.add_column("events", sa.Column("max_overtakes", sa.Integer()))
    op.add_column("ticket_types", sa.Column("overtakes", sa.Text()))
