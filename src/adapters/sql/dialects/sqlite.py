"""What is special about SQLite: one writer at a time for the whole file, several processes on it."""

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ....application.ports.errors import Unavailable
from ..engine.pool import driver_of
from ..engine.transaction import Trouble
from ..schema.types import Result, Statement

BUSY_SECONDS = 3
ASKING_SECONDS = 0.01
"""What SQLite itself waits for the writers' lock: short, because whoever begins asks again (`Transaction`)."""

LIST_LIMIT_SECONDS = 2
"""After how long a statement of a list or a search is ended: its thread would go on for a caller that has given up."""

STEPS_BETWEEN_LOOKS = 20_000
"""Steps of SQLite's virtual machine between two looks at the clock, a millisecond or so."""

LISTS_AT_ONCE = 4
"""Lists and searches that one process works on at the same time."""

MIGRATION_WAIT_SECONDS = 300

LEAST_ROOM = 1 << 20
"""Bytes free on the disk, below which a batch may not fit. A small write may still fit into the log as it is."""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_AWAY = frozenset(
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
_MEANINGS: dict[int | None, Trouble] = {
    **dict.fromkeys(_BUSY, Trouble.BUSY),
    **dict.fromkeys(_AWAY, Trouble.AWAY),
}


class SQLite:
    """SQLite in WAL mode, every commit synced to the disk."""

    # At once: a transaction that reads first and then wants to write could be refused without waiting.
    opening = ("BEGIN IMMEDIATE",)
    # The second pins the snapshot; a deferred transaction has none before its first read.
    snapshot = ("BEGIN DEFERRED", "SELECT 1 FROM sqlite_schema")

    def writing(self, url: URL) -> AsyncEngine:
        """Few: only one of them writes, the others wait for it."""
        return _engine(url, ASKING_SECONDS, pool_size=2, max_overflow=6, remembered=0)

    def reading(self, url: URL) -> AsyncEngine:
        """Readers see the last commit and wait for nobody."""
        return _engine(
            url, BUSY_SECONDS, pool_size=4, max_overflow=12, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True
        )

    def listing(self, url: URL) -> AsyncEngine:
        """As for reading, a few."""
        engine = _engine(
            url,
            BUSY_SECONDS,
            pool_size=LISTS_AT_ONCE,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )
        event.listen(engine.sync_engine, "connect", _limit)
        return engine

    def unhurried(self, url: URL) -> AsyncEngine:
        """As for writing: the file ends no statement by itself."""
        return _engine(url, ASKING_SECONDS, pool_size=1, max_overflow=7, remembered=0)

    def diagnose(self, error: BaseException, *, committing: bool) -> Trouble | None:
        """By SQLite's primary result code."""
        if not isinstance(error, DBAPIError):
            return None
        if isinstance(error, IntegrityError):
            return Trouble.CONFLICT
        code = _code(error)
        if committing and code == sqlite3.SQLITE_IOERR:
            # After a failed write to the disk nobody knows what is on it.
            return Trouble.LOST
        return _MEANINGS.get(code, Trouble.LOST if error.connection_invalidated else None)

    async def send(self, connection: AsyncConnection, statements: Sequence[Statement]) -> list[Result]:
        """All in one go in the driver's thread: the way to it and back takes longer than most statements."""
        batch = Batch(statements)
        try:
            await driver_of(connection).execute("", batch)
        except sqlite3.Error as error:
            raise DBAPIError.instance(None, None, error, sqlite3.Error) from error
        return batch.results

    async def check_writable(self, connection: AsyncConnection) -> None:
        """By the rights of the file and its folder, where the log of changes lies beside it, and by the room there."""
        path = connection.engine.url.database
        if not path or path == ":memory:":
            return
        folder = Path(path).parent
        if not all(os.access(each, os.W_OK) for each in (path, folder)):
            raise Unavailable("The database's file or folder is read-only: give the service's user the right to write.")
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < LEAST_ROOM:
            raise Unavailable("The disk is full: make room where the database's file is.")

    @asynccontextmanager
    async def migrating(self, connection: AsyncConnection) -> AsyncIterator[None]:
        """One exclusive transaction, in which the schema changes as a whole or not at all."""
        await connection.exec_driver_sql(f"PRAGMA busy_timeout = {MIGRATION_WAIT_SECONDS * 1000}")
        await connection.exec_driver_sql("BEGIN EXCLUSIVE")
        yield
        await connection.commit()


class Batch:
    """Statements to be executed together, and then their results."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self.results: list[Result] = []


class _Connection(sqlite3.Connection):
    """Executes a batch in one call, where it is passed as the parameters of a statement.

    The driver goes to its thread and back for each call. This is what its interface passes on unseen.
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
    """SQLite's primary result code; a missing table counts as a file that cannot be used."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_ERROR and "no such table" in str(error.orig):
        return sqlite3.SQLITE_CANTOPEN
    return None if code is None else code & 0xFF


def _engine(url: URL, busy_seconds: float, *, remembered: int = 128, **options: Any) -> AsyncEngine:
    """`remembered` are the statements that a connection keeps prepared (128 is the driver's own number).

    What a batch writes is said once and never again. Kept, each of its statements pushes another one out that has left
    the processor's caches by then: 7 to 10 % of a booking over HTTP.
    """
    engine = create_async_engine(
        url,
        connect_args={"timeout": busy_seconds, "cached_statements": remembered, "factory": _Connection},
        hide_parameters=True,
        pool_timeout=1,
        pool_reset_on_return=None,
        **options,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "close", _undo)
    return engine


def _prepare(connection: Any, _: object) -> None:
    # Transactions begin where we say so, not where the driver guesses.
    connection.isolation_level = None
    cursor = connection.cursor()
    _use_log(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


class _TimeLimit:
    """Ends a statement after `LIST_LIMIT_SECONDS`, in the thread that works on it."""

    def __init__(self) -> None:
        self._ends_at = 0.0

    def begin(self, _: str) -> None:
        """A statement begins."""
        self._ends_at = monotonic() + LIST_LIMIT_SECONDS

    def is_over(self) -> bool:
        """Whether the statement has to end."""
        return monotonic() > self._ends_at


def _limit(connection: Any, _: object) -> None:
    limit = _TimeLimit()
    connection.run_async(lambda driver: driver.set_trace_callback(limit.begin))
    connection.run_async(lambda driver: driver.set_progress_handler(limit.is_over, STEPS_BETWEEN_LOOKS))


def _undo(connection: Any, _: object) -> None:
    """End the transaction of a connection that is thrown away.

    SQLite keeps a closed connection, and the writers' lock with it, for as long as somebody holds a statement that was
    not read to its end: whoever was cancelled in the middle of one does, until the garbage is collected.
    """
    with suppress(Exception):
        connection.rollback()


def _use_log(cursor: Any) -> None:
    """Write-ahead logging, so that readers and the writer do not wait for each other. The file remembers it."""
    deadline = monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Changing the mode of a new file does not wait for another process that does the same.
            if error.sqlite_errorcode & 0xFF not in _BUSY or monotonic() > deadline:
                raise
            sleep(0.01)
        else:
            return
