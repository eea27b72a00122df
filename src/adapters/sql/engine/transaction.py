"""One connection in one transaction: bounded in time, its errors told in the words of the ports."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum, auto
from time import monotonic
from typing import Any, Final, NoReturn, Protocol, Self, TypeVar

from sqlalchemy import CursorResult, Executable, Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from ....application.ports.errors import (
    Conflict,
    Locked,
    OutcomeUnknown,
    Retryable,
    StorageFailure,
    Unavailable,
)
from ..bulk.insert import BulkInsert
from ..bulk.select import BulkSelect
from ..schema.types import Result as Found
from ..schema.types import Row as LiteralRow
from ..schema.types import Statement
from .error_messages import reason_of
from .pool import ConnectionPool, driver_of

Result = TypeVar("Result")
Rows = Sequence[Row[*tuple[Any, ...]]]

_COMMIT: Final = Statement("COMMIT")

BEGIN_SECONDS = 3.0
"""The most that beginning may take where others are ahead."""

ASK_AGAIN_SECONDS = 0.001
"""Between two attempts to begin."""

STATEMENT_SECONDS = 4.0
"""The most that one statement may take, above every wait for a lock: a connection may hang for ever."""

ROLLBACK_SECONDS = 1.0
"""The most that a rollback may take; beyond it the connection is thrown away, which undoes the transaction too."""


class Trouble(Enum):
    """What an error of a driver means."""

    CONFLICT = auto()
    """The schema refused."""
    UNDONE = auto()
    """The database undid the whole transaction, or left it as if it had never begun."""
    LOST = auto()
    """The connection is gone."""
    BUSY = auto()
    """A lock was waited for too long."""
    AWAY = auto()
    """The database refuses to work for now."""


class Diagnosis(Protocol):
    """Tells what an error of one driver means."""

    def __call__(self, error: BaseException, *, committing: bool) -> Trouble | None:
        """What it means; None when it is a mistake of ours, which nothing should hide."""


class Transaction:
    """Statements on one connection. After a failure nothing more is done, and nothing is committed."""

    def __init__(
        self, connections: ConnectionPool, diagnose: Diagnosis, *opening: str, seconds: float | None = STATEMENT_SECONDS
    ) -> None:
        """A context that starts with the statements of `opening`, each of which may take so many seconds.

        None: whoever opens it bounds all of it.
        """
        self._connections = connections
        self._connection: AsyncConnection
        self._diagnose = diagnose
        self._opening = opening
        self._seconds = seconds
        self._failure: BaseException | None = None
        self._enqueued: list[Statement] = []
        self._ahead: asyncio.Task[list[Found]] | None = None
        self.dialect = connections.dialect
        """The words of the database."""
        self._is_clean = connections.commits_by_itself

    async def __aenter__(self) -> Self:
        """Raises: Unavailable."""
        self._connection = await self._connections.connect()
        try:
            for statement in self._opening:
                await self._do(self._begin(Statement(statement)))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._ahead is not None:
            # Nobody will look at the answer; the connection is thrown away, which undoes what it did.
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)
        if self._failure is None and self._is_clean and self._connections.give_back(self._connection):
            return
        # Whoever is cancelled must not leave a transaction open, or its rows to the next one.
        await self._connections.finish(self._end())

    async def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Rows:
        """The rows that a statement finds."""
        return (await self._execute(statement, values)).all()

    async def change(self, statement: Executable, values: Mapping[str, Any], *, expected: int | None = None) -> int:
        """Change rows; how many it were. Raises: Conflict when they are not as many as expected."""
        changed = (await self._execute(statement, values)).rowcount
        if expected is not None and changed != expected:
            await self._refuse(changed, expected)
        return changed

    async def insert(self, insert: BulkInsert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows."""
        await self.send(insert.statements(rows, self.dialect))

    def enqueue(self, statements: Iterable[Statement]) -> None:
        """Send these with whatever is sent next, at COMMIT at the latest: one way to the database instead of two."""
        self._enqueued += statements

    async def flush_async(self) -> None:
        """Begin to send what is held, and do not wait for the answer: it is looked at before anything else is sent.

        So the database works while its next statements are made. Raises: as `send`, for what was sent ahead before.
        """
        await self._answered()
        held, self._enqueued = self._enqueued, []
        self._ahead = asyncio.ensure_future(self._send(held))
        # It is on its way once the loop has gone round.
        await asyncio.sleep(0)

    async def _answered(self) -> None:
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            await ahead

    async def send(self, statements: Sequence[Statement]) -> list[Found]:
        """Send statements that say their values themselves, as far as possible at once.

        Raises: Conflict when one of them does not change as many rows as expected.
        """
        await self._answered()
        held, self._enqueued = self._enqueued, []
        if not statements and not held:
            return []
        return await self._send([*held, *statements], len(held))

    async def _send(self, statements: Sequence[Statement], skip: int = 0, *, committing: bool = False) -> list[Found]:
        results = await self._do(self._connections.send(self._connection, statements), committing=committing)
        for statement, result in zip(statements, results, strict=True):
            if statement.expected is not None and result.changed != statement.expected:
                await self._refuse(result.changed, statement.expected)
        return results[skip:]

    async def _execute(self, statement: Executable, values: Mapping[str, Any] | None) -> CursorResult[Any]:
        await self.send(())
        return await self._do(self._connection.execute(statement, values))

    async def find(self, select: BulkSelect, values: Collection[Any]) -> list[LiteralRow]:
        """The rows that a SELECT finds for these values."""
        (result,) = await self.send([select.statement(values, self.dialect)])
        return select.rows(result.rows, self.dialect)

    async def _refuse(self, changed: int, expected: int) -> NoReturn:
        self._failure = Conflict(f"{changed} rows were changed where there should be {expected}.")
        await self._roll_back()
        raise self._failure

    async def check(self, check: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Run a check of the connection."""
        await self._do(check(self._connection))

    async def look_after_failure(self, statement: Executable, values: Mapping[str, Any]) -> Rows | None:
        """What a statement finds in a transaction of its own, which is undone; None when it does not work either."""
        if self._connection.invalidated:
            return None
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                found = (await self._connection.execute(statement, values)).all()
        except Exception:  # noqa: BLE001 (it was worth a try)
            await self._throw_away()
            return None
        except BaseException:
            await self._throw_away()
            raise
        await self._roll_back()
        return found

    async def commit(self) -> None:
        """Make it durable. Raises: OutcomeUnknown when no answer came."""
        if any(statement.expected is not None for statement in self._enqueued):
            # What they changed is to be looked at before it is final.
            await self.send(())
        await self._answered()
        if self._connection.in_transaction():
            await self.send(())
            await self._do(self._connection.commit(), committing=True)
        else:
            # Nothing went through SQLAlchemy, so it has nothing to end.
            held, self._enqueued = self._enqueued, []
            await self._send([*held, _COMMIT], committing=True)
        self._is_clean = True

    async def _begin(self, statement: Statement) -> None:
        """Ask again and again while somebody else is ahead.

        SQLite's own waiting looks ten times a second after a while, and a process that goes from one transaction to the
        next leaves the lock for a millisecond: others waited for seconds in vain.
        """
        deadline = monotonic() + BEGIN_SECONDS
        while True:
            try:
                await self._connections.send(self._connection, (statement,))
            except DBAPIError as error:
                if self._diagnose(error, committing=False) is not Trouble.BUSY or monotonic() > deadline:
                    raise
            else:
                return
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def _do(self, work: Awaitable[Result], *, committing: bool = False) -> Result:
        if self._failure is not None:
            # Never awaited, so it has to be closed.
            getattr(work, "close", lambda: None)()
            raise self._failure
        try:
            if self._seconds is None:
                return await work
            async with asyncio.timeout(self._seconds):
                return await work
        except TimeoutError as error:
            self._failure = (
                OutcomeUnknown("COMMIT was not answered.")
                if committing
                else Unavailable("The database does not answer; try again in a moment.")
            )
            await self._throw_away()
            raise self._failure from error
        except Exception as error:
            self._failure = self._told(error, committing)
            await self._roll_back()
            if self._failure is error:
                raise
            raise self._failure from error
        except BaseException as error:
            self._failure = error
            await self._throw_away()
            raise

    def _told(self, error: Exception, committing: bool) -> Exception:
        if isinstance(error, StorageFailure):
            return error
        trouble = self._diagnose(error, committing=committing)
        if trouble is None:
            return error
        if trouble is Trouble.LOST:
            self._connections.let_go()
        if committing and trouble is Trouble.LOST:
            return OutcomeUnknown("The connection was lost during COMMIT.")
        if trouble is Trouble.AWAY:
            return Unavailable(reason_of(error) or "The database cannot work at the moment; try again later.")
        return _FAILURES[trouble]()

    async def _roll_back(self) -> None:
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                if self._connection.in_transaction():
                    await self._connection.rollback()
                elif not self._connections.commits_by_itself:
                    # What was sent past SQLAlchemy is no transaction to it.
                    await driver_of(self._connection).rollback()
        except Exception:  # noqa: BLE001 (whatever it was, throwing the connection away undoes the transaction)
            await self._throw_away()

    async def _throw_away(self) -> None:
        if not self._connection.invalidated:
            await self._connections.finish(self._connection.invalidate())

    async def _end(self) -> None:
        try:
            if not self._is_clean and self._failure is None:
                await self._roll_back()
        finally:
            await self._connection.close()


_FAILURES: dict[Trouble, Callable[[], StorageFailure]] = {
    Trouble.CONFLICT: lambda: Conflict("The schema refused."),
    Trouble.UNDONE: lambda: Retryable("The database undid the transaction."),
    Trouble.LOST: lambda: Retryable("The connection to the database was lost."),
    Trouble.BUSY: Locked,
}


async def read(
    connections: ConnectionPool, diagnose: Diagnosis, statement: Executable, values: Mapping[str, Any]
) -> Rows:
    """What one statement finds, on a connection that commits by itself: one round trip, one state.

    A connection that had died unnoticed in the pool is replaced, once. Raises: Unavailable.
    """
    return await _read(connections, diagnose, lambda transaction: transaction.rows(statement, values))


async def read_written(connections: ConnectionPool, diagnose: Diagnosis, statement: Statement) -> Sequence[LiteralRow]:
    """As `read`, for a statement that holds its values, as the driver has the rows."""
    (found,) = await _read(connections, diagnose, lambda transaction: transaction.send([statement]))
    return found.rows


async def _read(
    connections: ConnectionPool, diagnose: Diagnosis, work: Callable[[Transaction], Awaitable[Result]]
) -> Result:
    try:
        async with asyncio.timeout(connections.read_seconds):
            for _ in range(2):
                try:
                    async with Transaction(connections, diagnose, seconds=None) as transaction:
                        return await work(transaction)
                except Retryable:
                    continue
    except TimeoutError as error:
        raise Unavailable("The database does not answer; try again in a moment.") from error
    raise Unavailable("The database lost the connection again and again; try again in a moment.")
