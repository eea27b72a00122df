"""Booking: who gets tickets, who waits, who is refused, and which refusal comes first."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from boxoffice.domain.booking import BookingStatus, PaymentStatus, Place
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.event import EventStatus, TicketTypeSpec, WaitingListPolicy
from boxoffice.domain.facts import CustomerWaitlisted, TicketsBooked
from boxoffice.domain.refusals import (
    AlreadyBooked,
    EventStarted,
    ExceedsCapacity,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    NotOnSale,
    Refusal,
)
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money
from tests.domain.office import (
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
    Office,
    customer,
    euros,
)

FILL = WaitingListPolicy.FILL
STALLS = TicketTypeSpec(name="Stalls", total_tickets=2)
BALCONY = TicketTypeSpec(name="Balcony", total_tickets=4, price=euros(10))


def test_tickets_that_are_left_are_confirmed_at_once() -> None:
    office = Office(3)
    booking = office.book(ANA, 2)

    assert booking.status is BookingStatus.CONFIRMED
    assert (booking.event_id, booking.customer_id, booking.quantity) == (EVENT_ID, ANA.user_id, 2)
    assert booking.ticket_type_id == office.ticket_type.id
    assert (booking.queue_number, booking.place, booking.expires_at) == (None, None, None)
    assert (booking.created_at, booking.updated_at) == (NOW, NOW)
    assert office.ticket_type.available == 1


def test_the_last_ticket_is_confirmed() -> None:
    office = Office(1)
    assert office.book(ANA).status is BookingStatus.CONFIRMED
    assert office.ticket_type.available == 0


def test_who_finds_too_few_tickets_waits_and_is_told_the_place() -> None:
    office = Office(3)
    office.book(ANA, 2)
    first, second = office.book(BEN, 2), office.book(CLEO, 3)

    assert first.status is second.status is BookingStatus.WAITLISTED
    assert (first.place, second.place) == (Place(1, 0), Place(2, 2))
    assert (first.queue_number, second.queue_number) == (1, 2)
    assert (office.ticket_type.waiting, office.ticket_type.waiting_tickets) == (2, 5)


def test_the_place_of_an_answer_is_stored_nowhere() -> None:
    office = Office(1)
    office.book(ANA)
    waiting = office.book(BEN)
    assert waiting.place is not None
    assert office.bookings[waiting.id].place is None


def test_a_newcomer_waits_while_anyone_waits_under_strict() -> None:
    office = Office(3)
    office.book(ANA, 2)
    office.book(BEN, 2)
    assert office.book(CLEO).status is BookingStatus.WAITLISTED
    assert office.ticket_type.available == 1


def test_a_newcomer_takes_under_fill_what_fits_nobody_in_line() -> None:
    office = Office(3, waiting_list_policy=FILL)
    office.book(ANA, 2)
    office.book(BEN, 2)
    assert office.book(CLEO).status is BookingStatus.CONFIRMED


def test_a_newcomer_waits_under_fill_where_too_few_are_left() -> None:
    office = Office(3, waiting_list_policy=FILL)
    office.book(ANA, 2)
    office.book(BEN, 3)
    assert office.book(CLEO, 2).status is BookingStatus.WAITLISTED


def test_those_who_wait_for_another_type_are_in_nobodys_way() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, balcony = office.ticket_types
    office.book(ANA, 2, stalls)
    assert office.book(BEN, 1, stalls).status is BookingStatus.WAITLISTED
    assert office.book(CLEO, 1, balcony).status is BookingStatus.CONFIRMED
    assert office.book(DAN, 1, stalls).place == Place(2, 1)


def test_queue_numbers_are_issued_per_event_and_never_twice() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, balcony = office.ticket_types
    office.book(ANA, 2, stalls)
    office.book(ANA, 4, balcony)
    numbers = [office.book(who, 1, kind).queue_number for who in (BEN, CLEO) for kind in (stalls, balcony)]
    assert numbers == [1, 2, 3, 4]


# What a booking costs.


def test_a_free_booking_costs_nothing_in_the_events_currency() -> None:
    booking = Office(3).book(ANA, 2)
    assert (booking.amount, booking.payment_status) == (Money(0, "EUR"), PaymentStatus.NONE)


def test_a_price_of_zero_is_free() -> None:
    booking = Office(3, price=Money(0, "USD")).book(ANA)
    assert (booking.amount, booking.payment_status) == (Money(0, "USD"), PaymentStatus.NONE)


def test_a_booking_costs_the_price_times_the_quantity_and_is_due() -> None:
    booking = Office(3, price=euros(25)).book(ANA, 3)
    assert (booking.amount, booking.payment_status) == (euros(75), PaymentStatus.DUE)


def test_who_waits_owes_nothing_yet_but_has_the_price_of_the_day() -> None:
    office = Office(1, price=euros(25))
    office.book(ANA)
    waiting = office.book(BEN)
    assert (waiting.amount, waiting.payment_status) == (euros(25), PaymentStatus.NONE)


# Facts.


def test_booked_tickets_are_a_fact_with_all_that_it_changed() -> None:
    office = Office(3, price=euros(25))
    booking = office.book(ANA, 2)
    assert office.facts[-1].booking_id == booking.id
    assert office.facts[-1].kind == "TicketsBooked"
    assert office.facts[-1].what == TicketsBooked(
        ticket_type_id=booking.ticket_type_id,
        customer_id=ANA.user_id,
        quantity=2,
        amount=euros(50),
        status=BookingStatus.CONFIRMED,
        payment_status=PaymentStatus.DUE,
    )


def test_joining_the_line_is_a_fact_with_all_that_it_changed() -> None:
    office = Office(1, price=euros(25))
    office.book(ANA)
    booking = office.book(BEN)
    assert office.facts[-1].what == CustomerWaitlisted(
        ticket_type_id=booking.ticket_type_id, customer_id=BEN.user_id, quantity=1, amount=euros(25), queue_number=1
    )


# When newcomers may book.


@pytest.mark.parametrize("status", [EventStatus.PAUSED, EventStatus.COMPLETED, EventStatus.CANCELLED])
@pytest.mark.parametrize("actor", [ANA, ORGANIZER, ADMIN])
def test_nobody_books_an_event_that_is_not_on_sale(status: EventStatus, actor: Actor) -> None:
    office = Office(starts_at=START)
    office.edit(status=status)
    with pytest.raises(NotOnSale):
        office.book(actor)
    office.now = START
    with pytest.raises(NotOnSale):
        office.book(actor)


@pytest.mark.parametrize("actor", [ANA, STRANGER, OTHER_ORGANIZER])
def test_a_draft_is_not_there_for_those_who_do_not_manage_it(actor: Actor) -> None:
    with pytest.raises(NotFound):
        Office(status=EventStatus.DRAFT).book(actor)


@pytest.mark.parametrize("actor", [ORGANIZER, ADMIN])
def test_a_draft_is_not_on_sale_for_those_who_manage_it(actor: Actor) -> None:
    with pytest.raises(NotOnSale):
        Office(status=EventStatus.DRAFT).book(actor)


def test_the_sale_opens_to_the_microsecond() -> None:
    opens = NOW + timedelta(days=1)
    office = Office(sales_open_at=opens, starts_at=START)
    office.now = opens - MICROSECOND
    with pytest.raises(NotOnSale, match="opens at"):
        office.book(ANA)
    office.now = opens
    assert office.book(ANA).status is BookingStatus.CONFIRMED


def test_the_sale_closes_to_the_microsecond() -> None:
    closes = NOW + timedelta(days=1)
    office = Office(sales_close_at=closes, starts_at=START)
    office.now = closes - MICROSECOND
    office.book(ANA)
    office.now = closes
    with pytest.raises(NotOnSale, match="closed"):
        office.book(BEN)


def test_booking_ends_with_the_start_to_the_microsecond() -> None:
    office = Office(starts_at=START)
    office.now = START - MICROSECOND
    office.book(ANA)
    office.now = START
    with pytest.raises(EventStarted):
        office.book(BEN)


def test_after_the_start_the_sales_window_says_nothing_any_more() -> None:
    office = Office(starts_at=START, sales_close_at=START - timedelta(hours=1))
    office.now = START
    with pytest.raises(EventStarted):
        office.book(ANA)


def test_an_event_without_a_start_never_starts() -> None:
    office = Office()
    office.now = NOW + timedelta(days=50_000)
    assert office.book(ANA).status is BookingStatus.CONFIRMED


# One live booking per customer and ticket type, and no more tickets than the event grants.


def test_a_second_live_booking_of_a_type_is_refused_with_the_first_ones_id() -> None:
    office = Office(3)
    first = office.book(ANA)
    with pytest.raises(AlreadyBooked) as refused:
        office.book(ANA)
    assert refused.value.members == {"bookingId": str(first.id)}


def test_who_waits_has_a_live_booking() -> None:
    office = Office(1)
    office.book(ANA)
    waiting = office.book(BEN)
    with pytest.raises(AlreadyBooked) as refused:
        office.book(BEN)
    assert refused.value.members == {"bookingId": str(waiting.id)}


def test_a_customer_may_book_each_type_once() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, balcony = office.ticket_types
    office.book(ANA, 1, stalls)
    assert office.book(ANA, 1, balcony).status is BookingStatus.CONFIRMED
    with pytest.raises(AlreadyBooked):
        office.book(ANA, 1, balcony)


def test_after_a_cancellation_the_customer_books_again_at_the_end_of_the_line() -> None:
    office = Office(1)
    office.book(ANA)
    first = office.book(BEN)
    office.book(CLEO)
    office.cancel(first)
    again = office.book(BEN)
    assert again.id != first.id
    assert (again.place, again.queue_number) == (Place(2, 1), 3)


def test_a_customer_may_have_exactly_as_many_tickets_as_the_event_grants() -> None:
    office = Office(10, max_tickets_per_customer=4)
    with pytest.raises(LimitExceeded):
        office.book(ANA, 5)
    assert office.book(ANA, 4).status is BookingStatus.CONFIRMED


def test_the_limit_counts_the_live_tickets_of_all_types_those_waited_for_as_well() -> None:
    office = Office(types=[STALLS, BALCONY], max_tickets_per_customer=4)
    stalls, balcony = office.ticket_types
    office.book(BEN, 2, stalls)
    assert office.book(ANA, 2, stalls).status is BookingStatus.WAITLISTED
    with pytest.raises(LimitExceeded):
        office.book(ANA, 3, balcony)
    office.book(ANA, 2, balcony)


def test_the_limit_counts_neither_cancelled_bookings_nor_those_of_others() -> None:
    office = Office(10, max_tickets_per_customer=4)
    office.cancel(office.book(ANA, 4))
    office.book(BEN, 4)
    assert office.book(ANA, 4).status is BookingStatus.CONFIRMED


def test_nobody_asks_for_more_than_there_will_ever_be() -> None:
    office = Office(3)
    with pytest.raises(ExceedsCapacity):
        office.book(ANA, 4)
    assert office.book(ANA, 3).status is BookingStatus.CONFIRMED


def test_capacity_is_the_types_own() -> None:
    office = Office(types=[STALLS, BALCONY])
    with pytest.raises(ExceedsCapacity):
        office.book(ANA, 3, office.ticket_types[0])


# Which type is meant.


def test_the_type_may_be_left_out_only_where_there_is_one() -> None:
    with pytest.raises(InvalidRequest) as refused:
        Office(types=[STALLS, BALCONY]).book(ANA)
    assert [error.path for error in refused.value.errors] == [("ticket_type_id",)]


def test_a_type_of_another_event_is_not_found() -> None:
    elsewhere = Office(types=[STALLS, BALCONY, BALCONY_TWO]).ticket_types[2]
    with pytest.raises(NotFound):
        Office().book(ANA, 1, elsewhere)


BALCONY_TWO = TicketTypeSpec(name="Balcony two", total_tickets=1)


@pytest.mark.parametrize(("quantity", "detail"), [(0, "at least 1"), (-1, "at least 1"), (1_001, "at most 1000")])
def test_a_quantity_is_1_to_1000(quantity: int, detail: str) -> None:
    with pytest.raises(InvalidRequest, match=detail) as refused:
        Book(booking_id=EVENT_ID, event_id=EVENT_ID, actor=ANA, quantity=quantity)
    assert [error.path for error in refused.value.errors] == [("quantity",)]


def test_a_thousand_tickets_may_be_asked_for() -> None:
    office = Office(1_000, max_tickets_per_customer=1_000)
    assert office.book(ANA, 1_000).quantity == 1_000


# The order of the refusals.


def _close_the_sale(office: Office) -> None:
    office.now = NOW + timedelta(days=2)


def _start(office: Office) -> None:
    office.now = START


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        ([_close_the_sale], NotOnSale),
        ([_start], EventStarted),
        ([], ExceedsCapacity),
    ],
)
def test_a_booking_is_refused_for_the_sale_then_for_the_capacity(
    spoil: list[Callable[[Office], None]], refusal: type[Refusal]
) -> None:
    office = Office(2, starts_at=START, sales_close_at=NOW + timedelta(days=1), max_tickets_per_customer=1)
    office.book(ANA)
    for each in spoil:
        each(office)
    with pytest.raises(refusal):
        office.book(ANA, 3)


def test_already_booked_comes_before_the_limit() -> None:
    office = Office(5, max_tickets_per_customer=1)
    office.book(ANA)
    with pytest.raises(AlreadyBooked):
        office.book(ANA, 2)


def test_an_unknown_type_comes_before_the_state_of_the_sale() -> None:
    office = Office(types=[STALLS, BALCONY])
    elsewhere = Office(types=[STALLS, BALCONY, BALCONY_TWO]).ticket_types[2]
    office.pause()
    with pytest.raises(NotFound):
        office.book(ANA, 1, elsewhere)
    with pytest.raises(InvalidRequest):
        office.book(ANA)


# What is told of the event.


def test_an_event_is_sold_out_when_a_newcomer_would_have_to_wait_whatever_the_type() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, balcony = office.ticket_types
    office.book(ANA, 2, stalls)
    assert not office.state.is_sold_out(office.now)
    assert office.state.is_sold_out(office.now, office.ticket_types[0])
    office.book(BEN, 4, balcony)
    assert office.state.is_sold_out(office.now)


def test_under_strict_a_blocked_line_makes_an_event_sold_out_though_tickets_are_left() -> None:
    office = Office(3)
    office.book(ANA, 2)
    office.book(BEN, 2)
    assert office.ticket_type.available == 1
    assert office.state.is_sold_out(office.now)


def test_under_fill_it_is_not_sold_out_while_what_is_left_fits_nobody_in_line() -> None:
    office = Office(3, waiting_list_policy=FILL)
    office.book(ANA, 2)
    office.book(BEN, 2)
    assert not office.state.is_sold_out(office.now)


def test_while_a_filled_line_is_not_served_the_smallest_in_it_decides() -> None:
    office = Office(5, waiting_list_policy=FILL)
    office.book(ANA, 5)
    office.book(BEN, 3)
    office.pause()
    office.edit(total_tickets=7)
    assert office.ticket_type.available == 2
    assert not office.state.is_sold_out(office.now)
    office.edit(total_tickets=8)
    assert office.ticket_type.available == 3
    assert office.state.is_sold_out(office.now)


def test_while_a_filled_line_is_not_served_an_unknown_size_is_taken_to_fit() -> None:
    office = Office(3, waiting_list_policy=FILL)
    office.book(ANA, 3)
    office.book(BEN, 3)
    office.pause()
    office.edit(total_tickets=4)
    assert office.ticket_type.must_wait(1, office.state.event, office.now)
    assert not office.ticket_type.must_wait(1, office.state.event, office.now, smallest_waiting=3)


def test_a_crowd_gets_every_ticket_and_the_rest_waits_in_order() -> None:
    office = Office(25)
    bookings = office.crowd(50)
    assert [booking.status for booking in bookings] == (
        [BookingStatus.CONFIRMED] * 25 + [BookingStatus.WAITLISTED] * 25
    )
    assert [booking.queue_number for booking in bookings[25:]] == list(range(1, 26))
    assert bookings[0].customer_id == customer(0).user_id
