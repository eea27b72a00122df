"""What is stored of the refresh token that was exchanged for a session's newest one."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The schema's types when this was written: a past migration does not change with the program.
_DIGEST = sa.LargeBinary(64).with_variant(mysql.VARBINARY(64), "mysql", "mariadb")
_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """Add the columns. A token that was exchanged before gives no next one again."""
    op.add_column("sessions", sa.Column("replaced_digest", _DIGEST))
    op.add_column("sessions", sa.Column("replaced_salt", _DIGEST))
    op.add_column("sessions", sa.Column("replaced_at", _MOMENT))
