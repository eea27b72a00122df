"""Cancelling: who may, until when, which refusal comes first, and what becomes of the freed tickets."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus, PaymentStatus
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.event import EventStatus, TicketTypeSpec
from boxoffice.domain.facts import BookingCancelled, BookingPromoted
from boxoffice.domain.refusals import AlreadyCancelled, CancellationClosed, InvalidRequest, NotFound, Refusal
from boxoffice.domain.user import Actor
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
    euros,
)

STALLS = TicketTypeSpec(name="Stalls", total_tickets=2)
BALCONY = TicketTypeSpec(name="Balcony", total_tickets=4)


def test_a_cancelled_booking_gives_its_tickets_back() -> None:
    office = Office(3, price=euros(10))
    booking = office.book(ANA, 2)
    office.now += timedelta(hours=1)
    cancelled = office.cancel(booking)

    assert cancelled.id == booking.id
    assert (cancelled.status, cancelled.payment_status) == (BookingStatus.CANCELLED, PaymentStatus.NONE)
    assert (cancelled.created_at, cancelled.updated_at) == (NOW, office.now)
    assert cancelled.amount == booking.amount
    assert office.ticket_type.available == 3


def test_tickets_come_back_once_however_often_one_cancels() -> None:
    office = Office(3)
    booking = office.book(ANA, 2)
    office.cancel(booking)
    with pytest.raises(AlreadyCancelled):
        office.cancel(booking)
    assert office.ticket_type.available == 3


def test_freed_tickets_go_to_the_line_in_the_same_decision() -> None:
    office = Office(2, price=euros(10))
    booking = office.book(ANA, 2)
    first, second, third = office.book(BEN), office.book(CLEO), office.book(DAN)
    office.now += timedelta(hours=1)
    before = len(office.facts)
    office.cancel(booking)

    assert office.statuses(first, second, third) == ["confirmed", "confirmed", "waitlisted"]
    promoted = office.bookings[first.id]
    assert promoted.payment_status is PaymentStatus.DUE
    assert promoted.queue_number == 1, "kept as history"
    assert (promoted.created_at, promoted.updated_at) == (NOW, office.now)
    assert office.happened(before) == [
        BookingCancelled(
            ticket_type_id=booking.ticket_type_id,
            customer_id=ANA.user_id,
            quantity=2,
            was=BookingStatus.CONFIRMED,
            by="customer",
            payment_status=PaymentStatus.NONE,
        ),
        *(
            BookingPromoted(
                ticket_type_id=booking.ticket_type_id,
                customer_id=each.customer_id,
                quantity=1,
                queue_number=number,
                status=BookingStatus.CONFIRMED,
                payment_status=PaymentStatus.DUE,
            )
            for number, each in enumerate([first, second], start=1)
        ),
    ]


def test_a_free_booking_owes_nothing_once_promoted() -> None:
    office = Office(1)
    booking = office.book(ANA)
    waiting = office.book(BEN)
    office.cancel(booking)
    assert office.bookings[waiting.id].payment_status is PaymentStatus.NONE


def test_who_leaves_the_line_gives_no_ticket_back_and_closes_the_gap() -> None:
    office = Office(1)
    office.book(ANA)
    first, second = office.book(BEN), office.book(CLEO)
    office.cancel(first)
    assert office.ticket_type.available == 0
    assert office.in_line() == [office.bookings[second.id]]
    assert office.facts[-1].what == BookingCancelled(
        ticket_type_id=first.ticket_type_id,
        customer_id=BEN.user_id,
        quantity=1,
        was=BookingStatus.WAITLISTED,
        by="customer",
        payment_status=PaymentStatus.NONE,
    )


def test_ten_cancels_serve_the_first_ten_in_the_order_they_joined() -> None:
    office = Office(10)
    holders, line = office.crowd(10), office.crowd(15)
    for number, each in enumerate(reversed(holders), start=1):
        office.cancel(each)
        assert office.statuses(*line) == ["confirmed"] * number + ["waitlisted"] * (15 - number)


# Until when.


@pytest.mark.parametrize("status", [EventStatus.ON_SALE, EventStatus.PAUSED])
@pytest.mark.parametrize("hours", [0, 48])
def test_customers_cancel_until_the_deadline_to_the_microsecond(status: EventStatus, hours: int) -> None:
    office = Office(starts_at=START, cancellation_deadline_hours=hours)
    early, late = office.book(ANA), office.book(BEN)
    if status is EventStatus.PAUSED:
        office.pause()
    deadline = START - timedelta(hours=hours)
    office.now = deadline - MICROSECOND
    office.cancel(early)
    office.now = deadline
    with pytest.raises(CancellationClosed):
        office.cancel(late)


def test_the_sales_window_does_not_bind_those_who_cancel() -> None:
    office = Office(1, starts_at=START, sales_close_at=NOW + timedelta(days=1))
    booking, waiting = office.book(ANA), office.book(BEN)
    office.now = NOW + timedelta(days=2)
    office.cancel(booking)
    assert office.status_of(waiting) == "confirmed", "the line is served outside the sales window too"


def test_without_a_start_customers_cancel_at_any_time() -> None:
    office = Office(cancellation_deadline_hours=8_760)
    booking = office.book(ANA)
    office.now = NOW + timedelta(days=50_000)
    assert office.cancel(booking).status is BookingStatus.CANCELLED


def test_who_waits_may_leave_after_the_deadline_until_the_start() -> None:
    office = Office(1, starts_at=START, cancellation_deadline_hours=48)
    office.book(ANA)
    first, second = office.book(BEN), office.book(CLEO)
    office.now = START - MICROSECOND
    office.cancel(first)
    office.now = START
    with pytest.raises(CancellationClosed):
        office.cancel(second)


def test_who_holds_may_leave_after_the_deadline_until_the_start() -> None:
    office = Office(1, starts_at=START, cancellation_deadline_hours=48)
    booking = office.book(ANA)
    held = replace(office.inventory, bookings=(replace(booking, status=BookingStatus.HELD),))
    command = Cancel(event_id=EVENT_ID, actor=ANA, booking_id=booking.id)
    assert cancel(held, command, START - MICROSECOND).outcome.status is BookingStatus.CANCELLED
    with pytest.raises(CancellationClosed):
        cancel(held, command, START)


def test_after_the_deadline_a_cancelled_booking_is_still_said_to_be_cancelled() -> None:
    office = Office(starts_at=START, cancellation_deadline_hours=48)
    booking = office.book(ANA)
    office.cancel(booking)
    office.now = START - timedelta(hours=1)
    with pytest.raises(AlreadyCancelled):
        office.cancel(booking)


def test_after_the_start_closed_comes_before_cancelled() -> None:
    office = Office(starts_at=START)
    booking = office.book(ANA)
    office.cancel(booking)
    office.now = START
    with pytest.raises(CancellationClosed):
        office.cancel(booking)


@pytest.mark.parametrize("start", [None, START])
@pytest.mark.parametrize(
    ("status", "by_customer", "by_organizer"),
    [
        (EventStatus.COMPLETED, CancellationClosed, CancellationClosed),
        (EventStatus.CANCELLED, AlreadyCancelled, CancellationClosed),
    ],
)
def test_of_a_closed_event_nobody_cancels(
    status: EventStatus, by_customer: type[Refusal], by_organizer: type[Refusal], start: object
) -> None:
    office = Office(1, starts_at=start)
    booking, waiting = office.book(ANA), office.book(BEN)
    office.edit(status=status)
    for now in (NOW, START):
        office.now = now
        for each in (booking, waiting):
            with pytest.raises(by_customer):
                office.cancel(each)
            for manager in (ORGANIZER, ADMIN):
                with pytest.raises(by_organizer):
                    office.cancel(each, manager)


def test_of_a_cancelled_event_that_is_not_settled_yet_a_booking_counts_as_cancelled() -> None:
    office = Office(1)
    booking = office.book(ANA)
    closed = replace(office.inventory, event=replace(office.inventory.event, status=EventStatus.CANCELLED))
    with pytest.raises(AlreadyCancelled):
        cancel(closed, Cancel(event_id=EVENT_ID, actor=ANA, booking_id=booking.id), NOW)
    with pytest.raises(NotFound):
        cancel(closed, Cancel(event_id=EVENT_ID, actor=ANA), NOW)


# Who may.


@pytest.mark.parametrize("actor", [STRANGER, BEN, OTHER_ORGANIZER])
def test_another_ones_booking_is_not_there(actor: Actor) -> None:
    office = Office()
    booking = office.book(ANA)
    with pytest.raises(NotFound):
        office.cancel(booking, actor)


def test_another_ones_booking_is_not_there_even_when_it_could_not_be_cancelled() -> None:
    office = Office(starts_at=START)
    booking = office.book(ANA)
    office.now = START
    with pytest.raises(NotFound):
        office.cancel(booking, STRANGER)


def test_an_unknown_booking_is_not_there() -> None:
    office = Office()
    office.book(ANA)
    with pytest.raises(NotFound):
        office.take(cancel(office.inventory, Cancel(event_id=EVENT_ID, actor=ADMIN, booking_id=EVENT_ID), NOW))


@pytest.mark.parametrize("actor", [ORGANIZER, ADMIN])
def test_who_manages_the_event_cancels_any_booking_also_after_the_start(actor: Actor) -> None:
    office = Office(2, starts_at=START, cancellation_deadline_hours=48)
    first, second, waiting = office.book(ANA), office.book(BEN), office.book(CLEO)
    office.now = START - MICROSECOND
    office.cancel(first, actor)
    assert office.status_of(waiting) == "confirmed"
    office.now = START
    office.cancel(second, actor)
    assert office.status_of(second) == "cancelled"
    assert isinstance(office.facts[-1].what, BookingCancelled)
    assert office.facts[-1].what.by == "organizer"


def test_after_the_start_freed_tickets_go_to_nobody() -> None:
    office = Office(1, starts_at=START)
    booking, waiting = office.book(ANA), office.book(BEN)
    office.now = START
    office.cancel(booking, ORGANIZER)
    assert office.status_of(waiting) == "waitlisted"


def test_a_booking_that_is_cancelled_cannot_be_cancelled_by_the_organizer_either() -> None:
    office = Office()
    booking = office.book(ANA)
    office.cancel(booking)
    with pytest.raises(AlreadyCancelled):
        office.cancel(booking, ORGANIZER)


def test_the_organizers_own_booking_is_one_of_the_event() -> None:
    office = Office(starts_at=START)
    booking = office.book(ORGANIZER)
    office.now = START
    with pytest.raises(CancellationClosed):
        office.cancel_here(ORGANIZER)
    assert office.cancel(booking, ORGANIZER).status is BookingStatus.CANCELLED


# By the event's id.


def test_by_the_events_id_the_callers_one_live_booking_is_meant() -> None:
    office = Office(1)
    booking, waiting = office.book(ANA), office.book(BEN)
    assert office.cancel_here(ANA).id == booking.id
    assert office.status_of(waiting) == "confirmed"
    assert isinstance(office.facts[-2].what, BookingCancelled)
    assert office.facts[-2].what.by == "customer"


def test_by_the_events_id_a_dead_booking_is_not_meant() -> None:
    office = Office(1)
    office.cancel(office.book(ANA))
    with pytest.raises(NotFound):
        office.cancel_here(ANA)
    again = office.book(ANA)
    assert office.cancel_here(ANA).id == again.id


@pytest.mark.parametrize("actor", [STRANGER, ORGANIZER, ADMIN])
def test_by_the_events_id_only_ones_own_booking_is_meant(actor: Actor) -> None:
    office = Office()
    office.book(ANA)
    with pytest.raises(NotFound):
        office.cancel_here(actor)


def test_by_the_events_id_several_live_bookings_need_to_be_told_apart() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, balcony = office.ticket_types
    first, second = office.book(ANA, 1, stalls), office.book(ANA, 1, balcony)
    with pytest.raises(InvalidRequest) as refused:
        office.cancel_here(ANA)
    assert [error.path for error in refused.value.errors] == [("event_id",)]
    office.cancel(first)
    assert office.cancel_here(ANA).id == second.id


def test_by_the_events_id_the_deadline_binds_as_well() -> None:
    office = Office(starts_at=START, cancellation_deadline_hours=1)
    office.book(ANA)
    office.now = START - timedelta(hours=1)
    with pytest.raises(CancellationClosed):
        office.cancel_here(ANA)


def test_by_the_id_of_a_completed_event_the_time_for_cancelling_is_over() -> None:
    office = Office()
    office.book(ANA)
    office.edit(status=EventStatus.COMPLETED)
    with pytest.raises(CancellationClosed):
        office.cancel_here(ANA)


def test_by_the_id_of_a_cancelled_event_no_live_booking_is_left() -> None:
    office = Office()
    office.book(ANA)
    office.edit(status=EventStatus.CANCELLED)
    with pytest.raises(NotFound):
        office.cancel_here(ANA)


def test_a_draft_is_not_there_for_a_stranger_who_cancels() -> None:
    office = Office(status=EventStatus.DRAFT)
    for actor in (STRANGER, ORGANIZER):
        with pytest.raises(NotFound):
            office.cancel_here(actor)
