"""Round trips of a batch: few, and as many for a hundred commands as for one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from boxoffice.adapters.sql.schema.types import Result, Statement
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.idempotency import Key, Response, StoredResponse
from boxoffice.application.ports.loading import ExpiredHoldsQuery, LoadSpec, WaitingListQuery
from boxoffice.application.ports.queries import EventFilter
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.pay import complete_payment, start_payment
from boxoffice.domain.event import EventState
from boxoffice.domain.payment import Payment
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money
from tests.contract.box_office import (
    NOW,
    BoxOffice,
    booking_command,
    new_id,
    payment_command,
    settling_command,
)

from .recorded import recording


@contextmanager
def round_trips(storage: SqlStorage) -> Iterator[list[str]]:
    """What is sent meanwhile, COMMIT and ROLLBACK included: one entry for all that is sent at once."""
    sent: list[str] = []
    together = storage._writing.send
    is_together = False

    async def send(connection: AsyncConnection, statements: Sequence[Statement]) -> list[Result]:
        nonlocal is_together
        sent.append("; ".join(each.text for each in statements))
        is_together = True
        try:
            return await together(connection, statements)
        finally:
            is_together = False

    def sent_alone(*args: Any) -> None:
        if not is_together:
            sent.append(args[2])

    storage._writing.send = send
    for engine in (storage._writing.engine.sync_engine, storage._reading.engine.sync_engine):
        event.listen(engine, "before_cursor_execute", sent_alone)
        event.listen(engine, "commit", lambda _: sent.append("COMMIT"))
    yield sent
    storage._writing.send = together


async def book_together(storage: SqlStorage, states: list[EventState], *, keyed: int = 0) -> None:
    keys = [Key(new_id(), "key") for _ in range(keyed)]
    async with storage.begin() as unit_of_work:
        commands = [booking_command(state) for state in states]
        needs = [LoadSpec(event_id=each.event_id, customer_id=each.actor.user_id) for each in commands]
        found = await unit_of_work.events.lock(needs)
        if keys:
            assert await unit_of_work.events.stored_responses(keys) == {}
        decisions = []
        for command in commands:
            decision = book(found[command.event_id], command, NOW)
            found[command.event_id] = decision.inventory
            decisions.append(decision)
        await unit_of_work.events.save(decisions, new_id())
        if keys:
            answer = Response(b"{}" * 500)
            answers = [StoredResponse(key=key, fingerprint=bytes(32), answer=answer) for key in keys]
            await unit_of_work.events.store_responses(answers, NOW)
        await unit_of_work.commit()


async def start_together(storage: SqlStorage, bookings: Sequence[Booking]) -> list[Payment]:
    async with storage.begin() as unit_of_work:
        needs = [LoadSpec(event_id=each.event_id, booking_id=each.id, payments=True) for each in bookings]
        ((_, inventory),) = (await unit_of_work.events.lock(needs)).items()
        decisions = []
        for booking in bookings:
            decisions.append(start_payment(replace(inventory, bookings=(booking,)), payment_command(booking), NOW))
            inventory = decisions[-1].inventory
        await unit_of_work.events.save(decisions, new_id())
        await unit_of_work.commit()
    return [decision.outcome.payment for decision in decisions]


async def settle_together(storage: SqlStorage, charges: Sequence[Payment]) -> None:
    async with storage.begin() as unit_of_work:
        needs = [LoadSpec(event_id=each.event_id, booking_id=each.booking_id, payments=True) for each in charges]
        ((_, seen),) = (await unit_of_work.events.lock(needs)).items()
        inventory, decisions = seen, []
        for charge in charges:
            inventory = replace(inventory, bookings=seen.bookings, payments=seen.payments)
            decisions.append(complete_payment(inventory, settling_command(charge), NOW))
            inventory = decisions[-1].inventory
        await unit_of_work.events.save(decisions, new_id())
        await unit_of_work.commit()


async def cancel_together(storage: SqlStorage, bookings: list[Booking]) -> int:
    async with storage.begin() as unit_of_work:
        needs = [LoadSpec(event_id=each.event_id, booking_id=each.id, settles=True) for each in bookings]
        found = await unit_of_work.events.lock(needs)
        types = {each.id for inventory in found.values() for each in inventory.ticket_types}
        lines = await unit_of_work.events.lines([WaitingListQuery(each, None, len(bookings) + 1) for each in types])
        decisions = []
        for booking in bookings:
            inventory = replace(
                found[booking.event_id], waiting_lists={**lines, **found[booking.event_id].waiting_lists}
            )
            command = Cancel(event_id=booking.event_id, actor=Actor(booking.customer_id), booking_id=booking.id)
            decision = cancel(inventory, command, NOW)
            found[booking.event_id] = replace(decision.inventory, bookings=inventory.bookings)
            decisions.append(decision)
        await unit_of_work.events.save(decisions, new_id())
        await unit_of_work.commit()
    return sum(decision.promoted for decision in decisions)


@pytest.fixture
def office(any_storage: SqlStorage) -> BoxOffice:
    return BoxOffice(any_storage)


@pytest.mark.parametrize("commands", [1, 100])
async def test_booking(any_storage: SqlStorage, office: BoxOffice, commands: int) -> None:
    state = await office.initialize(1_000)
    with round_trips(any_storage) as sent:
        await book_together(any_storage, [state] * commands)
    # Lock and read; write and COMMIT; and SQLite says BEGIN.
    assert len([each for each in sent if not each.startswith("BEGIN")]) == 2, sent
    assert sent[-1].endswith("; COMMIT")


@pytest.mark.parametrize("commands", [1, 100])
async def test_booking_with_keys(any_storage: SqlStorage, office: BoxOffice, commands: int) -> None:
    state = await office.initialize(1_000)
    with round_trips(any_storage) as sent:
        await book_together(any_storage, [state] * commands, keyed=commands)
    # As without keys, and one look at them.
    assert len([each for each in sent if not each.startswith("BEGIN")]) == 3, sent


@pytest.mark.parametrize("commands", [1, 100])
async def test_paying(any_storage: SqlStorage, office: BoxOffice, commands: int) -> None:
    state = await office.initialize(1_000, price=Money(100, "EUR"), payment_window_minutes=5)
    bookings = await office.book_many(state, [1] * commands)
    with round_trips(any_storage) as sent:
        charges = await start_together(any_storage, bookings)
    assert len([each for each in sent if not each.startswith("BEGIN")]) == 2, sent
    sent.clear()
    with round_trips(any_storage) as sent:
        await settle_together(any_storage, charges)
    # What it changes of payments and bookings is looked at before COMMIT.
    assert len([each for each in sent if not each.startswith("BEGIN")]) == 3, sent


@pytest.mark.parametrize("events", [1, 100])
async def test_looking_for_lapsed_holds(any_storage: SqlStorage, office: BoxOffice, events: int) -> None:
    states = [await office.initialize(1) for _ in range(events)]
    with round_trips(any_storage) as sent:
        async with any_storage.begin() as unit_of_work:
            await unit_of_work.events.expired_holds([ExpiredHoldsQuery(state.event.id, NOW, 500) for state in states])
    assert len([each for each in sent if not each.startswith("BEGIN")]) == 1, sent


@pytest.mark.parametrize("events", [1, 100])
async def test_booking_over_many_events(any_storage: SqlStorage, office: BoxOffice, events: int) -> None:
    states = [await office.initialize(1) for _ in range(events)]
    with round_trips(any_storage) as sent:
        await book_together(any_storage, states)
    assert len([each for each in sent if not each.startswith("BEGIN")]) == 2, sent


@pytest.mark.parametrize("commands", [1, 100])
async def test_cancelling_with_promotion(any_storage: SqlStorage, office: BoxOffice, commands: int) -> None:
    state = await office.initialize(100)
    bookings = await office.book_many(state, [1] * 250)
    with round_trips(any_storage) as sent:
        assert await cancel_together(any_storage, bookings[:commands]) == commands
    # Lock and read; the lines; write.
    assert len([each for each in sent if not each.startswith("BEGIN")]) == 4, sent


async def test_reads_are_one_statement_each_and_one_for_places(any_storage: SqlStorage, office: BoxOffice) -> None:
    state = await office.initialize(1, 1)
    confirmed, waiting = await office.book_many(state, [1, 1])
    reads, event_id = office.reads, state.event.id
    on_sale = EventFilter(statuses=frozenset({state.event.status}))
    for statements, ask in (
        (1, reads.event_queries.events_by_id([event_id])),
        (1, reads.booking_queries.booking(confirmed.id)),
        (2, reads.booking_queries.booking(waiting.id)),
        (1, reads.booking_queries.bookings_of_customer(confirmed.customer_id, None, None, 10)),
        (2, reads.booking_queries.bookings_of_event(event_id, None, None, 10)),
        # The ticket types that somebody waits for are asked first.
        (3, reads.booking_queries.waiting_list(event_id, None, None, 10)),
        (1, reads.event_queries.events(on_sale, None, 10)),
        (2, reads.event_queries.events(replace(on_sale, q="jaz"), None, 10)),
        (3, reads.event_queries.events(replace(on_sale, q="jazz"), None, 10)),
        (1, reads.payment_queries.payments(confirmed.id)),
        (1, reads.payment_queries.open_payments(NOW + timedelta(days=1), 10)),
        (1, reads.event_queries.lapsing_events(NOW + timedelta(days=1), 10)),
    ):
        with recording(any_storage) as sent:
            await ask
        assert len(sent) == statements, sent


@pytest.mark.parametrize("customers", [1, 100])
async def test_what_customers_have_already_is_asked_for_once(
    any_storage: SqlStorage, office: BoxOffice, customers: int
) -> None:
    """What counts of them comes with the lock, and whole ones with one trip more."""
    state = await office.initialize(1_000)
    booked = await office.book_many(state, [1] * customers)
    customer_ids = [*(new_id() for _ in range(customers)), *(each.customer_id for each in booked)]
    for whole, trips in ((False, 1), (True, 2)):
        needs = [LoadSpec(event_id=state.event.id, customer_id=each, whole=whole) for each in customer_ids]
        with round_trips(any_storage) as sent:
            async with any_storage.begin() as unit_of_work:
                found = (await unit_of_work.events.lock(needs))[state.event.id]
        assert len([each for each in sent if not each.startswith("BEGIN")]) == trips, sent
        assert {each.id for each in found.of_customers} == {each.id for each in booked}
        assert {each.id for each in found.bookings} == ({each.id for each in booked} if whole else set())
