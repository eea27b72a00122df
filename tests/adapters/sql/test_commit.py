"""What COMMIT is worth: it is on the disk when it is answered, and without an answer its outcome is unknown."""

import sqlite3
from collections.abc import Sequence

import pytest
from asyncmy.errors import OperationalError
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from boxoffice.adapters.sql.dialects.error_class import ErrorClass
from boxoffice.adapters.sql.dialects.mysql import MySQLDialect
from boxoffice.adapters.sql.dialects.sqlite import SQLiteDialect
from boxoffice.adapters.sql.engine.pool import Send
from boxoffice.adapters.sql.schema.types import Result, Statement
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Conflict, Retryable
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.book import book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.user import Actor
from tests.adapters.sql.recorded import send_through
from tests.contract.storage_driver import NOW, StorageDriver, booking_command, new_id


async def test_every_connection_to_sqlite_syncs_each_commit_to_the_disk(sqlite_storage: SqlStorage) -> None:
    found: list[object] = []

    async def look(pool: str, connection: AsyncConnection, statements: Sequence[Statement], send: Send) -> list[Result]:
        results = await send(connection, statements)
        if "INSERT" in statements[0].text:
            pragmas = [Statement(f"PRAGMA {name}") for name in ("synchronous", "journal_mode", "foreign_keys")]
            found.extend(result.rows[0][0] for result in await send(connection, pragmas))
        return results

    send_through(sqlite_storage, look)
    await StorageDriver(sqlite_storage).initialize(1)
    assert found == [2, "wal", 1], "2 is FULL"


@pytest.mark.parametrize("code", [1047, 1053, 1180, 1290, 1317, 3100, 3796, 3797, 3798, 3799])
def test_a_server_that_goes_away_in_a_commit_leaves_the_outcome_unknown(code: int) -> None:
    error = DBAPIError("COMMIT", None, OperationalError(code, "not now"))
    assert MySQLDialect().classify(error, committing=True) is ErrorClass.CONNECTION_LOST
    assert MySQLDialect().classify(error, committing=False) is ErrorClass.UNAVAILABLE


def test_a_transaction_that_a_group_did_not_certify_was_rolled_back() -> None:
    error = DBAPIError("COMMIT", None, OperationalError(3101, "Plugin instructed the server to rollback"))
    assert MySQLDialect().classify(error, committing=True) is ErrorClass.ROLLED_BACK


def test_a_statement_that_a_group_ends_with_a_deadlock_is_rolled_back() -> None:
    """The engine reports it as a COMMIT that failed, also of a statement before COMMIT, as seen on MySQL 9.7."""
    message = "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT"
    error = DBAPIError("UPDATE", None, OperationalError(1180, message))
    assert MySQLDialect().classify(error, committing=False) is ErrorClass.ROLLED_BACK
    assert MySQLDialect().classify(error, committing=True) is ErrorClass.CONNECTION_LOST


def test_a_disk_that_fails_in_a_commit_leaves_the_outcome_unknown() -> None:
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    error = DBAPIError("COMMIT", None, failure)
    assert SQLiteDialect().classify(error, committing=True) is ErrorClass.CONNECTION_LOST
    assert SQLiteDialect().classify(error, committing=False) is ErrorClass.UNAVAILABLE


async def test_a_statement_that_changes_fewer_rows_than_it_should_is_not_committed(any_storage: SqlStorage) -> None:
    """It is counted before COMMIT is sent: a row was changed by hand, and that must not become final."""
    driver = StorageDriver(any_storage)
    booking = await driver.book(await driver.initialize(1))
    by_hand = Statement(f"UPDATE bookings SET status = 'expired' WHERE id = x'{booking.id.hex}'")

    async def change(
        pool: str, connection: AsyncConnection, statements: Sequence[Statement], send: Send
    ) -> list[Result]:
        if any(each.text.startswith("UPDATE bookings") for each in statements):
            await send(connection, [by_hand])
        return await send(connection, statements)

    send_through(any_storage, change)
    command = Cancel(event_id=booking.event_id, actor=Actor(booking.customer_id), booking_id=booking.id)
    async with any_storage.begin() as unit_of_work:
        needs = LoadSpec(event_id=booking.event_id, booking_id=booking.id, settles=True)
        inventory = (await unit_of_work.events.lock([needs]))[booking.event_id]
        await unit_of_work.events.save([cancel(replace(inventory, bookings=(booking,)), command, NOW)], new_id())
        with pytest.raises(Conflict):
            await unit_of_work.commit()
    assert (await driver.stored(booking)).status is BookingStatus.CONFIRMED


async def test_the_rest_of_a_transaction_that_the_server_rolled_back_is_not_committed(
    mysql_storage: SqlStorage,
) -> None:
    """Galera may roll back between two statements that were sent together, and go on with the others."""
    driver = StorageDriver(mysql_storage)
    state = await driver.initialize(10)
    rolled_back = 0

    async def roll_back(
        pool: str, connection: AsyncConnection, statements: Sequence[Statement], send: Send
    ) -> list[Result]:
        nonlocal rolled_back
        counters = [number for number, each in enumerate(statements) if each.text.startswith("UPDATE ticket_types")]
        if pool != "writing" or not counters or statements[-1].text != "COMMIT":
            return await send(connection, statements)
        rolled_back += 1
        before = await send(connection, statements[: counters[0]])
        await send(connection, [Statement("ROLLBACK")])
        return before + await send(connection, statements[counters[0] :])

    send_through(mysql_storage, roll_back)
    async with mysql_storage.begin() as unit_of_work:
        inventory = (await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)]))[state.event.id]
        await unit_of_work.events.save([book(inventory, booking_command(state), NOW)], new_id())
        with pytest.raises(Retryable):
            await unit_of_work.commit()
    assert rolled_back == 1
    assert (await driver.read(state)).ticket_types[0].taken == 0
