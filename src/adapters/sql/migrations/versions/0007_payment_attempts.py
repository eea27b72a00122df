"""Who tried a charge last."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# What the schema's types were when this was written: a step of the past does not change with the program.
_ID = sa.LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")


def upgrade() -> None:
    """Of charges from before nobody knows it, and nobody needs it: it counts for seconds after a try."""
    op.add_column("payments", sa.Column("tried_by", _ID, nullable=True))
