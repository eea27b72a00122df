"""Run by Alembic, on the connection and for the tables that `migrate` hands over."""

from alembic import context

_handed_over = context.config.attributes

context.configure(
    connection=_handed_over["connection"],
    target_metadata=_handed_over["metadata"],
    on_version_apply=_handed_over.get("on_version_apply"),
)
with context.begin_transaction():
    context.run_migrations()
