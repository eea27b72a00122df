"""A connection pool that completes interrupted work in the background, so that no connection or lock is leaked."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sqlalchemy import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from ....application.ports.errors import Unavailable
from ..schema.types import Result as StatementResult
from ..schema.types import Statement
from .error_messages import reason_of_no_connection

Result = TypeVar("Result")
Send = Callable[[AsyncConnection, Sequence[Statement]], Awaitable[list[StatementResult]]]
"""Executes statements in order and returns their results. It stops at the first one that fails."""

CONNECT_SECONDS = 3.0
"""Time limit for getting a connection."""

READ_SECONDS = 4.0
"""Time limit for one read."""

ABANDONED_SECONDS = 2.0
"""Time limit for opening a connection whose caller was cancelled or timed out."""

CLOSE_SECONDS = 5.0
"""Time limit for interrupted work when the pool is closed."""


class NoFreeConnection(Unavailable):
    """Every connection of the pool is in use."""

    def __init__(self) -> None:
        super().__init__("Too many requests need the database at the moment; try again in a moment.")


class ConnectionPool:
    """A pool whose connections are opened and closed in the background when their caller is cancelled.

    A driver that works in a thread continues when its caller is cancelled: SQLite's would take the write lock and never
    release it.

    Idle connections are kept in front of SQLAlchemy's pool, whose tasks and greenlets are slow, unless a caller waits
    for that pool.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        send: Send,
        *,
        autocommit: bool = False,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        """`autocommit`: each statement is a transaction, so no rollback is needed.

        `read_seconds` is the time limit for one read, including the wait for a connection.
        """
        self.engine: AsyncEngine = engine
        self.dialect: Dialect = engine.dialect
        self.send: Send = send
        self.autocommit: bool = autocommit
        self.read_seconds: float = read_seconds
        self._idle: list[AsyncConnection] = []
        self._waiting = 0
        self._background: set[asyncio.Task[Any]] = set()

    @property
    def in_use(self) -> int:
        """The number of connections in use."""
        pool = self.engine.pool
        return pool.checkedout() - len(self._idle) if isinstance(pool, QueuePool) else 0

    async def connect(self) -> AsyncConnection:
        """Return a connection. Raises: Unavailable."""
        if self._idle:
            return self._idle.pop()
        self._waiting += 1
        try:
            return await self._from_pool()
        finally:
            self._waiting -= 1

    def release(self, connection: AsyncConnection) -> bool:
        """Keep a connection without an open transaction for reuse; return False if the caller must close it."""
        if self._waiting or connection.invalidated:
            return False
        self._idle.append(connection)
        return True

    def discard_idle(self) -> None:
        """Close all idle connections after one was found lost, because the others are probably lost too."""
        while self._idle:
            self._start(_discard(self._idle.pop()))

    async def _from_pool(self) -> AsyncConnection:
        opening = self._start(self.engine.connect().start())
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.shield(opening)
        except PoolExhausted as error:
            raise NoFreeConnection from error
        except (DBAPIError, OSError, EOFError) as error:
            if isinstance(error, TimeoutError):
                self._start(_close_when_open(opening))
            raise Unavailable(reason_of_no_connection(error)) from error
        except asyncio.CancelledError:
            self._start(_close_when_open(opening))
            raise

    async def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Await work that continues in the background if the caller is cancelled."""
        return await asyncio.shield(self._start(work))

    async def close(self) -> None:
        """Wait for work in the background, and close every connection."""
        if self._background:
            await asyncio.wait(self._background, timeout=CLOSE_SECONDS)
        while self._idle:
            await self._idle.pop().close()
        await self.engine.dispose()

    def _start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


async def _discard(connection: AsyncConnection) -> None:
    await connection.invalidate()
    await connection.close()


async def _close_when_open(opening: "asyncio.Task[AsyncConnection]") -> None:
    """Close a connection once it is open; cancel opening after a time, so that it does not occupy the pool for ever."""
    await asyncio.wait([opening], timeout=ABANDONED_SECONDS)
    while not opening.done():
        opening.cancel()
        await asyncio.wait([opening], timeout=ABANDONED_SECONDS)
    # It may have been opened just before it was cancelled.
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().close()
