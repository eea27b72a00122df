"""Round trips of a batch: few, and as many for a hundred commands as for one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace
from sqlalchemy import event

from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports import Needs
from boxoffice.domain.book import book
from boxoffice.domain.booking import Booking
from boxoffice.domain.cancel import Cancel, cancel
from boxoffice.domain.event import EventState
from boxoffice.domain.settle import LineAsk
from boxoffice.domain.user import Actor
from tests.contract.box_office import NOW, BoxOffice, booking_command, new_id


@contextmanager
def statements(storage: SqlStorage) -> Iterator[list[str]]:
    """What is sent meanwhile, COMMIT and ROLLBACK included."""
    sent: list[str] = []
    for engine in (storage._writing.sync_engine, storage._reading.sync_engine):
        event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
        event.listen(engine, "commit", lambda _: sent.append("COMMIT"))
    yield sent


async def book_together(storage: SqlStorage, states: list[EventState]) -> None:
    async with storage.begin() as unit_of_work:
        commands = [booking_command(state) for state in states]
        needs = [Needs(event_id=each.event_id, customer_id=each.actor.user_id) for each in commands]
        found = await unit_of_work.inventories.lock(needs)
        decisions = []
        for command in commands:
            decision = book(found[command.event_id], command, NOW)
            found[command.event_id] = decision.inventory
            decisions.append(decision)
        await unit_of_work.inventories.save(decisions, new_id())
        await unit_of_work.commit()


async def cancel_together(storage: SqlStorage, bookings: list[Booking]) -> int:
    async with storage.begin() as unit_of_work:
        needs = [Needs(event_id=each.event_id, booking_id=each.id, settles=True) for each in bookings]
        found = await unit_of_work.inventories.lock(needs)
        types = {each.id for inventory in found.values() for each in inventory.ticket_types}
        lines = await unit_of_work.inventories.lines([LineAsk(each, None, len(bookings) + 1) for each in types])
        decisions = []
        for booking in bookings:
            inventory = replace(found[booking.event_id], lines={**lines, **found[booking.event_id].lines})
            command = Cancel(event_id=booking.event_id, actor=Actor(booking.customer_id), booking_id=booking.id)
            decision = cancel(inventory, command, NOW)
            found[booking.event_id] = replace(decision.inventory, bookings=inventory.bookings)
            decisions.append(decision)
        await unit_of_work.inventories.save(decisions, new_id())
        await unit_of_work.commit()
    return sum(decision.promoted for decision in decisions)


@pytest.fixture
def office(any_storage: SqlStorage) -> BoxOffice:
    return BoxOffice(any_storage)


@pytest.mark.parametrize("commands", [1, 100])
async def test_booking(any_storage: SqlStorage, office: BoxOffice, commands: int) -> None:
    state = await office.initialize(1_000)
    with statements(any_storage) as sent:
        await book_together(any_storage, [state] * commands)
    # Lock, ticket types, bookings; bookings, event, ticket type, facts; and SQLite says BEGIN.
    assert len([each for each in sent if not each.startswith("BEGIN")]) == 8, sent
    assert sent[-1] == "COMMIT"


@pytest.mark.parametrize("events", [1, 100])
async def test_booking_over_many_events(any_storage: SqlStorage, office: BoxOffice, events: int) -> None:
    states = [await office.initialize(1) for _ in range(events)]
    with statements(any_storage) as sent:
        await book_together(any_storage, states)
    assert len([each for each in sent if not each.startswith("BEGIN")]) == 8, sent


@pytest.mark.parametrize("commands", [1, 100])
async def test_cancelling_with_promotion(any_storage: SqlStorage, office: BoxOffice, commands: int) -> None:
    state = await office.initialize(100)
    bookings = await office.book_many(state, [1] * 250)
    with statements(any_storage) as sent:
        assert await cancel_together(any_storage, bookings[:commands]) == commands
    # Lock, ticket types, bookings, lines; event, ticket type, line, cancelled, promoted, facts.
    assert len([each for each in sent if not each.startswith("BEGIN")]) == 11, sent


async def test_reads_are_one_statement_each(any_storage: SqlStorage, office: BoxOffice) -> None:
    state = await office.initialize(1, 1)
    booking = (await office.book_many(state, [1, 1]))[1]
    with statements(any_storage) as sent:
        await office.reads.event(state.event.id)
        await office.reads.booking(booking.id)
        await office.reads.bookings_of_event(state.event.id, None, None, 10)
        await office.reads.waiting_list(state.event.id, None, None, 10)
    assert len(sent) == 4, sent
