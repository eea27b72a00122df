"""Cancelling: who may, until when, the order of the refusals, and where freed tickets go."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus, PaymentStatus
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.event import EventStatus
from boxoffice.domain.facts import BookingCancelled, BookingPromoted
from boxoffice.domain.refusals import AlreadyCancelled, CancellationClosed, InvalidRequest, NotFound
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Actor
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
    euros,
)

STALLS = TicketTypeSpec(name="Stalls", total_tickets=2)
BALCONY = TicketTypeSpec(name="Balcony", total_tickets=4)


def test_a_cancelled_booking_gives_its_tickets_back_once() -> None:
    driver = DomainDriver(3, price=euros(10))
    booking = driver.book(ANA, 2)
    driver.now += timedelta(hours=1)
    cancelled = driver.cancel(booking)
    assert cancelled.id == booking.id
    assert (cancelled.status, cancelled.payment_status) == (BookingStatus.CANCELLED, PaymentStatus.NONE)
    assert (cancelled.created_at, cancelled.updated_at) == (NOW, driver.now)
    assert cancelled.amount == booking.amount
    for actor in (ANA, ORGANIZER):
        with pytest.raises(AlreadyCancelled):
            driver.cancel(booking, actor)
    assert driver.ticket_type.available == 3


def test_freed_tickets_go_to_the_waiting_list_in_the_same_decision() -> None:
    driver = DomainDriver(2, price=euros(10))
    booking = driver.book(ANA, 2)
    first, second, third = driver.book(BEN), driver.book(CLEO), driver.book(DAN)
    driver.now += timedelta(hours=1)
    before = len(driver.facts)
    driver.cancel(booking)
    assert driver.statuses(first, second, third) == ["confirmed", "confirmed", "waitlisted"]
    promoted = driver.bookings[first.id]
    assert (promoted.amount, promoted.payment_status) == (euros(10), PaymentStatus.DUE)
    assert promoted.queue_number == 1, "kept as history"
    assert (promoted.created_at, promoted.updated_at) == (NOW, driver.now)
    assert [type(what) for what in driver.happened(before)] == [BookingCancelled, BookingPromoted, BookingPromoted]


# Until when.


@pytest.mark.parametrize("hours", [0, 48])
def test_customers_cancel_until_the_deadline_to_the_microsecond(hours: int) -> None:
    driver = DomainDriver(starts_at=START, cancellation_deadline_hours=hours)
    early, late = driver.book(ANA), driver.book(BEN)
    driver.pause()
    deadline = START - timedelta(hours=hours)
    driver.now = deadline - MICROSECOND
    driver.cancel(early)
    driver.now = deadline
    with pytest.raises(CancellationClosed):
        driver.cancel(late)
    with pytest.raises(AlreadyCancelled if hours else CancellationClosed):
        driver.cancel(early)


@pytest.mark.parametrize("status", [BookingStatus.WAITLISTED, BookingStatus.HELD])
def test_unconfirmed_bookings_may_be_cancelled_after_the_deadline_until_the_start(status: BookingStatus) -> None:
    price = euros(5) if status is BookingStatus.HELD else None
    driver = DomainDriver(
        2, price=price, payment_window_minutes=43_200, starts_at=START, cancellation_deadline_hours=48
    )
    driver.now = START - timedelta(hours=1)
    if status is BookingStatus.WAITLISTED:
        driver.book(CLEO, 2)
    first, second = driver.book(ANA), driver.book(BEN)
    assert first.status is second.status is status
    driver.now = START - MICROSECOND
    driver.cancel(first)
    driver.now = START
    with pytest.raises(CancellationClosed):
        driver.cancel(second)


@pytest.mark.parametrize("start", [None, START])
def test_bookings_of_a_cancelled_event_cannot_be_cancelled(start: datetime | None) -> None:
    driver = DomainDriver(1, starts_at=start)
    booking, waiting = driver.book(ANA), driver.book(BEN)
    driver.edit(status=EventStatus.CANCELLED)
    for now in (NOW, START):
        driver.now = now
        for each in (booking, waiting):
            with pytest.raises(AlreadyCancelled):
                driver.cancel(each)
            for manager in (ORGANIZER, ADMIN):
                with pytest.raises(CancellationClosed):
                    driver.cancel(each, manager)


@pytest.mark.parametrize("start", [None, START])
@pytest.mark.parametrize("manager", [ORGANIZER, ADMIN])
def test_after_completion_only_managers_cancel_and_nobody_is_promoted(start: datetime | None, manager: Actor) -> None:
    driver = DomainDriver(1, price=euros(25), starts_at=start)
    booking, waiting = driver.pay(driver.book(ANA)), driver.book(BEN)
    driver.edit(status=EventStatus.COMPLETED)
    driver.now = START + timedelta(days=1)
    with pytest.raises(CancellationClosed):
        driver.cancel(booking)
    assert driver.cancel(booking, manager).payment_status == "refund_pending"
    assert driver.statuses(booking, waiting) == ["cancelled", "cancelled"]
    with pytest.raises(AlreadyCancelled):
        driver.cancel(waiting, manager)


def test_bookings_of_a_cancelled_event_count_as_cancelled_before_they_are_settled() -> None:
    driver = DomainDriver(1)
    booking = driver.book(ANA)
    closed = replace(driver.inventory, event=replace(driver.inventory.event, status=EventStatus.CANCELLED))
    with pytest.raises(AlreadyCancelled):
        cancel(closed, Cancel(event_id=EVENT_ID, actor=ANA, booking_id=booking.id), NOW)
    with pytest.raises(NotFound):
        cancel(closed, Cancel(event_id=EVENT_ID, actor=ANA), NOW)


# Who may.


@pytest.mark.parametrize("actor", [STRANGER, BEN, OTHER_ORGANIZER])
@pytest.mark.parametrize("now", [NOW, START])
def test_the_booking_of_another_customer_is_not_found(actor: Actor, now: datetime) -> None:
    driver = DomainDriver(starts_at=START)
    booking = driver.book(ANA)
    driver.now = now
    with pytest.raises(NotFound):
        driver.cancel(booking, actor)
    with pytest.raises(NotFound):
        driver.cancel(replace(booking, id=EVENT_ID), ADMIN)


@pytest.mark.parametrize("actor", [ORGANIZER, ADMIN])
def test_organizers_and_admins_cancel_any_booking_after_the_start_too(actor: Actor) -> None:
    driver = DomainDriver(2, starts_at=START, cancellation_deadline_hours=48)
    first, second, promoted, waiting = [driver.book(who) for who in (ANA, BEN, CLEO, DAN)]
    driver.now = START - MICROSECOND
    driver.cancel(first, actor)
    driver.now = START
    driver.cancel(second, actor)
    assert driver.statuses(second, promoted, waiting) == ["cancelled", "confirmed", "waitlisted"]
    assert isinstance(driver.facts[-1].what, BookingCancelled)
    assert driver.facts[-1].what.by == "organizer"


# By the event's id.


def test_by_the_events_id_the_callers_one_live_booking_is_meant() -> None:
    driver = DomainDriver(1)
    driver.cancel(driver.book(ANA))
    with pytest.raises(NotFound):
        driver.cancel_here(ANA)
    again, waiting = driver.book(ANA), driver.book(BEN)
    assert driver.cancel_here(ANA).id == again.id
    assert driver.status_of(waiting) == "confirmed"
    assert isinstance(driver.facts[-2].what, BookingCancelled)
    assert driver.facts[-2].what.by == "customer"


@pytest.mark.parametrize("actor", [STRANGER, ORGANIZER, ADMIN])
def test_by_the_events_id_bookings_of_others_are_not_found(actor: Actor) -> None:
    driver, draft = DomainDriver(), DomainDriver(status=EventStatus.DRAFT)
    driver.book(ANA)
    for each in (driver, draft):
        with pytest.raises(NotFound):
            each.cancel_here(actor)


def test_by_the_events_id_several_live_bookings_need_to_be_told_apart() -> None:
    driver = DomainDriver(types=[STALLS, BALCONY])
    stalls, balcony = driver.ticket_types
    first, second = driver.book(ANA, 1, stalls), driver.book(ANA, 1, balcony)
    with pytest.raises(InvalidRequest) as refused:
        driver.cancel_here(ANA)
    assert [error.path for error in refused.value.errors] == [("event_id",)]
    driver.cancel(first)
    assert driver.cancel_here(ANA).id == second.id
