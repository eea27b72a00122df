"""Complimentary tickets: what a storage keeps of them, and many at once."""

import asyncio
from itertools import cycle

from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import Book, Complimentary, OtherCustomer, book
from boxoffice.domain.facts import TicketsGranted
from boxoffice.domain.refusals import SoldOut
from boxoffice.domain.tickets.ticket_type import EventState
from tests.settable_clock import SettableClock

from .storage_driver import NOW, ORGANIZER, NewIds, StorageDriver, new_id


def _gift(state: EventState, quantity: int) -> Book:
    return Book(
        booking_id=new_id(),
        event_id=state.event.id,
        actor=ORGANIZER,
        quantity=quantity,
        on_behalf_of=OtherCustomer(new_id()),
        complimentary=Complimentary("Für die Band 🎟"),
    )


async def test_gifts_and_bookings_at_once_take_what_there_is(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(10)
    await driver.book(state, quantity=9)
    await driver.book(state, quantity=2)
    turnstiles = cycle([Turnstile(driver.storage, SettableClock(NOW), NewIds()) for _ in range(2)])

    async def give(command: Book) -> Booking | None:
        needs = LoadSpec(event_id=state.event.id, customer_id=command.customer_id)
        try:
            return (await next(turnstiles).admit(command, needs, book)).outcome
        except SoldOut:
            return None

    found = await asyncio.gather(*(give(_gift(state, 1)) for _ in range(6)))
    (given,) = [each for each in found if each is not None]
    assert given.status is BookingStatus.CONFIRMED
    assert list(given.ticket_numbers) == [1]
    facts = await driver.storage.event_queries.facts(state.event.id, 3, 10)
    (fact,) = [each.what for each in facts]
    assert fact == TicketsGranted(
        ticket_type_id=given.ticket_type_id,
        customer_id=given.customer_id,
        quantity=1,
        amount=given.amount,
        reason="Für die Band 🎟",
        passed_over=1,
        granted_by=ORGANIZER.user_id,
    )
    assert (await VerifyPromises(driver.storage, SettableClock(NOW))()).breaches == []
