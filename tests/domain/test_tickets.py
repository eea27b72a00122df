"""Ticket numbers: 1 to n in the order of confirmation, kept for ever, and the ids that follow from them."""

from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import Book, book
from boxoffice.domain.decisions.decision_builder import DecisionBuilder
from boxoffice.domain.decisions.number_tickets import number_tickets
from boxoffice.domain.event import EventStatus
from boxoffice.domain.facts import tickets_confirmed
from boxoffice.domain.inventory import Inventory
from boxoffice.domain.tickets.ticket import Ticket, TicketStatus, ticket_id, ticket_status
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from tests.domain.domain_driver import ANA, BEN, CLEO, DAN, EVE, EVENT_ID, NOW, DomainDriver, euros


def numbers(driver: DomainDriver, booking: Booking) -> list[int]:
    """The numbers of the stored booking's tickets."""
    return list(driver.bookings[booking.id].ticket_numbers)


def test_each_booking_gets_the_next_numbers_when_it_is_confirmed() -> None:
    types = (TicketTypeSpec(name="Stalls", total_tickets=3), TicketTypeSpec(name="Balcony", total_tickets=3))
    driver = DomainDriver(types=types)
    stalls, balcony = driver.ticket_types
    first, other_type = driver.book(ANA, 2, stalls), driver.book(BEN, 2, balcony)
    waiting = driver.book(CLEO, 2, stalls)
    assert (list(first.ticket_numbers), list(other_type.ticket_numbers)) == ([1, 2], [3, 4])
    assert list(waiting.ticket_numbers) == []
    driver.cancel(first)
    assert numbers(driver, waiting) == [5, 6]
    assert numbers(driver, first) == [1, 2], "they are not used again"
    assert numbers(driver, driver.book(DAN, 1, balcony)) == [7]


def test_a_hold_gets_its_numbers_when_it_is_paid_in_time_or_late() -> None:
    driver = DomainDriver(3, price=euros(25), payment_window_minutes=15)
    slow, quick, lapsed = driver.book(ANA, 2), driver.book(BEN), driver.book(CLEO)
    assert lapsed.status is BookingStatus.WAITLISTED
    assert numbers(driver, slow) == numbers(driver, quick) == []
    paid = driver.pay(quick)
    assert list(paid.ticket_numbers) == numbers(driver, quick) == [1]
    driver.now += timedelta(minutes=15)
    driver.settle()
    assert driver.bookings[slow.id].status is BookingStatus.EXPIRED
    assert numbers(driver, slow) == numbers(driver, lapsed) == []
    driver.cancel(lapsed)
    assert list(driver.pay(driver.bookings[slow.id]).ticket_numbers) == [2, 3]


def test_numbers_stay_when_a_confirmed_booking_is_paid_and_its_event_ends() -> None:
    driver = DomainDriver(2, price=euros(25))
    booking = driver.book(ANA, 2)
    driver.pay(booking)
    driver.edit(status=EventStatus.CANCELLED)
    driver.settle()
    assert numbers(driver, booking) == [1, 2]
    assert ticket_status(driver.bookings[booking.id].status, None) is TicketStatus.VOID
    assert driver.state.event.last_ticket_number == 2


def unnumbered(driver: DomainDriver) -> Inventory:
    """The event as it was before tickets had numbers."""
    event = replace(driver.state.event, last_ticket_number=0, numbered_to=0)
    bookings = tuple(replace(each, first_ticket_number=None) for each in driver.bookings.values())
    return replace(driver.inventory, event=event, bookings=bookings)


@pytest.mark.parametrize("step", [1, 2, 100])
def test_earlier_tickets_get_the_numbers_that_they_would_have_got(step: int) -> None:
    """In steps of any length, and no fact is needed."""
    driver = DomainDriver(3, price=euros(25))
    first = driver.book(ANA, 2)
    driver.book(BEN, 3)
    driver.pay(first)
    driver.cancel(first)
    driver.book(CLEO)
    driver.cancel(driver.book(DAN, 3))
    inventory = unnumbered(driver)
    done = 0
    while inventory.event.numbered_to is not None:
        facts = driver.facts[inventory.event.numbered_to :][:step]
        decision = number_tickets(inventory, facts, driver.now)
        assert (decision.facts, decision.booked, decision.changed_ticket_types) == ((), (), ())
        changed = {each.after.id: each.after for each in decision.changed}
        bookings = tuple(changed.get(each.id, each) for each in inventory.bookings)
        inventory = replace(decision.inventory, bookings=bookings)
        done += 1
    assert done == -(-len(driver.facts) // step)
    assert inventory.event == driver.state.event
    assert {each.id: each for each in inventory.bookings} == driver.bookings


def test_until_all_earlier_tickets_are_numbered_later_ones_wait_for_their_numbers() -> None:
    driver = DomainDriver(9)
    driver.book(ANA, 2)
    expected = [driver.book(BEN), driver.book(EVE)]
    inventory = unnumbered(driver)
    partly = number_tickets(inventory, driver.facts[:2], driver.now).inventory
    assert (partly.event.numbered_to, partly.event.last_ticket_number) == (2, 2)
    done = number_tickets(replace(inventory, event=partly.event), driver.facts[2:], driver.now)
    assert [each.after.first_ticket_number for each in done.changed] == [each.first_ticket_number for each in expected]
    command = Book(booking_id=driver.new_id(), event_id=EVENT_ID, actor=CLEO)
    meanwhile = replace(driver.inventory, event=replace(driver.state.event, numbered_to=2))
    assert book(meanwhile, command, driver.now).outcome.first_ticket_number is None
    assert book(driver.inventory, command, driver.now).outcome.first_ticket_number == 5


def test_an_event_without_facts_to_read_is_done_at_once() -> None:
    driver = DomainDriver(1)
    event = replace(driver.state.event, numbered_to=driver.state.event.last_seq)
    assert number_tickets(replace(driver.inventory, event=event), [], driver.now).inventory.event.numbered_to is None


def test_a_tickets_id_follows_from_its_booking_and_number_as_documented() -> None:
    booking_id = UUID("0190a5e0-1234-7abc-8def-0123456789ab")
    found = ticket_id(booking_id, 258)
    digest = sha256(booking_id.bytes + bytes([0, 0, 1, 2])).digest()
    between = [digest[0] & 0x0F | 0x70, digest[1], digest[2] & 0x3F | 0x80, *digest[3:6]]
    assert found.bytes == booking_id.bytes[:6] + bytes(between) + bytes([0, 0, 1, 2])
    assert (found.version, found.variant) == (7, booking_id.variant)
    others = {ticket_id(booking_id, 259), ticket_id(UUID(int=booking_id.int + 1), 258)}
    assert len({found, *others}) == 3
    with pytest.raises(OverflowError):
        ticket_id(booking_id, 2**32)


def test_a_ticket_differs_from_its_booking_only_once_something_happened_to_it() -> None:
    driver = DomainDriver(3)
    booking = driver.book(ANA, 3)
    builder = DecisionBuilder(driver.inventory, driver.now)
    assert builder.ticket(booking, 2) == Ticket(booking_id=booking.id, event_id=EVENT_ID, number=2)
    renamed = replace(builder.ticket(booking, 2), holder_name="Bo")
    builder.put_ticket(renamed)
    builder.put_ticket(replace(builder.ticket(booking, 1), serial=2))
    assert builder.ticket(booking, 2) == renamed
    decision = builder.decision(None)
    driver.take(decision)
    assert [each.number for each in decision.tickets] == [2, 1]
    later = DecisionBuilder(driver.inventory, driver.now)
    assert later.ticket(booking, 2) == renamed
    assert later.ticket(booking, 3).serial == 1
    assert later.decision(None).tickets == ()


def test_the_status_of_a_ticket_follows_from_its_booking_and_from_what_happened_to_it() -> None:
    ticket = Ticket(booking_id=UUID(int=1), event_id=EVENT_ID, number=1, holder_name="Bo")
    used = replace(ticket, checked_in_at=NOW)
    returned = replace(used, is_returned=True)
    confirmed = [ticket_status(BookingStatus.CONFIRMED, each) for each in (None, ticket, used, returned)]
    assert confirmed == [TicketStatus.VALID, TicketStatus.VALID, TicketStatus.USED, TicketStatus.VOID]
    cancelled = {ticket_status(BookingStatus.CANCELLED, each) for each in (None, ticket, used, returned)}
    assert cancelled == {TicketStatus.VOID}


def test_a_fact_that_confirms_nothing_gives_no_tickets() -> None:
    driver = DomainDriver(1, price=euros(25))
    booking = driver.book(ANA)
    driver.book(BEN)
    driver.pay(booking)
    driver.cancel(booking)
    given = [(fact.kind, tickets_confirmed(fact.what)) for fact in driver.facts]
    assert [each for each in given if each[1]] == [("TicketsBooked", 1), ("BookingPromoted", 1)]
