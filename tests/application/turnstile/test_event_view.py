"""The view of an event in a batch: each command sees what it needs, with the decisions before it."""

from uuid import UUID

from msgspec.structs import replace

from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.turnstile.event_view import EventView
from boxoffice.domain.decisions.decision_builder import DecisionBuilder
from boxoffice.domain.tickets.ticket import Ticket
from tests.domain.domain_driver import ANA, BEN, EVENT_ID, NOW, DomainDriver


def test_a_command_sees_the_tickets_of_its_booking_with_the_decisions_before_it() -> None:
    driver = DomainDriver(4)
    bookings = [driver.book(ANA, 2), driver.book(BEN)]
    stored = Ticket(booking_id=bookings[0].id, event_id=EVENT_ID, number=1, serial=2)
    view = EventView(replace(driver.inventory, tickets=(stored,)))
    of_booking = LoadSpec(event_id=EVENT_ID, booking_id=bookings[0].id, tickets=True)
    assert view.for_command(of_booking).tickets == (stored,)
    builder = DecisionBuilder(view.for_command(of_booking), NOW)
    again, other = replace(stored, serial=3), builder.ticket(bookings[0], 2)
    builder.put_ticket(again)
    builder.put_ticket(other)
    view.apply(builder.decision(None))
    assert view.for_command(of_booking).tickets == (again, other)
    assert view.for_command(replace(of_booking, booking_id=bookings[1].id)).tickets == ()
    assert view.for_command(LoadSpec(event_id=EVENT_ID, customer_id=UUID(int=3))).tickets == ()
