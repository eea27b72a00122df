"""A transaction on one connection, with time limits, whose errors are those of the ports."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, NoReturn, Protocol, Self, TypeVar

from sqlalchemy import CursorResult, Dialect, Executable, Row
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
from ..dialects.driver import driver_of
from ..dialects.error_class import ErrorClass
from ..schema.types import Guard, Statement
from ..schema.types import Result as StatementResult
from ..schema.types import Row as LiteralRow
from .error_messages import reason_of
from .pool import ConnectionPool

Result = TypeVar("Result")
Rows = Sequence[Row[*tuple[Any, ...]]]

_COMMIT: Final = Statement("COMMIT")

BEGIN_SECONDS = 3.0
"""Time limit for BEGIN while other transactions hold the lock."""

BEGIN_RETRY_SECONDS = 0.001
"""Time between two attempts to begin."""

STATEMENT_SECONDS = 4.0
"""Time limit for a statement, longer than every lock timeout: a connection may hang for ever."""

ROLLBACK_SECONDS = 1.0
"""Time limit for a rollback; afterwards the connection is discarded, which rolls back too."""


class ErrorClassifier(Protocol):
    """Classifies the errors of one driver."""

    def __call__(self, error: BaseException, *, committing: bool) -> ErrorClass | None:
        """Return the class of an error; None for a programming error, which is raised unchanged."""


class Transaction:
    """Statements on one connection. After a failure every call raises it again, and nothing is committed."""

    def __init__(
        self,
        connections: ConnectionPool,
        classify: ErrorClassifier,
        *opening: str,
        seconds: float | None = STATEMENT_SECONDS,
        guard: Guard | None = None,
    ) -> None:
        """`opening` are the statements that begin it; `seconds` is the time limit for each statement, if any.

        With a guard, what was sent in several statements is committed as a whole or not at all.
        """
        self._connections = connections
        self._connection: AsyncConnection
        self._classify = classify
        self._opening = opening
        self._seconds = seconds
        self._guard = guard
        self._is_guarded = False
        self._failure: BaseException | None = None
        self._enqueued: list[Statement] = []
        self._in_flight: asyncio.Task[list[StatementResult]] | None = None
        self.dialect: Dialect = connections.dialect
        self._is_clean = connections.autocommit

    async def __aenter__(self) -> Self:
        """Raises: Unavailable."""
        self._connection = await self._connections.connect()
        try:
            for statement in self._opening:
                await self._run(self._begin(Statement(statement)))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._in_flight is not None:
            # Cancelling discards the connection, which rolls back.
            self._in_flight.cancel()
            await asyncio.gather(self._in_flight, return_exceptions=True)
        if self._failure is None and self._is_clean and self._connections.release(self._connection):
            return
        # A cancelled caller must not leave an open transaction, or unread rows to the connection's next user.
        await self._connections.finish(self._end())

    async def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Rows:
        """Return the rows of a query."""
        return (await self._execute(statement, values)).all()

    async def change(self, statement: Executable, values: Mapping[str, Any], *, expected: int | None = None) -> int:
        """Change rows and return their number. Raises: Conflict if it is not the expected one."""
        changed = (await self._execute(statement, values)).rowcount
        if expected is not None and changed != expected:
            await self._fail_count(changed, expected)
        return changed

    async def insert(self, insert: BulkInsert, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows."""
        await self.send(insert.statements(rows, self.dialect))

    def enqueue(self, statements: Iterable[Statement]) -> None:
        """Send statements with the next ones, at COMMIT at the latest, which saves a round trip."""
        self._enqueued += statements

    async def flush_async(self) -> None:
        """Send the enqueued statements without waiting for their results, which the next call checks first.

        So the database works while the caller prepares its next statements. Raises: as `send`, for a previous flush.
        """
        await self._await_in_flight()
        enqueued, self._enqueued = self._enqueued, []
        self._in_flight = asyncio.ensure_future(self._send(enqueued))
        # Let the task start to send.
        await asyncio.sleep(0)

    async def _await_in_flight(self) -> None:
        if self._in_flight is not None:
            in_flight, self._in_flight = self._in_flight, None
            await in_flight

    async def send(self, statements: Sequence[Statement]) -> list[StatementResult]:
        """Send statements, after the enqueued ones, in as few round trips as possible, and return their results.

        Raises: Conflict if one of them does not change the expected number of rows.
        """
        await self._await_in_flight()
        enqueued, self._enqueued = self._enqueued, []
        if not statements and not enqueued:
            return []
        return await self._send([*enqueued, *statements], len(enqueued))

    async def _send(
        self, statements: Sequence[Statement], skip: int = 0, *, committing: bool = False
    ) -> list[StatementResult]:
        if self._guard is not None and not self._is_guarded:
            self._is_guarded = True
            statements, skip = [self._guard.begin, *statements], skip + 1
        results = await self._run(self._connections.send(self._connection, statements), committing=committing)
        for statement, result in zip(statements, results, strict=True):
            if statement.expected is not None and result.changed != statement.expected:
                await self._fail_count(result.changed, statement.expected)
        return results[skip:]

    async def _execute(self, statement: Executable, values: Mapping[str, Any] | None) -> CursorResult[Any]:
        await self.send(())
        return await self._run(self._connection.execute(statement, values))

    async def find(self, select: BulkSelect, values: Collection[Any]) -> list[LiteralRow]:
        """Return the rows of a SELECT for these values."""
        (result,) = await self.send([select.statement(values, self.dialect)])
        return select.rows(result.rows, self.dialect)

    async def _fail_count(self, changed: int, expected: int) -> NoReturn:
        self._failure = Conflict(f"{changed} rows were changed instead of {expected}.")
        await self._roll_back()
        raise self._failure

    async def check(self, check: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Run a check of the connection."""
        await self._run(check(self._connection))

    async def query_after_failure(self, statement: Executable, values: Mapping[str, Any]) -> Rows | None:
        """Return the rows of a query in another transaction, which is rolled back; None if it fails too."""
        if self._connection.invalidated:
            return None
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                found = (await self._connection.execute(statement, values)).all()
        except Exception:  # noqa: BLE001 (the result is optional)
            await self._discard()
            return None
        except BaseException:
            await self._discard()
            raise
        await self._roll_back()
        return found

    async def commit(self) -> None:
        """Commit. Raises: OutcomeUnknown if the connection is lost or times out meanwhile."""
        is_guarded = self._is_guarded or bool(self._enqueued)
        end = [self._guard.end] if self._guard is not None and is_guarded else []
        if self._connection.in_transaction():
            self._enqueued += end
            await self.send(())
            await self._run(self._connection.commit(), committing=True)
        else:
            # Every statement bypassed SQLAlchemy, which therefore has no transaction to commit.
            if any(statement.expected is not None for statement in self._enqueued):
                # Check the numbers of changed rows before COMMIT.
                await self.send(())
            await self._await_in_flight()
            enqueued, self._enqueued = self._enqueued, []
            await self._send([*enqueued, *end, _COMMIT], committing=True)
        self._is_clean = True

    async def _begin(self, statement: Statement) -> None:
        """Begin, and retry while another transaction holds SQLite's write lock.

        SQLite's own busy handler soon retries only ten times a second, too rarely to get a lock that another process
        releases for a millisecond between its transactions.
        """
        deadline = monotonic() + BEGIN_SECONDS
        while True:
            try:
                await self._connections.send(self._connection, (statement,))
            except DBAPIError as error:
                if self._classify(error, committing=False) is not ErrorClass.LOCK_TIMEOUT or monotonic() > deadline:
                    raise
            else:
                return
            await asyncio.sleep(BEGIN_RETRY_SECONDS)

    async def _run(self, work: Awaitable[Result], *, committing: bool = False) -> Result:
        if self._failure is not None:
            # A coroutine that is never awaited must be closed.
            getattr(work, "close", lambda: None)()
            raise self._failure
        try:
            if self._seconds is None:
                return await work
            async with asyncio.timeout(self._seconds):
                return await work
        except TimeoutError as error:
            self._failure = (
                OutcomeUnknown("COMMIT timed out.")
                if committing
                else Unavailable("The database does not answer; try again in a moment.")
            )
            await self._discard()
            raise self._failure from error
        except Exception as error:
            self._failure = self._translate(error, committing)
            if isinstance(self._failure, Retryable):
                # A server that rolled back in the middle may go on with what was sent, and answer that.
                await self._discard()
            else:
                await self._roll_back()
            if isinstance(self._failure, Unavailable) and not isinstance(self._failure, Locked):
                # This server refused. A new connection may lead to another one, for example to the next primary.
                self._connections.discard_idle()
                await self._discard()
            if self._failure is error:
                raise
            raise self._failure from error
        except BaseException as error:
            self._failure = error
            await self._discard()
            raise

    def _translate(self, error: Exception, committing: bool) -> Exception:
        if isinstance(error, StorageFailure):
            return error
        error_class = self._classify(error, committing=committing)
        if error_class is None:
            return error
        if error_class is ErrorClass.CONNECTION_LOST:
            self._connections.discard_idle()
        if committing and error_class is ErrorClass.CONNECTION_LOST:
            return OutcomeUnknown("The connection was lost during COMMIT.")
        if error_class is ErrorClass.UNAVAILABLE:
            return Unavailable(reason_of(error) or "The database refuses to work at present; try again later.")
        return _FAILURES[error_class]()

    async def _roll_back(self) -> None:
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                if self._connection.in_transaction():
                    await self._connection.rollback()
                elif not self._connections.autocommit:
                    # SQLAlchemy does not know of a transaction whose statements bypassed it.
                    await driver_of(self._connection).rollback()
        except Exception:  # noqa: BLE001 (discarding the connection rolls back too)
            await self._discard()

    async def _discard(self) -> None:
        if not self._connection.invalidated:
            await self._connections.finish(self._connection.invalidate())

    async def _end(self) -> None:
        try:
            if not self._is_clean and self._failure is None:
                await self._roll_back()
        finally:
            await self._connection.close()


_FAILURES: dict[ErrorClass, Callable[[], StorageFailure]] = {
    ErrorClass.CONFLICT: lambda: Conflict("A constraint of the schema was violated."),
    ErrorClass.ROLLED_BACK: lambda: Retryable("The database rolled back the transaction."),
    ErrorClass.CONNECTION_LOST: lambda: Retryable("The connection to the database was lost."),
    ErrorClass.LOCK_TIMEOUT: Locked,
}


async def read(
    connections: ConnectionPool, classify: ErrorClassifier, statement: Executable, values: Mapping[str, Any]
) -> Rows:
    """Return the rows of a query on an autocommit connection, in one round trip.

    Retry once if the connection was lost, perhaps unnoticed in the pool. Raises: Unavailable.
    """
    return await _read(connections, classify, lambda transaction: transaction.rows(statement, values))


async def read_literal(
    connections: ConnectionPool, classify: ErrorClassifier, statement: Statement
) -> Sequence[LiteralRow]:
    """As `read`, for a statement that contains its values; the rows are as the driver returns them."""
    (result,) = await _read(connections, classify, lambda transaction: transaction.send([statement]))
    return result.rows


async def _read(
    connections: ConnectionPool, classify: ErrorClassifier, work: Callable[[Transaction], Awaitable[Result]]
) -> Result:
    try:
        async with asyncio.timeout(connections.read_seconds):
            for _ in range(2):
                try:
                    async with Transaction(connections, classify, seconds=None) as transaction:
                        return await work(transaction)
                except Retryable:
                    continue
    except TimeoutError as error:
        raise Unavailable("The database does not answer; try again in a moment.") from error
    raise Unavailable("The database closed the connection repeatedly; try again in a moment.")
