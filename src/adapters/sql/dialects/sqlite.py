"""SQLite: one writer at a time for the whole file, which several processes may share."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ....application.ports.errors import Unavailable
from ..schema.types import Guard, Result, Statement
from .driver import driver_of
from .error_class import ErrorClass
from .features import Features

BUSY_SECONDS = 3
WRITE_LOCK_SECONDS = 0.01
"""SQLite's own time limit for the write lock, short because `Transaction` repeats BEGIN."""

LIST_LIMIT_SECONDS = 2
"""Time limit for a statement of a list or search, whose thread would continue after its caller has given up."""

STEPS_BETWEEN_CHECKS = 20_000
"""Steps of SQLite's virtual machine between two checks of the time limit, about a millisecond."""

LISTS_AT_ONCE = 4
"""Maximum concurrent lists and searches of one process."""

MIGRATION_WAIT_SECONDS = 300

PURGE_SECONDS = 3
"""Longest wait for readers, before the write-ahead log is emptied. A list may read for two seconds."""

PURGE_PAUSE = 0.02
"""Seconds between two attempts, during which others write."""

MIN_FREE_BYTES = 1 << 20
"""Free bytes on the disk below which a batch may fail, although a small write may still fit into the log."""

_LOCK_TIMEOUT = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
    }
)
_CLASSES: dict[int | None, ErrorClass] = {
    **dict.fromkeys(_LOCK_TIMEOUT, ErrorClass.LOCK_TIMEOUT),
    **dict.fromkeys(_UNAVAILABLE, ErrorClass.UNAVAILABLE),
}


FEATURES: Final = Features(
    hex_text="CAST(x'%s' AS TEXT)",
    insert_or_update="ON CONFLICT ({key}) DO UPDATE SET",
    new_value="excluded.{column}",
    locks_rows=False,
    listed_row="",
    min_joined_values=None,
)


class SQLiteDialect:
    """SQLite in WAL mode, every commit synced to the disk."""

    # Take the write lock at once: a transaction that reads before it writes may fail without waiting for the lock.
    opening: Sequence[str] = ("BEGIN IMMEDIATE",)
    # It is never rolled back by another one.
    guard: Guard | None = None
    commits_schema_changes: bool = False
    # A deferred transaction fixes its snapshot at its first read.
    snapshot: Sequence[str] = ("BEGIN DEFERRED", "SELECT 1 FROM sqlite_schema")

    def writing(self, url: URL) -> AsyncEngine:
        """Few connections, because only one can write."""
        return _engine(url, WRITE_LOCK_SECONDS, pool_size=2, max_overflow=6, cached_statements=0)

    def reading(self, url: URL) -> AsyncEngine:
        """Readers see the last commit and wait for no lock."""
        return _engine(
            url, BUSY_SECONDS, pool_size=4, max_overflow=12, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True
        )

    def listing(self, url: URL) -> AsyncEngine:
        """As `reading`, with few connections and a time limit for statements."""
        engine = _engine(
            url,
            BUSY_SECONDS,
            pool_size=LISTS_AT_ONCE,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )
        event.listen(engine.sync_engine, "connect", _limit_time)
        return engine

    def long_running(self, url: URL) -> AsyncEngine:
        """As `writing`; SQLite has no time limit for statements."""
        return _engine(url, WRITE_LOCK_SECONDS, pool_size=1, max_overflow=7, cached_statements=0)

    def classify(self, error: BaseException, *, committing: bool) -> ErrorClass | None:
        """Classify by SQLite's primary result code."""
        if not isinstance(error, DBAPIError):
            return None
        if isinstance(error, IntegrityError):
            return ErrorClass.CONFLICT
        code = _code(error)
        if committing and code == sqlite3.SQLITE_IOERR:
            # The failed write may have reached the disk.
            return ErrorClass.CONNECTION_LOST
        return _CLASSES.get(code, ErrorClass.CONNECTION_LOST if error.connection_invalidated else None)

    async def send(self, connection: AsyncConnection, statements: Sequence[Statement]) -> list[Result]:
        """Execute all in one call of the driver's thread, which takes longer to reach than most statements take."""
        batch = Batch(statements)
        try:
            await driver_of(connection).execute("", batch)
        except sqlite3.Error as error:
            raise DBAPIError.instance(None, None, error, sqlite3.Error) from error
        return batch.results

    async def check_writable(self, connection: AsyncConnection) -> None:
        """Check the rights on the file and its folder, where the write-ahead log is, and the free space."""
        path = connection.engine.url.database
        if not path or path == ":memory:":
            return
        folder = Path(path).parent
        if not all(os.access(each, os.W_OK) for each in (path, folder)):
            raise Unavailable("The database's file or folder is read-only: give the service's user the right to write.")
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES:
            raise Unavailable("The disk is full: make room where the database's file is.")

    async def purge(self, connection: AsyncConnection) -> None:
        """Empty the write-ahead log, which contains earlier versions of pages. Wait for those who read it now."""
        ends_at = monotonic() + PURGE_SECONDS
        while (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).scalar_one():
            if monotonic() > ends_at:
                break
            await asyncio.sleep(PURGE_PAUSE)

    @asynccontextmanager
    async def migration_lock(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """Migrate in one exclusive transaction."""
        await connection.exec_driver_sql(f"PRAGMA busy_timeout = {MIGRATION_WAIT_SECONDS * 1000}")
        await connection.exec_driver_sql("BEGIN EXCLUSIVE")
        yield
        await connection.commit()


class Batch:
    """Statements to execute in one call, and their results."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self.results: list[Result] = []


class _Connection(sqlite3.Connection):
    """Executes a batch that is passed as the parameters of a statement.

    The driver switches to its thread and back for each call, and passes parameters on unchecked.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute a statement, or a batch."""
        if not isinstance(parameters, Batch):
            return super().execute(sql, parameters)
        for statement in parameters.statements:
            cursor = super().execute(statement.text)
            parameters.results.append(Result(cursor.fetchall(), cursor.rowcount))
            cursor.close()
        return self.cursor()


def _code(error: DBAPIError) -> int | None:
    """Return SQLite's primary result code. A missing table counts as a file that cannot be opened."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_ERROR and "no such table" in str(error.orig):
        return sqlite3.SQLITE_CANTOPEN
    return None if code is None else code & 0xFF


def _engine(url: URL, busy_seconds: float, *, cached_statements: int = 128, **options: Any) -> AsyncEngine:
    """Return an engine. `cached_statements` is the size of a connection's statement cache (the driver's default: 128).

    The text of a batch's statement never occurs again, so caching it only costs time.
    """
    engine = create_async_engine(
        url,
        connect_args={"timeout": busy_seconds, "cached_statements": cached_statements, "factory": _Connection},
        hide_parameters=True,
        pool_timeout=1,
        pool_reset_on_return=None,
        **options,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "close", _roll_back)
    return engine


def _prepare(connection: Any, _: object) -> None:
    # Begin transactions explicitly instead of by the driver's rules.
    connection.isolation_level = None
    cursor = connection.cursor()
    _enable_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What is deleted or replaced, such as an erased name, is overwritten in the file.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


class _TimeLimit:
    """Ends a statement after `LIST_LIMIT_SECONDS`, in the thread that executes it."""

    def __init__(self) -> None:
        self._ends_at = 0.0

    def begin(self, _: str) -> None:
        """Start the time of a statement."""
        self._ends_at = monotonic() + LIST_LIMIT_SECONDS

    def is_over(self) -> bool:
        """Return whether the statement must end."""
        return monotonic() > self._ends_at


def _limit_time(connection: Any, _: object) -> None:
    limit = _TimeLimit()
    connection.run_async(lambda driver: driver.set_trace_callback(limit.begin))
    connection.run_async(lambda driver: driver.set_progress_handler(limit.is_over, STEPS_BETWEEN_CHECKS))


def _roll_back(connection: Any, _: object) -> None:
    """Roll back the transaction of a connection that is closed.

    SQLite keeps a closed connection, with the write lock, until every statement is finalized; a cancelled task's
    statement is finalized only by the garbage collector.
    """
    with suppress(Exception):
        connection.rollback()


def _enable_wal(cursor: Any) -> None:
    """Enable the write-ahead log, so that readers and the writer do not wait for each other. It stays enabled."""
    deadline = monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not wait when another process changes the mode at the same time.
            if error.sqlite_errorcode & 0xFF not in _LOCK_TIMEOUT or monotonic() > deadline:
                raise
            sleep(0.01)
        else:
            return
