"""What COMMIT is worth: it is on the disk when it is answered, and without an answer nobody claims to know."""

import sqlite3

import pytest
from asyncmy.errors import OperationalError
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from boxoffice.adapters.sql.dialects.mysql import MySQL
from boxoffice.adapters.sql.dialects.sqlite import SQLite
from boxoffice.adapters.sql.engine.transaction import Trouble
from boxoffice.adapters.sql.schema.types import Statement
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.loading import LoadSpec, WaitingListQuery
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.book import book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.user import Actor
from tests.contract.box_office import NOW, BoxOffice, booking_command, new_id, new_user

FULL = 2


async def test_every_connection_to_sqlite_syncs_each_commit_to_the_disk(sqlite_storage: SqlStorage) -> None:
    async with sqlite_storage.begin() as unit_of_work:
        await unit_of_work.users.add(new_user())
        for setting, expected in (("synchronous", FULL), ("journal_mode", "wal"), ("foreign_keys", 1)):
            ((value,),) = await unit_of_work._transaction.rows(text(f"PRAGMA {setting}"))
            assert value == expected, setting


@pytest.mark.parametrize("code", [1047, 1053, 1180, 1290, 1317])
def test_a_server_that_answers_a_commit_with_going_away_leaves_the_outcome_unknown(code: int) -> None:
    error = DBAPIError("COMMIT", None, OperationalError(code, "not now"))
    assert MySQL().diagnose(error, committing=True) is Trouble.LOST
    assert MySQL().diagnose(error, committing=False) is Trouble.AWAY


def test_a_disk_that_fails_in_a_commit_leaves_the_outcome_unknown() -> None:
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    error = DBAPIError("COMMIT", None, failure)
    assert SQLite().diagnose(error, committing=True) is Trouble.LOST
    assert SQLite().diagnose(error, committing=False) is Trouble.AWAY


async def test_what_changes_fewer_rows_than_it_should_is_not_committed(any_storage: SqlStorage) -> None:
    """It goes with COMMIT no longer: somebody's hand was in it, and it must not become final."""
    office = BoxOffice(any_storage)
    state = await office.initialize(1)
    (booking,) = await office.book_many(state, [1])
    command = Cancel(event_id=state.event.id, actor=Actor(booking.customer_id), booking_id=booking.id)
    async with any_storage.begin() as unit_of_work:
        needs = LoadSpec(event_id=state.event.id, booking_id=booking.id, settles=True)
        ((_, inventory),) = (await unit_of_work.events.lock([needs])).items()
        by_hand = f"UPDATE bookings SET status = 'expired' WHERE id = x'{booking.id.hex}'"
        await unit_of_work._transaction.send([Statement(by_hand)])
        await unit_of_work.events.save([cancel(replace(inventory, bookings=(booking,)), command, NOW)], new_id())
        with pytest.raises(Conflict):
            await unit_of_work.commit()
    found = await office.storage.booking_queries.booking(booking.id)
    assert found is not None
    assert found.booking.status is BookingStatus.CONFIRMED
    assert (await office.read(state)).ticket_types[0].taken == 1


async def test_what_was_saved_is_there_for_what_is_asked_next(any_storage: SqlStorage) -> None:
    """Though it is sent with that, or with COMMIT, and not before."""
    office = BoxOffice(any_storage)
    state = await office.initialize(1)
    await office.book_many(state, [1])
    command = booking_command(state)
    async with any_storage.begin() as unit_of_work:
        needs = LoadSpec(event_id=state.event.id, customer_id=command.actor.user_id)
        ((_, inventory),) = (await unit_of_work.events.lock([needs])).items()
        decision = book(inventory, command, NOW)
        await unit_of_work.events.save([decision], new_id())
        (ticket_type,) = state.ticket_types
        lines = await unit_of_work.events.lines([WaitingListQuery(ticket_type.id, None, 10)])
    assert [each.id for each in lines[ticket_type.id].head] == [command.booking_id]
