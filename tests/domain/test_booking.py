"""Booking: who gets tickets, who waits, who is refused, and the order of the refusals."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus, PaymentStatus, Place
from boxoffice.domain.decisions.book import Book, OtherCustomer, book
from boxoffice.domain.event import EventStatus, WaitingListMode, WaitingListPolicy
from boxoffice.domain.facts import CustomerWaitlisted, TicketsBooked
from boxoffice.domain.policy import StaffRole
from boxoffice.domain.refusals import (
    AlreadyBooked,
    EventStarted,
    ExceedsCapacity,
    InvalidRequest,
    LimitExceeded,
    NotAllowed,
    NotFound,
    NotOnSale,
    Refusal,
    SoldOut,
)
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money
from tests.domain.domain_driver import (
    ADMIN,
    ANA,
    BEN,
    CLEO,
    DAN,
    EVENT_ID,
    MICROSECOND,
    NOW,
    ORGANIZER,
    OTHER_ORGANIZER,
    START,
    STRANGER,
    DomainDriver,
    customer,
    euros,
)

STRICT, FILL = WaitingListPolicy
STALLS = TicketTypeSpec(name="Stalls", total_tickets=2)
BALCONY = TicketTypeSpec(name="Balcony", total_tickets=4, price=euros(10))


def test_tickets_that_are_left_are_confirmed_at_once() -> None:
    driver = DomainDriver(3)
    booking = driver.book(ANA, 2)

    assert booking.status is BookingStatus.CONFIRMED
    assert (booking.event_id, booking.customer_id, booking.quantity) == (EVENT_ID, ANA.user_id, 2)
    assert booking.ticket_type_id == driver.ticket_type.id
    assert (booking.queue_number, booking.place, booking.expires_at) == (None, None, None)
    assert (booking.created_at, booking.updated_at) == (NOW, NOW)
    assert driver.ticket_type.available == 1


def test_a_customer_who_finds_too_few_tickets_waits_and_learns_the_place() -> None:
    driver = DomainDriver(3)
    driver.book(ANA, 2)
    first, second = driver.book(BEN, 2), driver.book(CLEO, 3)
    assert first.status is second.status is BookingStatus.WAITLISTED
    assert (first.place, second.place) == (Place(1, 0), Place(2, 2))
    assert (first.queue_number, second.queue_number) == (1, 2)
    assert (driver.ticket_type.waiting, driver.ticket_type.waiting_tickets) == (2, 5)
    assert driver.bookings[first.id].place is None, "it changes, so it is not stored"


@pytest.mark.parametrize(
    ("policy", "in_line", "quantity", "status"),
    [
        (STRICT, 2, 1, BookingStatus.WAITLISTED),
        (FILL, 2, 1, BookingStatus.CONFIRMED),
        (FILL, 3, 2, BookingStatus.WAITLISTED),
    ],
)
def test_only_under_fill_a_newcomer_may_take_tickets_while_others_wait(
    policy: WaitingListPolicy, in_line: int, quantity: int, status: BookingStatus
) -> None:
    driver = DomainDriver(3, waiting_list_policy=policy)
    driver.book(ANA, 2)
    driver.book(BEN, in_line)
    assert driver.state.is_sold_out(driver.now) is (policy is STRICT)
    assert driver.book(CLEO, quantity).status is status


# Without the waiting list.


@given(
    policy=st.sampled_from(WaitingListPolicy),
    crowd=st.lists(st.integers(1, 4), max_size=6),
    left=st.integers(0, 5),
    quantity=st.integers(1, 4),
    is_off=st.booleans(),
)
def test_whoever_would_have_to_wait_is_refused_and_nobody_else(
    policy: WaitingListPolicy, crowd: list[int], left: int, quantity: int, is_off: bool
) -> None:
    driver = DomainDriver(4, waiting_list_policy=policy)
    for each in [driver.book(customer(number), wanted) for number, wanted in enumerate(crowd)][left:]:
        driver.cancel(each)
    command = Book(booking_id=driver.new_id(), event_id=EVENT_ID, actor=ANA, quantity=quantity)
    allowed = book(driver.inventory, command, driver.now)
    if is_off:
        driver.edit(waiting_list=WaitingListMode.OFF)
    else:
        command = replace(command, only_if_available=True)
    if allowed.outcome.status is BookingStatus.WAITLISTED:
        with pytest.raises(SoldOut):
            book(driver.inventory, command, driver.now)
    else:
        assert book(driver.inventory, command, driver.now).booked == allowed.booked


def test_who_waits_when_the_waiting_list_is_turned_off_stays_and_is_served() -> None:
    driver = DomainDriver(2)
    taken = driver.book(ANA, 2)
    first, second = driver.book(BEN), driver.book(CLEO, 2)
    driver.edit(waiting_list=WaitingListMode.OFF)
    assert driver.in_line() == [driver.bookings[first.id], driver.bookings[second.id]]
    driver.cancel(taken)
    assert driver.statuses(first, second) == ["confirmed", "waitlisted"]
    with pytest.raises(SoldOut):
        driver.book(DAN)
    driver.edit(waiting_list=WaitingListMode.ON)
    assert driver.book(DAN).place == Place(2, 2)


def test_a_booking_without_the_waiting_list_is_refused_for_the_customers_limits_first() -> None:
    driver = DomainDriver(types=[STALLS, BALCONY], max_tickets_per_customer=2, waiting_list=WaitingListMode.OFF)
    stalls, balcony = driver.ticket_types
    driver.book(ANA, 2, stalls)
    driver.book(BEN, 1, balcony)
    driver.book(CLEO, 2, balcony)
    for actor, quantity, ticket_type, refusal in (
        (ANA, 3, stalls, ExceedsCapacity),
        (ANA, 1, stalls, AlreadyBooked),
        (BEN, 2, stalls, LimitExceeded),
        (BEN, 1, stalls, SoldOut),
    ):
        with pytest.raises(refusal):
            driver.book(actor, quantity, ticket_type, only_if_available=True)


# For another person.

DESK, DOOR = (
    Actor(UUID(int=910 + rank), duties={EVENT_ID: StaffRole(role)}) for rank, role in enumerate(("desk", "door"))
)
ANAS = OtherCustomer(ANA.user_id)


@pytest.mark.parametrize("actor", [DESK, ORGANIZER, ADMIN])
@pytest.mark.parametrize("waits", [False, True])
def test_a_booking_for_another_person_is_theirs(actor: Actor, waits: bool) -> None:
    driver = DomainDriver(2)
    if waits:
        driver.book(BEN, 2)
    booking = driver.book(actor, 2, on_behalf_of=ANAS)
    assert booking.customer_id == ANA.user_id
    fact = driver.facts[-1].what
    assert isinstance(fact, CustomerWaitlisted if waits else TicketsBooked)
    assert (fact.customer_id, fact.booked_by) == (ANA.user_id, actor.user_id)
    assert driver.cancel(booking, ANA).status is BookingStatus.CANCELLED


def test_who_books_for_themselves_is_not_named_twice() -> None:
    driver = DomainDriver(2)
    driver.book(ANA)
    fact = driver.facts[-1].what
    assert isinstance(fact, TicketsBooked)
    assert fact.booked_by is None


@pytest.mark.parametrize("actor", [DOOR, BEN, ANA, OTHER_ORGANIZER])
def test_only_the_desk_and_above_books_for_others(actor: Actor) -> None:
    driver = DomainDriver(2, starts_at=START)
    driver.now = START
    with pytest.raises(NotAllowed):
        driver.book(actor, on_behalf_of=ANAS)
    with pytest.raises(NotFound if actor is not DOOR else NotAllowed):
        DomainDriver(status=EventStatus.DRAFT).book(actor, on_behalf_of=ANAS)


def test_the_limits_are_those_of_the_person_booked_for() -> None:
    driver = DomainDriver(types=[STALLS, BALCONY], max_tickets_per_customer=2)
    stalls, balcony = driver.ticket_types
    theirs = driver.book(DESK, 1, stalls, on_behalf_of=ANAS)
    driver.book(DESK, 2, balcony)
    with pytest.raises(AlreadyBooked, match="This person") as refused:
        driver.book(DESK, 1, stalls, on_behalf_of=ANAS)
    assert refused.value.members == {"booking_id": str(theirs.id)}
    with pytest.raises(LimitExceeded):
        driver.book(DESK, 2, balcony, on_behalf_of=ANAS)
    with pytest.raises(AlreadyBooked):
        driver.book(ANA, 1, stalls)
    driver.book(DESK, 1, balcony, on_behalf_of=ANAS)


def test_nothing_is_booked_for_a_disabled_account() -> None:
    driver = DomainDriver(1, waiting_list=WaitingListMode.OFF)
    driver.book(BEN)
    with pytest.raises(NotAllowed, match="this person"):
        driver.book(DESK, on_behalf_of=replace(ANAS, is_disabled=True))


# What a booking costs.


@pytest.mark.parametrize(
    ("price", "amount", "status"),
    [
        (None, euros(0), PaymentStatus.NONE),
        (Money(0, "USD"), Money(0, "USD"), PaymentStatus.NONE),
        (euros(25), euros(75), PaymentStatus.DUE),
    ],
)
def test_a_booking_costs_the_price_times_the_quantity(
    price: Money | None, amount: Money, status: PaymentStatus
) -> None:
    booking = DomainDriver(3, price=price).book(ANA, 3)
    assert (booking.amount, booking.payment_status) == (amount, status)


# Facts.


# When newcomers may book.


@pytest.mark.parametrize("status", [EventStatus.PAUSED, EventStatus.COMPLETED, EventStatus.CANCELLED])
@pytest.mark.parametrize("actor", [ANA, ORGANIZER, ADMIN])
def test_an_event_that_is_not_on_sale_takes_no_bookings(status: EventStatus, actor: Actor) -> None:
    driver = DomainDriver(starts_at=START)
    driver.edit(status=status)
    with pytest.raises(NotOnSale):
        driver.book(actor)
    driver.now = START
    with pytest.raises(NotOnSale):
        driver.book(actor)


@pytest.mark.parametrize(
    ("actor", "refusal"),
    [(ANA, NotFound), (STRANGER, NotFound), (OTHER_ORGANIZER, NotFound), (ORGANIZER, NotOnSale), (ADMIN, NotOnSale)],
)
def test_only_those_who_manage_a_draft_learn_that_it_is_there(actor: Actor, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        DomainDriver(status=EventStatus.DRAFT).book(actor)


def test_booking_is_possible_while_the_sale_is_open_to_the_microsecond() -> None:
    opens, closes = NOW + timedelta(days=1), NOW + timedelta(days=2)
    driver = DomainDriver(sales_open_at=opens, sales_close_at=closes, starts_at=START)
    driver.now = opens - MICROSECOND
    with pytest.raises(NotOnSale) as refusal:
        driver.book(ANA)
    assert f"opens at {opens:%Y-%m-%dT%H:%M:%S}Z." in str(refusal.value)
    driver.now = opens
    assert driver.book(ANA).status is BookingStatus.CONFIRMED
    driver.now = closes - MICROSECOND
    driver.book(BEN)
    driver.now = closes
    with pytest.raises(NotOnSale, match="closed"):
        driver.book(CLEO)
    driver.now = START
    with pytest.raises(EventStarted):
        driver.book(CLEO)


def test_booking_ends_with_the_start_to_the_microsecond() -> None:
    driver = DomainDriver(starts_at=START)
    driver.now = START - MICROSECOND
    driver.book(ANA)
    driver.now = START
    with pytest.raises(EventStarted):
        driver.book(BEN)


# One live booking per customer and ticket type, and no more tickets than the event grants.


def test_a_second_live_booking_of_a_type_is_refused_with_the_first_ones_id() -> None:
    driver = DomainDriver(2)
    for booking in (driver.book(ANA, 2), driver.book(BEN)):
        with pytest.raises(AlreadyBooked) as refused:
            driver.book(Actor(booking.customer_id))
        assert refused.value.members == {"booking_id": str(booking.id)}


def test_the_limit_counts_the_live_tickets_of_all_types_and_those_on_a_waiting_list() -> None:
    driver = DomainDriver(types=[STALLS, BALCONY], max_tickets_per_customer=4)
    stalls, balcony = driver.ticket_types
    driver.book(BEN, 2, stalls)
    assert driver.book(ANA, 2, stalls).status is BookingStatus.WAITLISTED
    with pytest.raises(LimitExceeded):
        driver.book(ANA, 3, balcony)
    driver.book(ANA, 2, balcony)


# Which type is meant.


def test_the_type_may_be_left_out_only_where_there_is_one() -> None:
    with pytest.raises(InvalidRequest) as refused:
        DomainDriver(types=[STALLS, BALCONY]).book(ANA)
    assert [error.path for error in refused.value.errors] == [("ticket_type_id",)]


def test_a_type_of_another_event_is_not_found() -> None:
    elsewhere = DomainDriver(types=[STALLS, BALCONY, replace(STALLS, name="Boxes")]).ticket_types[2]
    driver = DomainDriver(types=[STALLS, BALCONY])
    with pytest.raises(NotFound):
        driver.book(ANA, 1, elsewhere)
    driver.pause()
    with pytest.raises(NotFound):
        driver.book(ANA, 1, elsewhere)
    with pytest.raises(InvalidRequest):
        driver.book(ANA)


@pytest.mark.parametrize(("quantity", "detail"), [(0, "at least 1"), (-1, "at least 1"), (1_001, "at most 1000")])
def test_a_quantity_is_1_to_1000(quantity: int, detail: str) -> None:
    with pytest.raises(InvalidRequest, match=detail) as refused:
        Book(booking_id=EVENT_ID, event_id=EVENT_ID, actor=ANA, quantity=quantity)
    assert [error.path for error in refused.value.errors] == [("quantity",)]


# The order of the refusals.


@pytest.mark.parametrize(
    ("now", "refusal"),
    [(NOW + timedelta(days=2), NotOnSale), (START, EventStarted), (NOW, ExceedsCapacity)],
)
def test_a_booking_is_refused_for_the_sale_then_for_the_capacity(now: datetime, refusal: type[Refusal]) -> None:
    driver = DomainDriver(2, starts_at=START, sales_close_at=NOW + timedelta(days=1), max_tickets_per_customer=1)
    driver.book(ANA)
    driver.now = now
    with pytest.raises(refusal):
        driver.book(ANA, 3)


# Whether an event is sold out.


def test_while_a_paused_event_fills_the_smallest_waiting_booking_decides() -> None:
    driver = DomainDriver(5, waiting_list_policy=FILL)
    driver.book(ANA, 5)
    driver.book(BEN, 3)
    driver.pause()
    driver.edit(total_tickets=7)
    assert not driver.state.is_sold_out(driver.now), "two tickets fit no waiting booking"
    assert driver.ticket_type.must_wait(1, driver.state.event, driver.now), "an unknown size is taken to fit"
    assert not driver.ticket_type.must_wait(1, driver.state.event, driver.now, smallest_waiting=3)
    driver.edit(total_tickets=8)
    assert driver.state.is_sold_out(driver.now)
