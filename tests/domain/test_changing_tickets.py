"""Naming holders of tickets and new codes: who may, until when, and what the facts tell."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.change_ticket import ChangeTicket, IssuedTicket, change_ticket
from boxoffice.domain.event import EventStatus
from boxoffice.domain.facts import CheckInUndone, Fact, TicketCheckedIn, TicketReissued
from boxoffice.domain.policy import KeyRole, KeyScope, StaffRole
from boxoffice.domain.refusals import (
    EventClosed,
    EventStarted,
    InvalidRequest,
    NotAllowed,
    NotFound,
    Refusal,
    TicketVoid,
)
from boxoffice.domain.replay.ticket_replay import TicketByFacts, replay_tickets, stored_tickets
from boxoffice.domain.tickets.ticket import Ticket, number_of, ticket_id
from boxoffice.domain.user import Actor
from tests.domain.domain_driver import (
    ADMIN,
    ANA,
    BEN,
    EVENT_ID,
    NOW,
    ORGANIZER,
    START,
    STRANGER,
    DomainDriver,
)

DESK, DOOR = (BEN.on_duty(EVENT_ID, role) for role in (StaffRole.DESK, StaffRole.DOOR))


def change(
    driver: DomainDriver,
    booking: Booking,
    actor: Actor = ANA,
    *,
    number: int | None = None,
    id_: UUID | None = None,
    name: str | None = None,
    reissue: bool = False,
) -> IssuedTicket:
    """Change the first ticket of a booking, or the one with this number."""
    number = number or booking.first_ticket_number or 1
    command = ChangeTicket(
        event_id=EVENT_ID,
        booking_id=booking.id,
        ticket_id=id_ or ticket_id(booking.id, number),
        actor=actor,
        holder_name=name,
        reissue=reissue,
    )
    return driver.take(change_ticket(driver.inventory, command, driver.now))


def test_a_name_is_trimmed_and_in_no_fact() -> None:
    driver = DomainDriver()
    booking = driver.book(ANA, 2)
    facts = list(driver.facts)
    issued = change(driver, booking, number=2, name="  Grace ")
    assert issued.booking == booking
    named = Ticket(booking_id=booking.id, event_id=EVENT_ID, number=2, holder_name="Grace")
    assert issued.ticket == named
    assert driver.facts == facts
    assert driver.tickets == {2: named}
    assert change(driver, booking, number=2, name="Hopper").ticket == replace(named, holder_name="Hopper")


def test_each_new_code_has_the_next_serial_and_is_a_fact() -> None:
    driver = DomainDriver()
    booking = driver.book(ANA, 2)
    change(driver, booking, name="Grace")
    for serial in (2, 3):
        ticket = change(driver, booking, reissue=True).ticket
        assert (ticket.serial, ticket.holder_name) == (serial, "Grace")
        assert driver.facts[-1].what == TicketReissued(ticket_id=ticket_id(booking.id, 1), serial=serial)
        assert driver.facts[-1].booking_id == booking.id
    both = change(driver, booking, reissue=True, name="Hopper").ticket
    assert (both.serial, both.holder_name) == (4, "Hopper")
    assert (
        replay_tickets(driver.facts)
        == stored_tickets(booking, driver.tickets.values())
        == {1: TicketByFacts(both.serial)}
    )


@pytest.mark.parametrize("actor", [ORGANIZER, ADMIN, DESK], ids=["organizer", "admin", "desk"])
def test_the_desk_and_up_change_tickets_at_any_time(actor: Actor) -> None:
    driver = DomainDriver(starts_at=START)
    booking = driver.book(ANA)
    driver.now = START
    assert change(driver, booking, actor, name="Grace").ticket.holder_name == "Grace"
    driver.edit(status=EventStatus.COMPLETED)
    assert change(driver, booking, actor, reissue=True).ticket.serial == 2


def test_its_customer_may_until_the_start_and_while_the_event_is_not_over() -> None:
    driver = DomainDriver(starts_at=START)
    booking = driver.book(ANA)
    driver.now = START
    with pytest.raises(EventStarted):
        change(driver, booking, name="Grace")
    over = DomainDriver()
    booking = over.book(ANA)
    over.edit(status=EventStatus.COMPLETED)
    with pytest.raises(EventClosed):
        change(over, booking, name="Grace")


@pytest.mark.parametrize(
    ("actor", "refusal"),
    [
        (STRANGER, NotFound),
        (DOOR, NotAllowed),
        (replace(ANA, scope=KeyScope(KeyRole.READ)), NotAllowed),
        (replace(ORGANIZER, scope=KeyScope(KeyRole.DOOR)), NotAllowed),
    ],
    ids=["stranger", "door", "the customer's key that reads", "the organizer's key for the door"],
)
def test_nobody_else_may(actor: Actor, refusal: type[Refusal]) -> None:
    driver = DomainDriver()
    with pytest.raises(refusal):
        change(driver, driver.book(ANA), actor, name="Grace")


def test_staff_are_customers_towards_their_own_tickets() -> None:
    driver = DomainDriver(starts_at=START)
    booking = driver.book(BEN)
    assert change(driver, booking, DESK, name="Grace").ticket.holder_name == "Grace"
    driver.now = START
    with pytest.raises(EventStarted):
        change(driver, booking, DESK, name="Grace")


def test_void_tickets_stay_as_they_are() -> None:
    driver = DomainDriver()
    booking, returned = driver.book(ANA), driver.book(BEN)
    driver.cancel(booking)
    for actor in (ANA, ORGANIZER):
        with pytest.raises(TicketVoid):
            change(driver, booking, actor, reissue=True)
    driver.tickets[2] = Ticket(booking_id=returned.id, event_id=EVENT_ID, number=2, is_returned=True)
    with pytest.raises(TicketVoid):
        change(driver, returned, BEN, number=2, name="Grace")


def test_the_tickets_of_a_cancelled_event_are_void_before_its_bookings_have_ended() -> None:
    driver = DomainDriver()
    booking = driver.book(ANA)
    inventory = driver.inventory
    cancelled = replace(inventory, event=replace(inventory.event, status=EventStatus.CANCELLED))
    command = ChangeTicket(
        event_id=EVENT_ID, booking_id=booking.id, ticket_id=ticket_id(booking.id, 1), actor=ANA, reissue=True
    )
    with pytest.raises(TicketVoid):
        change_ticket(cancelled, command, driver.now)


def test_ids_of_other_tickets_are_unknown() -> None:
    driver = DomainDriver(2)
    booking, other = driver.book(ANA), driver.book(BEN)
    waiting = driver.book(STRANGER)
    for id_ in (ticket_id(other.id, 1), ticket_id(booking.id, 2), ticket_id(other.id, 2), other.id):
        with pytest.raises(NotFound):
            change(driver, booking, id_=id_, name="Grace")
    with pytest.raises(NotFound):
        change(driver, waiting, STRANGER, id_=ticket_id(waiting.id, 1), name="Grace")


def test_a_change_is_something_and_a_name_a_name() -> None:
    driver = DomainDriver()
    booking = driver.book(ANA)
    for name in (None, "", "  ", "x" * 201, "a\nb"):
        with pytest.raises(InvalidRequest):
            change(driver, booking, name=name)


def test_a_tickets_id_tells_its_number() -> None:
    for number in (1, 2, 2**32 - 1):
        assert number_of(ticket_id(UUID(int=7), number)) == number


def test_facts_that_contradict_each_other_give_no_tickets() -> None:
    driver = DomainDriver()
    booking = driver.book(ANA)
    change(driver, booking, reissue=True)
    fact = driver.facts[-1]

    def altered(**values: object) -> list[Fact]:
        return [replace(fact, what=replace(fact.what, **values))]

    assert replay_tickets([fact]) == stored_tickets(booking, driver.tickets.values())
    assert replay_tickets(altered(serial=3)) is None
    assert replay_tickets([fact, fact]) is None
    assert replay_tickets(altered(ticket_id=ticket_id(UUID(int=1), 1))) is None
    assert replay_tickets([replace(fact, booking_id=None)]) is None
    used = replace(fact, what=TicketCheckedIn(ticket_id=ticket_id(booking.id, 1), at=NOW, device="Gate"))
    undone = replace(fact, what=CheckInUndone(ticket_id=ticket_id(booking.id, 1)))
    assert replay_tickets([used]) == {1: TicketByFacts(is_used=True)}
    assert replay_tickets([used, undone]) == {}
    assert replay_tickets([used, used]) is None
    assert replay_tickets([undone]) is None
    # What becomes of the use of a void ticket is told by no fact.
    driver.cancel(booking)
    assert replay_tickets([used, driver.facts[-1]]) == {}
    let_in = replace(driver.tickets[1], serial=1, checked_in_at=NOW)
    assert stored_tickets(booking, [let_in]) == {1: TicketByFacts(is_used=True)}
    assert stored_tickets(driver.bookings[booking.id], [let_in]) == {}
