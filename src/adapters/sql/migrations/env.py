"""The environment in which Alembic runs migrations, on the connection that `migrate` passes."""

from alembic import context

_attributes = context.config.attributes

context.configure(
    connection=_attributes["connection"],
    target_metadata=_attributes["metadata"],
    on_version_apply=_attributes.get("on_version_apply"),
)
with context.begin_transaction():
    context.run_migrations()
