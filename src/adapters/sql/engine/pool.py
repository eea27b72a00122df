"""Connections to one database that leave nothing behind: what is interrupted is brought to its end all the same."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from ....application.ports.errors import Unavailable
from ..schema.types import Result as Found
from ..schema.types import Statement
from .error_messages import reason_of_no_connection

Result = TypeVar("Result")
Send = Callable[[AsyncConnection, Sequence[Statement]], Awaitable[list[Found]]]
"""Sends statements, in their order, and says what came of each. The first that fails is the last that was done."""

CONNECT_SECONDS = 3.0
"""The most that getting a connection may take."""

READ_SECONDS = 4.0
"""The most that one read may take."""

MORE_SECONDS = 2.0
"""What a connection that nobody waits for any more has to be there, before it is given up."""

ENDING_SECONDS = 5.0
"""The most that is waited at the close for what was interrupted."""


class NoneFree(Unavailable):
    """Every connection of a pool is in use."""

    def __init__(self) -> None:
        super().__init__("Too many requests need the database at the moment; try again in a moment.")


class ConnectionPool:
    """A pool. Whoever is cancelled while a connection is made or given back leaves it to be ended in the background.

    A driver that works in a thread goes on when its caller is cancelled: SQLite's would take the writers' lock for
    nobody, and keep it.

    Connections that were given back in good order are at hand for the next one without a detour through the pool, whose
    two tasks and two greenlets take a tenth of a lone booking's time; but not while somebody waits for the pool.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        send: Send,
        *,
        commits_by_itself: bool = False,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        """`commits_by_itself`: each statement is a transaction, so there is nothing to undo.

        `read_seconds` is the most that one read may take, with the wait for a connection.
        """
        self.engine = engine
        self.dialect = engine.dialect
        self.send = send
        self.commits_by_itself = commits_by_itself
        self.read_seconds = read_seconds
        self._at_hand: list[AsyncConnection] = []
        self._waiting = 0
        self._ends: set[asyncio.Task[Any]] = set()

    @property
    def in_use(self) -> int:
        """How many connections somebody has."""
        pool = self.engine.pool
        return pool.checkedout() - len(self._at_hand) if isinstance(pool, QueuePool) else 0

    async def connect(self) -> AsyncConnection:
        """A connection. Raises: Unavailable."""
        if self._at_hand:
            return self._at_hand.pop()
        self._waiting += 1
        try:
            return await self._from_pool()
        finally:
            self._waiting -= 1

    def give_back(self, connection: AsyncConnection) -> bool:
        """Take it for the next one; False where it is to be closed instead. It must have nothing left to undo."""
        if self._waiting or connection.invalidated:
            return False
        self._at_hand.append(connection)
        return True

    def let_go(self) -> None:
        """One was found dead: those at hand are as old, and whoever comes next is to have a new one."""
        while self._at_hand:
            self._begin(_throw_away(self._at_hand.pop()))

    async def _from_pool(self) -> AsyncConnection:
        starting = self._begin(self.engine.connect().start())
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.shield(starting)
        except PoolExhausted as error:
            raise NoneFree from error
        except (DBAPIError, OSError, EOFError) as error:
            if isinstance(error, TimeoutError):
                self._begin(_close_when_there(starting))
            raise Unavailable(reason_of_no_connection(error)) from error
        except asyncio.CancelledError:
            self._begin(_close_when_there(starting))
            raise

    async def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do what has to be done even when the caller is cancelled meanwhile."""
        return await asyncio.shield(self._begin(work))

    async def close(self) -> None:
        """Wait for what was interrupted, and let go of every connection."""
        if self._ends:
            await asyncio.wait(self._ends, timeout=ENDING_SECONDS)
        while self._at_hand:
            await self._at_hand.pop().close()
        await self.engine.dispose()

    def _begin(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = asyncio.ensure_future(work)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)
        return task


async def _throw_away(connection: AsyncConnection) -> None:
    await connection.invalidate()
    await connection.close()


def driver_of(connection: AsyncConnection) -> Any:
    """The driver's own connection, past SQLAlchemy, which takes a detour around what may have to ask the server."""
    underlying: Any = connection.sync_connection
    return underlying.connection.driver_connection


async def _close_when_there(starting: "asyncio.Task[AsyncConnection]") -> None:
    """Bounded, because a server may take a connection and never say a word: it would keep its place in the pool."""
    await asyncio.wait([starting], timeout=MORE_SECONDS)
    while not starting.done():
        starting.cancel()
        await asyncio.wait([starting], timeout=MORE_SECONDS)
    # It may have been there in the moment in which it was given up.
    if not starting.cancelled() and starting.exception() is None:
        await starting.result().close()
