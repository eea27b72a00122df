"""Migrations that can be interrupted at any point and repeated.

On MySQL and MariaDB DDL commits implicitly, so an interrupted migration is left half done. There, each step is recorded
before it is made, in a table that is dropped at the end. A repeated migration skips a recorded step whose result
exists; an existing result of a step that was not recorded is not ours, and an error.

Alembic calls this for every operation of a migration (`Operations.implementation_for`). Without `begin` it behaves as
usual.
"""

from collections.abc import Callable
from typing import TypeVar

from alembic.operations import Operations, toimpl
from alembic.operations.ops import AddColumnOp, CreateIndexOp, CreateTableOp
from sqlalchemy import Column, Connection, Inspector, MetaData, String, Table, insert, inspect, select

from ....application.ports.errors import Unavailable

Created = TypeVar("Created")

_recorded = Table(
    "migration_steps",
    MetaData(),
    Column("step", String(200), primary_key=True),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
    mariadb_engine="InnoDB",
    mariadb_charset="utf8mb4",
    mariadb_collate="utf8mb4_bin",
)
_IS_RECORDING = "boxoffice: migration steps are recorded"


def begin(connection: Connection) -> None:
    """Record steps from now on."""
    _recorded.create(connection, checkfirst=True)
    connection.info[_IS_RECORDING] = True


def are_left(connection: Connection) -> bool:
    """Return whether a migration was interrupted."""
    return inspect(connection).has_table(_recorded.name)


def end(connection: Connection) -> None:
    """Delete the recorded steps after the last one."""
    _recorded.drop(connection, checkfirst=True)
    del connection.info[_IS_RECORDING]


@Operations.implementation_for(CreateTableOp, replace=True)
def _create_table(operations: Operations, operation: CreateTableOp) -> Table:
    def exists(inspector: Inspector) -> bool:
        return inspector.has_table(operation.table_name)

    created = _once(
        operations, f"table {operation.table_name}", exists, lambda: toimpl.create_table(operations, operation)
    )
    return created if created is not None else operation.to_table(operations.migration_context)


@Operations.implementation_for(CreateIndexOp, replace=True)
def _create_index(operations: Operations, operation: CreateIndexOp) -> None:
    def exists(inspector: Inspector) -> bool:
        return any(each["name"] == operation.index_name for each in inspector.get_indexes(operation.table_name))

    _once(operations, f"index {operation.index_name}", exists, lambda: toimpl.create_index(operations, operation))


@Operations.implementation_for(AddColumnOp, replace=True)
def _add_column(operations: Operations, operation: AddColumnOp) -> None:
    def exists(inspector: Inspector) -> bool:
        return any(each["name"] == operation.column.name for each in inspector.get_columns(operation.table_name))

    step = f"column {operation.table_name}.{operation.column.name}"
    _once(operations, step, exists, lambda: toimpl.add_column(operations, operation))


def _once(
    operations: Operations, step: str, exists: Callable[[Inspector], bool], create: Callable[[], Created]
) -> Created | None:
    connection = operations.get_bind()
    if not connection.info.get(_IS_RECORDING):
        return create()
    is_recorded = connection.scalar(select(_recorded.c.step).where(_recorded.c.step == step)) is not None
    if exists(inspect(connection)):
        if not is_recorded:
            raise Unavailable(
                f"The database already has a {step}, which this program did not create: use an empty database, or a "
                "backup from before the migration."
            )
        return None
    if not is_recorded:
        # The DDL statement commits this before it begins.
        connection.execute(insert(_recorded).values(step=step))
    return create()
