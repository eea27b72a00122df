"""A transaction's mark is looked for at the facts that it wrote, which have their numbers."""

from collections.abc import Sequence

from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """An index that nobody asks any more costs each fact as much as before."""
    op.drop_index(op.f("ix_facts_mark"), table_name="facts")
