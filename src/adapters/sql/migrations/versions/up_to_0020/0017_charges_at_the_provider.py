"""Charges that wait for their customer, and the provider's own ids of charges."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_EXACT = sa.LargeBinary(1_020).with_variant(mysql.VARBINARY(1_020), "mysql", "mariadb")


def upgrade() -> None:
    """Add the columns. No existing charge waits, and the provider is asked for the ids of those that it names."""
    op.add_column("payments", sa.Column("awaits_customer", sa.Boolean(), server_default=sa.text("0"), nullable=False))
    op.add_column("payments", sa.Column("provider_id", _EXACT))
    op.create_index("ix_payments_provider_id", "payments", ["provider_id"])
