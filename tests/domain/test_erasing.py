"""Erasing an account: what binds it, what ends with it, what is left, and when that is looked at again."""

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.decisions.cancel import Withdraw, withdraw
from boxoffice.domain.decisions.change_ticket import ForgetHolders, forget_holders
from boxoffice.domain.decisions.erase import (
    LAST_LOOK_AFTER,
    TAKEN_OVER_AFTER,
    Erasure,
    binds,
    ends_with_account,
    erased,
)
from boxoffice.domain.decisions.settle import Cancelled
from boxoffice.domain.event import EventStatus
from boxoffice.domain.facts import BookingCancelled, BookingPromoted
from boxoffice.domain.refusals import AlreadyCancelled, CancellationClosed
from boxoffice.domain.tickets.ticket import Ticket
from boxoffice.domain.user import Role, User
from tests.domain.domain_driver import ANA, BEN, CLEO, EVENT_ID, MICROSECOND, NOW, START, DomainDriver, euros

DEADLINE = START - timedelta(hours=48)
END = START + timedelta(hours=3)


def withdrawn(driver: DomainDriver, booking: Booking, *, erased_at: object = None) -> Cancelled:
    """Cancel a booking because its customer was erased, now or at that time."""
    command = Withdraw(event_id=EVENT_ID, booking_id=booking.id, erased_at=erased_at or driver.now)  # type: ignore[arg-type]
    return driver.take(withdraw(driver.inventory, command, driver.now))


def test_nothing_but_the_id_and_times_is_left_of_an_account() -> None:
    user = User(
        id=UUID(int=1),
        name="Ana",
        email="ana@example.org",
        password_hash="hash",
        role=Role.ADMIN,
        created_at=NOW,
        verified_at=NOW,
        pending_email="new@example.org",
    )
    left = erased(user, START)
    values = {"name": "", "email": None, "password_hash": None, "role": Role.CUSTOMER, "verified_at": None}
    assert left == replace(user, **values, pending_email=None, erased_at=START, standing_changed_at=START)
    assert not left.may_sign_in


def test_a_confirmed_booking_binds_from_its_deadline_until_its_event_is_over() -> None:
    driver = DomainDriver(1, starts_at=START, ends_at=END, cancellation_deadline_hours=48)
    booking, waiting = driver.book(ANA), driver.book(BEN)
    event = driver.inventory.event
    for now, is_bound in (
        (DEADLINE - MICROSECOND, False),
        (DEADLINE, True),
        (START, True),
        (END - MICROSECOND, True),
        (END, False),
    ):
        assert binds(event, booking, now) is is_bound
        assert not binds(event, waiting, now), "who waits is not bound"
    for status in (EventStatus.COMPLETED, EventStatus.CANCELLED):
        assert not binds(replace(event, status=status), booking, DEADLINE)
    assert not binds(replace(event, reschedules=1), booking, DEADLINE), "it was moved"
    assert not binds(replace(event, starts_at=None, ends_at=None), booking, END)


def test_a_booking_with_a_used_ticket_binds_until_its_event_is_over_and_stays() -> None:
    driver = DomainDriver(2, starts_at=START, ends_at=END)
    booking = driver.book(ANA, 2)
    event, used = driver.inventory.event, replace(booking, used=1)
    for now, is_bound in ((NOW, True), (END - MICROSECOND, True), (END, False)):
        assert binds(event, used, now) is is_bound
        assert not ends_with_account(event, used, now)
    assert not binds(event, booking, NOW)
    assert ends_with_account(event, booking, NOW)
    assert not binds(replace(event, status=EventStatus.COMPLETED), used, NOW)


def test_the_names_of_holders_end_with_the_account_on_void_tickets_too() -> None:
    driver = DomainDriver()
    booking, other = driver.book(ANA, 2), driver.book(BEN)
    for number, holder in ((1, "Grace"), (3, "Ben")):
        owner = other if number == 3 else booking
        driver.tickets[number] = Ticket(
            booking_id=owner.id, event_id=EVENT_ID, number=number, serial=2, holder_name=holder
        )
    driver.tickets[2] = Ticket(booking_id=booking.id, event_id=EVENT_ID, number=2, serial=2)
    driver.cancel(booking)
    facts, command = list(driver.facts), ForgetHolders(event_id=EVENT_ID, booking_id=booking.id)
    decision = forget_holders(driver.inventory, command, driver.now)
    assert decision.tickets == (replace(driver.tickets[1], holder_name=None),)
    driver.take(decision)
    assert [each.holder_name for _, each in sorted(driver.tickets.items())] == [None, None, "Ben"]
    assert driver.facts == facts


def test_what_ends_with_the_account() -> None:
    driver = DomainDriver(1, starts_at=START, ends_at=END, cancellation_deadline_hours=48)
    booking, waiting = driver.book(ANA), driver.book(BEN)
    event = driver.inventory.event
    moments = (NOW, DEADLINE, START, END)
    assert [ends_with_account(event, booking, now) for now in moments] == [True, False, False, False]
    assert [ends_with_account(event, waiting, now) for now in moments] == [True] * 4
    for status in (EventStatus.COMPLETED, EventStatus.CANCELLED):
        for each in (booking, waiting):
            assert not ends_with_account(replace(event, status=status), each, NOW)


def test_a_withdrawn_booking_is_cancelled_as_by_its_customer_and_the_line_is_served() -> None:
    driver = DomainDriver(2, price=euros(10), refund_fee_percent=25, starts_at=START, cancellation_deadline_hours=48)
    booking, other = driver.pay(driver.book(ANA, 2)), driver.book(BEN)
    before = len(driver.facts)
    cancelled = withdrawn(driver, booking)
    assert cancelled.refund == euros(15)
    assert cancelled.booking.payment_status is PaymentStatus.REFUND_PENDING
    assert driver.statuses(booking, other) == ["cancelled", "confirmed"]
    first, second = driver.happened(before)
    assert isinstance(first, BookingCancelled)
    assert isinstance(second, BookingPromoted)
    assert first.by == "customer"
    with pytest.raises(AlreadyCancelled):
        withdrawn(driver, booking)


def test_the_rules_and_the_fee_are_those_of_the_time_of_the_erasure() -> None:
    driver = DomainDriver(2, starts_at=START, cancellation_deadline_hours=48)
    early, late = driver.book(ANA), driver.book(BEN)
    driver.now = DEADLINE
    with pytest.raises(CancellationClosed):
        withdrawn(driver, late)
    withdrawn(driver, early, erased_at=DEADLINE - MICROSECOND)
    assert driver.statuses(early, late) == ["cancelled", "confirmed"]


def test_who_waits_or_holds_is_withdrawn_after_the_start_too() -> None:
    driver = DomainDriver(1, price=euros(10), payment_window_minutes=43_200, starts_at=START)
    held, waiting, last = driver.book(ANA), driver.book(BEN), driver.book(CLEO)
    assert driver.statuses(held, waiting) == ["held", "waitlisted"]
    withdrawn(driver, held)
    assert driver.statuses(held, waiting, last) == ["cancelled", "held", "waitlisted"]
    driver.now = START
    withdrawn(driver, last)
    with pytest.raises(AlreadyCancelled):
        withdrawn(driver, waiting)
    assert driver.inventory.ticket_types[0].waiting == 0


@pytest.mark.parametrize("status", [EventStatus.COMPLETED, EventStatus.CANCELLED])
def test_nothing_is_withdrawn_from_a_closed_event(status: EventStatus) -> None:
    driver = DomainDriver(1)
    booking, waiting = driver.book(ANA), driver.book(BEN)
    driver.edit(status=status)
    assert waiting.status is BookingStatus.WAITLISTED
    for each in (booking, waiting):
        with pytest.raises((AlreadyCancelled, CancellationClosed)):
            withdrawn(driver, each)


def test_an_erasure_is_looked_at_until_no_token_of_the_account_works() -> None:
    erasure = Erasure.begun(UUID(int=1), NOW)
    assert (erasure.erased_at, erasure.due_at) == (NOW, NOW + TAKEN_OVER_AFTER)
    soon, last = NOW + timedelta(seconds=1), NOW + LAST_LOOK_AFTER
    assert erasure.after_step(soon, is_done=False) == replace(erasure, due_at=soon)
    assert erasure.after_step(soon, is_done=True) == replace(erasure, due_at=last)
    assert erasure.after_step(last, is_done=False) == replace(erasure, due_at=last)
    assert erasure.after_step(last, is_done=True) is None
