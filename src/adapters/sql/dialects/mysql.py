"""MySQL 8 and MariaDB 10.6 and newer."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import Any, Final, cast

import asyncmy
from asyncmy.errors import MySQLError, OperationalError
from sqlalchemy import event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ....application.ports.errors import Unavailable
from ..schema.types import Guard, Result, Statement
from .driver import driver_of
from .error_class import ErrorClass
from .features import Features

LOCK_WAIT_SECONDS = 3
"""Time limit for waiting for a lock."""

STATEMENT_LIMIT_SECONDS = 5
"""The server's time limit for a statement. The client gives up earlier; this one releases the statement's locks."""

LIST_LIMIT_SECONDS = 2
"""The server's time limit for a list or search."""

LISTS_AT_ONCE = 4
"""Maximum concurrent lists and searches of one process."""

LONG_STATEMENT_SECONDS = 600
"""The server's time limit for a statement of a snapshot or a migration."""

POOL_SECONDS = 1
"""Time limit for waiting for a connection of the pool."""

MIGRATION_WAIT_SECONDS = 300

_driver_log = logging.getLogger("asyncmy")


def session_for(statement_seconds: int) -> str:
    """Return the statement that configures a new connection.

    - Strict mode, so that no value is truncated, with backslash escapes, which the driver relies on.
    - `eq_range_index_dive_limit = 0`: for long lists of values, estimate from the index instead of from statistics of
      the whole table, which may make the optimizer read every booking of an event.
    - In version comments, which only one of the servers executes: the time limit of a statement (MySQL has one for
      SELECT only), and no conversion of long IN lists to joined tables, after which MariaDB may read every booking of
      the event for each value.
    """
    return (
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', "
        f"innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}, lock_wait_timeout = {LOCK_WAIT_SECONDS}, "
        "eq_range_index_dive_limit = 0"
        f"/*M!100600 , in_predicate_conversion_threshold = 0, max_statement_time = {statement_seconds} */"
        f"/*!80000 , max_execution_time = {statement_seconds * 1000} */"
    )


# Record changed; deadlock (on Galera: certification failed); no such savepoint (the guard); Group Replication:
# certification failed.
_ROLLED_BACK = frozenset({1020, 1213, 1305, 3101})
_LOCK_TIMEOUT = frozenset({1205, 3572})
_CONNECTION_LOST = frozenset({1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2014, 2045, 2055, 4031})
_COMMIT_FAILED = 1180
_DEADLOCK = "error 149"
"""The engine's number of a deadlock. Group Replication ends a statement with it for the sake of another member's."""
_DENIED = frozenset({1142, 1143, 1227, 1370})  # the user lacks a right
_UNAVAILABLE = frozenset(
    {
        *(1003, 1021, 1026, 1030, 1114),  # disk full, disk cannot be written, table full
        *(1040, 1042, 1043, 1203, 1226),  # too many connections, cannot connect
        *(1044, 1045, 1049, 1130, 1698),  # access denied, no such database
        1047,  # Galera: not in the primary component
        *(1053, 1077, 1079, 1080),  # shutting down
        *_DENIED,
        *(1146, 1932),  # no such table: not migrated
        *(_COMMIT_FAILED, 1181),  # COMMIT or ROLLBACK failed below the server
        *(1290, 1792, 1836),  # read-only
        *(1820, 1862, 3118, 3159, 4151),  # password expired, account locked, TLS required
        *(1317, 1969, 3024),  # statement ended by an operator or by its time limit
        *(2002, 2003, 2005),  # cannot connect
        *(3100, 3796, 3797, 3798, 3799),  # Group Replication: the member is leaving, recovering or expelled
    }
)
_CONFLICT = frozenset({3819, 4025})  # CHECK violations, which the driver raises as OperationalError
_CLASSES: dict[int | None, ErrorClass] = {
    **dict.fromkeys(_ROLLED_BACK, ErrorClass.ROLLED_BACK),
    **dict.fromkeys(_LOCK_TIMEOUT, ErrorClass.LOCK_TIMEOUT),
    **dict.fromkeys(_CONNECTION_LOST, ErrorClass.CONNECTION_LOST),
    **dict.fromkeys(_UNAVAILABLE, ErrorClass.UNAVAILABLE),
    **dict.fromkeys(_CONFLICT, ErrorClass.CONFLICT),
}


FEATURES: Final = Features(
    hex_text="_utf8mb4 x'%s'",
    insert_or_update="AS new ON DUPLICATE KEY UPDATE",
    new_value="new.{column}",
    locks_rows=True,
    listed_row="ROW",
    min_joined_values=2,
)


class MySQLDialect:
    """MySQL 8 and MariaDB."""

    opening: Sequence[str] = ()
    # Savepoints end with their transaction.
    guard: Guard | None = Guard(Statement("SAVEPOINT whole"), Statement("RELEASE SAVEPOINT whole"))
    commits_schema_changes: bool = True
    # The first statement affects the next transaction only.
    snapshot: Sequence[str] = (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )

    def writing(self, url: URL) -> AsyncEngine:
        """READ COMMITTED: reads under the event's lock see everything that was committed before the lock."""
        return _engine(url, pool_size=4, max_overflow=4, isolation_level="READ COMMITTED")

    def reading(self, url: URL) -> AsyncEngine:
        """Each statement is a transaction that reads without locks in one round trip."""
        return _engine(url, pool_size=8, max_overflow=8, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)

    def listing(self, url: URL) -> AsyncEngine:
        """The server ends lists and searches that take too long."""
        return _engine(
            url,
            LIST_LIMIT_SECONDS,
            pool_size=LISTS_AT_ONCE,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )

    def long_running(self, url: URL) -> AsyncEngine:
        """As `writing`, for statements that may take minutes."""
        return _engine(url, LONG_STATEMENT_SECONDS, pool_size=1, max_overflow=7, isolation_level="READ COMMITTED")

    def classify(self, error: BaseException, *, committing: bool) -> ErrorClass | None:
        """Classify by the server's error number; network errors are lost connections."""
        if not isinstance(error, DBAPIError):
            return ErrorClass.CONNECTION_LOST if isinstance(error, OSError | EOFError) else None
        error_class = _CLASSES.get(_code(error))
        if _code(error) == _COMMIT_FAILED and _DEADLOCK in str(error.orig) and not committing:
            return ErrorClass.ROLLED_BACK
        if error_class is ErrorClass.UNAVAILABLE and committing and _code(error) not in _DENIED:
            # The COMMIT may have succeeded. It needs no rights, so if a right is missing, a statement before it failed.
            return ErrorClass.CONNECTION_LOST
        if error_class is None and isinstance(error, IntegrityError):
            return ErrorClass.CONFLICT
        if error_class is None and (error.connection_invalidated or isinstance(error.orig, OSError | EOFError)):
            return ErrorClass.CONNECTION_LOST
        return error_class

    async def send(self, connection: AsyncConnection, statements: Sequence[Statement]) -> list[Result]:
        """Send all in one round trip, as a multi-statement query."""
        driver = driver_of(connection)
        try:
            cursor = driver.cursor()
            await cursor.execute(";".join([statement.text for statement in statements]))
            results = [Result(await cursor.fetchall(), cursor.rowcount)]
            while await cursor.nextset():
                results.append(Result(await cursor.fetchall(), cursor.rowcount))
        except MySQLError as error:
            is_lost = connection.dialect.is_disconnect(cast("Any", error), None, None)
            raise DBAPIError.instance(None, None, error, MySQLError, connection_invalidated=is_lost) from error
        except (AttributeError, RuntimeError) as error:
            # The driver raises these on a connection that the server has closed.
            lost = OperationalError(2013, f"Lost connection to the server: {error}")
            raise DBAPIError.instance(None, None, lost, MySQLError) from error
        return results

    async def check_writable(self, connection: AsyncConnection) -> None:
        """Check the server's read-only settings, from which some users are exempt, and the majority of its group."""
        found = (await connection.execute(text("SELECT @@global.read_only, @@global.innodb_read_only"))).one()
        if any(str(value) not in ("0", "OFF") for value in found):
            raise Unavailable("The database is read-only: point the service at its primary, or set read_only = OFF.")
        if not getattr(connection.dialect, "is_mariadb", False):
            await _check_majority(connection)

    async def purge(self, connection: AsyncConnection) -> None:
        """Do nothing: InnoDB purges in the background."""

    @asynccontextmanager
    async def migration_lock(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """Hold a named lock, because DDL commits implicitly."""
        # The lock belongs to the server, so its name includes the database. A name has at most 64 characters.
        name = "boxoffice-" + sha256(str(connection.engine.url.database).encode()).hexdigest()[:32]
        got = await connection.execute(text("SELECT GET_LOCK(:name, :seconds)"), _named(name, MIGRATION_WAIT_SECONDS))
        if got.scalar() != 1:
            raise Unavailable("Another process has been migrating this database for minutes; try again later.")
        _driver_log.addFilter(_is_relevant)
        try:
            yield
            await connection.commit()
        finally:
            _driver_log.removeFilter(_is_relevant)
            # A lost connection has released the lock, and its error must not be replaced by this one's.
            with suppress(SQLAlchemyError):
                await connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})
                await connection.commit()


def _is_relevant(record: logging.LogRecord) -> bool:
    """Return False for the server's warning that it ignores the name of the primary key of Alembic's table."""
    return "alembic_version_pkc" not in record.getMessage()


def _named(name: str, seconds: int) -> dict[str, Any]:
    return {"name": name, "seconds": seconds}


def _code(error: DBAPIError) -> int | None:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


async def _connect(*arguments: Any, **options: Any) -> Any:
    """Connect, and raise OperationalError where the driver raises RuntimeError: the server closed the connection."""
    try:
        return await asyncmy.connect(*arguments, **options)
    except RuntimeError as error:
        raise OperationalError(2013, f"Lost connection to the server while connecting: {error}") from error


def _engine(url: URL, statement_seconds: int = STATEMENT_LIMIT_SECONDS, **options: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={
            "connect_timeout": 2,
            # As bytes, because the driver encodes text as Latin-1; other clients of the server send UTF-8.
            "password": (url.password or "").encode(),
            "init_command": session_for(statement_seconds),
            "charset": "utf8mb4",
            "async_creator_fn": _connect,
        },
        hide_parameters=True,
        pool_timeout=POOL_SECONDS,
        # `Transaction` ends every transaction or discards its connection, so a rollback here would be one more trip.
        pool_reset_on_return=None,
        pool_use_lifo=True,
        **options,
    )
    event.listen(engine.sync_engine, "connect", _wait_for_cluster)
    return engine


def _wait_for_cluster(connection: Any, _: object) -> None:
    """In a cluster, make each transaction wait until the server has applied what other servers have committed.

    So a committed booking is visible to every process on any server, and `was_committed` finds a COMMIT whose response
    was lost. Stricter values are kept. MariaDB without Galera lacks the first variable; MySQL outside a group ignores
    the second one.
    """
    cursor = connection.cursor()
    cursor.execute("SHOW VARIABLES WHERE variable_name IN ('wsrep_on', 'group_replication_consistency')")
    found = dict(cursor.fetchall())
    if found.get("wsrep_on") == "ON":
        cursor.execute("SET SESSION wsrep_sync_wait = @@wsrep_sync_wait | 1")
    if consistency := found.get("group_replication_consistency"):
        stricter = "BEFORE_AND_AFTER" if "AFTER" in consistency else "BEFORE"
        cursor.execute(f"SET SESSION group_replication_consistency = '{stricter}'")
    cursor.close()


async def _check_majority(connection: AsyncConnection) -> None:
    """Check that the server's group has a majority, without which statements wait and no time limit ends them.

    Raises: Unavailable. A user who may not read the table gets no answer to the next statement instead.
    """
    members = text("SELECT member_state FROM performance_schema.replication_group_members")
    try:
        states = (await connection.execute(members)).scalars().all()
    except DBAPIError as error:
        if _code(error) not in _DENIED:
            raise
        return
    if states and 2 * states.count("UNREACHABLE") >= len(states):
        raise Unavailable(
            "The database's group has lost its majority: bring members back, or force a new membership "
            "(group_replication_force_members)."
        )
