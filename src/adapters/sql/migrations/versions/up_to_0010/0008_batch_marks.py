"""No index of batch ids (`mark`), which are looked up by the primary keys of facts."""

from collections.abc import Sequence

from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Drop the index, which slows down each insertion of a fact."""
    op.drop_index(op.f("ix_facts_mark"), table_name="facts")
