"""Changes of the schema that may be broken off anywhere and asked for again.

On MySQL and MariaDB each statement that changes the schema commits by itself, so a migration that dies in the middle
leaves a half. There, whatever is about to be made is written down first, in a table that goes when all is done: what
stands in it may be there already, and is ours then. Anything else that is there already is somebody else's.

Alembic calls this for every operation of a migration (`Operations.implementation_for`); on connections that have not
begun here, it does what it always does.
"""

from collections.abc import Callable
from typing import TypeVar

from alembic.operations import Operations, toimpl
from alembic.operations.ops import AddColumnOp, CreateIndexOp, CreateTableOp
from sqlalchemy import Column, Connection, Inspector, MetaData, String, Table, insert, inspect, select

from ....application.ports.errors import Unavailable

Made = TypeVar("Made")

_begun = Table(
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
_NOTED = "boxoffice: steps are written down"


def begin(connection: Connection) -> None:
    """Before a migration: from now on write down what is begun."""
    _begun.create(connection, checkfirst=True)
    connection.info[_NOTED] = True


def are_left(connection: Connection) -> bool:
    """Whether a migration was broken off."""
    return inspect(connection).has_table(_begun.name)


def end(connection: Connection) -> None:
    """After the last step: forget what was begun."""
    _begun.drop(connection, checkfirst=True)
    del connection.info[_NOTED]


@Operations.implementation_for(CreateTableOp, replace=True)
def _create_table(operations: Operations, operation: CreateTableOp) -> Table:
    def is_there(found: Inspector) -> bool:
        return found.has_table(operation.table_name)

    made = _once(
        operations, f"table {operation.table_name}", is_there, lambda: toimpl.create_table(operations, operation)
    )
    return made if made is not None else operation.to_table(operations.migration_context)


@Operations.implementation_for(CreateIndexOp, replace=True)
def _create_index(operations: Operations, operation: CreateIndexOp) -> None:
    def is_there(found: Inspector) -> bool:
        return any(each["name"] == operation.index_name for each in found.get_indexes(operation.table_name))

    _once(operations, f"index {operation.index_name}", is_there, lambda: toimpl.create_index(operations, operation))


@Operations.implementation_for(AddColumnOp, replace=True)
def _add_column(operations: Operations, operation: AddColumnOp) -> None:
    def is_there(found: Inspector) -> bool:
        return any(each["name"] == operation.column.name for each in found.get_columns(operation.table_name))

    step = f"column {operation.table_name}.{operation.column.name}"
    _once(operations, step, is_there, lambda: toimpl.add_column(operations, operation))


def _once(
    operations: Operations, step: str, is_there: Callable[[Inspector], bool], make: Callable[[], Made]
) -> Made | None:
    connection = operations.get_bind()
    if not connection.info.get(_NOTED):
        return make()
    is_begun = connection.scalar(select(_begun.c.step).where(_begun.c.step == step)) is not None
    if is_there(inspect(connection)):
        if not is_begun:
            raise Unavailable(
                f"The database has a {step} already, which this program did not make: use an empty database, or the "
                "backup from before."
            )
        return None
    if not is_begun:
        # The statement that follows commits this before it begins.
        connection.execute(insert(_begun).values(step=step))
    return make()
