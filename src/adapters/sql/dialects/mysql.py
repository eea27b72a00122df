"""What is special about MySQL 8 and MariaDB from 10.6 on."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import Any, cast

import asyncmy
from asyncmy.errors import MySQLError, OperationalError
from sqlalchemy import event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ....application.ports.errors import Unavailable
from ..engine.pool import driver_of
from ..engine.transaction import Trouble
from ..schema.types import Result, Statement

LOCK_WAIT_SECONDS = 3
"""How long a statement waits for somebody else's lock."""

STATEMENT_LIMIT_SECONDS = 5
"""After how long the server itself ends a statement: its caller gives up sooner, and it should not keep its locks."""

LIST_LIMIT_SECONDS = 2
"""The same for a list or a search."""

LISTS_AT_ONCE = 4
"""Lists and searches that one process has the database work on at the same time."""

LONG_STATEMENT_SECONDS = 600
"""The same for what looks at everything or changes the schema."""

POOL_SECONDS = 1
"""How long is waited for a connection of the pool."""

MIGRATION_WAIT_SECONDS = 300

_driver_log = logging.getLogger("asyncmy")


def session_for(statement_seconds: int) -> str:
    """What is said first on every connection.

    Strict, so that nothing is ever cut to fit, and with backslash escapes, which the driver relies on. Comments are for
    one of the two kinds of server and skipped by the other: the limit of a statement (MySQL has one for SELECT alone),
    and MariaDB's habit of turning a list of 1,000 values into a table to join with, after which it may read every
    booking of the event for each of them: seconds instead of milliseconds for a full batch. For a list of 200 both
    kinds guess from what they know of the whole table, unless told to look, and may read every booking of the event
    once: 12 milliseconds behind 90,000 bookings, and more with each of them.
    """
    return (
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', "
        f"innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}, lock_wait_timeout = {LOCK_WAIT_SECONDS}, "
        "eq_range_index_dive_limit = 0"
        f"/*M!100600 , in_predicate_conversion_threshold = 0, max_statement_time = {statement_seconds} */"
        f"/*!80000 , max_execution_time = {statement_seconds * 1000} */"
    )


_UNDONE = frozenset({1020, 1213})  # record changed, deadlock (on Galera: certification failed)
_BUSY = frozenset({1205, 3572})
_LOST = frozenset({1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2014, 2045, 2055, 4031})
_DENIED = frozenset({1142, 1143, 1227, 1370})  # the user may not do this
_AWAY = frozenset(
    {
        *(1003, 1021, 1026, 1030, 1114),  # disk full, no writing to the disk, table full
        *(1040, 1042, 1043, 1203, 1226),  # too many connections, cannot connect
        *(1044, 1045, 1049, 1130, 1698),  # not let in, no such database
        1047,  # Galera: not in the primary component
        *(1053, 1077, 1079, 1080),  # shutting down
        *_DENIED,
        *(1146, 1932),  # no such table: not migrated
        *(1180, 1181),  # COMMIT or ROLLBACK failed below the server
        *(1290, 1792, 1836),  # read-only
        *(1820, 1862, 3118, 3159, 4151),  # the password has expired, the account is locked, TLS is demanded
        *(1317, 1969, 3024),  # the statement was ended by an operator or by its time limit
        *(2002, 2003, 2005),  # cannot connect
    }
)
_CONFLICT = frozenset({3819, 4025})  # a CHECK, which is an OperationalError to the driver
_MEANINGS: dict[int | None, Trouble] = {
    **dict.fromkeys(_UNDONE, Trouble.UNDONE),
    **dict.fromkeys(_BUSY, Trouble.BUSY),
    **dict.fromkeys(_LOST, Trouble.LOST),
    **dict.fromkeys(_AWAY, Trouble.AWAY),
    **dict.fromkeys(_CONFLICT, Trouble.CONFLICT),
}


class MySQL:
    """MySQL 8 and MariaDB."""

    opening = ()
    # The first applies to the next transaction only.
    snapshot = (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )

    def writing(self, url: URL) -> AsyncEngine:
        """READ COMMITTED: what is read under the event's lock is what was committed before it, never an older state."""
        return _engine(url, pool_size=4, max_overflow=4, isolation_level="READ COMMITTED")

    def reading(self, url: URL) -> AsyncEngine:
        """Each statement is a transaction of its own that reads without locks, and one round trip."""
        return _engine(url, pool_size=8, max_overflow=8, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)

    def listing(self, url: URL) -> AsyncEngine:
        """The server ends a list or a search that takes long, so that a few cannot keep it busy."""
        return _engine(
            url,
            LIST_LIMIT_SECONDS,
            pool_size=LISTS_AT_ONCE,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )

    def unhurried(self, url: URL) -> AsyncEngine:
        """As for writing, for statements that may take minutes."""
        return _engine(url, LONG_STATEMENT_SECONDS, pool_size=1, max_overflow=7, isolation_level="READ COMMITTED")

    def diagnose(self, error: BaseException, *, committing: bool) -> Trouble | None:
        """By the server's error number; anything that is not an answer of the server is a lost connection."""
        if not isinstance(error, DBAPIError):
            return Trouble.LOST if isinstance(error, OSError | EOFError) else None
        trouble = _MEANINGS.get(_code(error))
        if trouble is Trouble.AWAY and committing and _code(error) not in _DENIED:
            # Refusing to answer a COMMIT says nothing about what became of it. It needs no rights, though: what was
            # denied is a statement that was sent before it.
            return Trouble.LOST
        if trouble is None and isinstance(error, IntegrityError):
            return Trouble.CONFLICT
        if trouble is None and (error.connection_invalidated or isinstance(error.orig, OSError | EOFError)):
            return Trouble.LOST
        return trouble

    async def send(self, connection: AsyncConnection, statements: Sequence[Statement]) -> list[Result]:
        """All in one round trip: the protocol takes several statements at once, and the driver says that it may."""
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
            # So the driver stumbles over a connection that is gone.
            lost = OperationalError(2013, f"Lost connection to the server: {error}")
            raise DBAPIError.instance(None, None, lost, MySQLError) from error
        return results

    async def check_writable(self, connection: AsyncConnection) -> None:
        """Whatever this user may do: traffic does not belong on a server that was set read-only."""
        found = (await connection.execute(text("SELECT @@global.read_only, @@global.innodb_read_only"))).one()
        if any(str(value) not in ("0", "OFF") for value in found):
            raise Unavailable("The database is read-only: point the service at its primary, or set read_only = OFF.")

    @asynccontextmanager
    async def migrating(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """A named lock, because DDL commits by itself here."""
        # Such locks are the whole server's, and their names have 64 characters at most.
        name = "boxoffice-" + sha256(str(connection.engine.url.database).encode()).hexdigest()[:32]
        got = await connection.execute(text("SELECT GET_LOCK(:name, :seconds)"), _named(name, MIGRATION_WAIT_SECONDS))
        if got.scalar() != 1:
            raise Unavailable("Somebody else has been migrating this database for minutes; try again later.")
        _driver_log.addFilter(_matters)
        try:
            yield
            await connection.commit()
        finally:
            _driver_log.removeFilter(_matters)
            # Where the connection is gone, the lock is too, and why it went is what matters.
            with suppress(SQLAlchemyError):
                await connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})
                await connection.commit()


def _matters(record: logging.LogRecord) -> bool:
    """The server names no primary keys and warns of Alembic's, which is no matter."""
    return "alembic_version_pkc" not in record.getMessage()


def _named(name: str, seconds: int) -> dict[str, Any]:
    return {"name": name, "seconds": seconds}


def _code(error: DBAPIError) -> int | None:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


async def _connect(*arguments: Any, **options: Any) -> Any:
    """As the driver does, which takes it for a mistake of ours when a server hangs up in the moment that it answers."""
    try:
        return await asyncmy.connect(*arguments, **options)
    except RuntimeError as error:
        raise OperationalError(2013, f"Lost connection to the server while connecting: {error}") from error


def _engine(url: URL, statement_seconds: int = STATEMENT_LIMIT_SECONDS, **options: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={
            "connect_timeout": 2,
            "init_command": session_for(statement_seconds),
            "charset": "utf8mb4",
            "async_creator_fn": _connect,
        },
        hide_parameters=True,
        pool_timeout=POOL_SECONDS,
        # Every transaction is ended where it is begun, or its connection thrown away: no round trip to make sure.
        pool_reset_on_return=None,
        pool_use_lifo=True,
        **options,
    )
    event.listen(engine.sync_engine, "connect", _keep_up)
    return engine


def _keep_up(connection: Any, _: object) -> None:
    """On a Galera cluster, begin no transaction before the node has applied what the others had committed by then.

    What one process has acknowledged is there for whoever asks another one, whichever nodes they are on, and a COMMIT
    whose answer was lost is not looked for too early. Asked for because only such servers know the setting.
    """
    cursor = connection.cursor()
    cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
    if ("wsrep_on", "ON") in map(tuple, cursor.fetchall()):
        cursor.execute("SET SESSION wsrep_sync_wait = @@wsrep_sync_wait | 1")
    cursor.close()
