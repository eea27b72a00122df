"""Holds, payments and refunds."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.payments.pay import Answer, Attempt, is_abandoned
from boxoffice.domain.event import EventStatus
from boxoffice.domain.payment import GIVE_UP, UNDER_WAY, ChargeStatus, Payment, PaymentMethod, refund_of
from boxoffice.domain.refusals import (
    AlreadyCancelled,
    CancellationClosed,
    NotAllowed,
    NotFound,
    PaymentNotDue,
    PaymentUnderWay,
    PaymentWindowClosed,
    Refusal,
)
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec

from .domain_driver import (
    ANA,
    BEN,
    CLEO,
    DAN,
    MICROSECOND,
    NOW,
    ORGANIZER,
    START,
    STRANGER,
    DomainDriver,
    euros,
)


def held_driver(total_tickets: int = 1, **details: Any) -> DomainDriver:
    """An event with tickets for 25 euros that must be paid within half an hour."""
    return DomainDriver(total_tickets, price=euros(25), **{"payment_window_minutes": 30, "starts_at": START, **details})


def stands(driver: DomainDriver, booking: Booking) -> tuple[str, str]:
    """The status of a booking and of its payment."""
    kept = driver.bookings[booking.id]
    return kept.status.value, kept.payment_status.value


# Holds.


def test_tickets_that_must_be_paid_first_are_held_for_the_window() -> None:
    driver = held_driver()
    booking = driver.book(ANA)
    assert stands(driver, booking) == ("held", "due")
    assert booking.expires_at == NOW + timedelta(minutes=30)
    assert driver.ticket_type.available == 0
    assert driver.state.event.earliest_expiry == booking.expires_at
    for price in (euros(0), None):
        free = DomainDriver(1, price=price, payment_window_minutes=30)
        assert stands(free, free.book(ANA)) == ("confirmed", "none")


def test_a_lapsed_hold_counts_as_expired_before_it_is_settled() -> None:
    driver = held_driver()
    booking = driver.book(ANA)
    driver.now += timedelta(minutes=30)
    assert booking.as_of(driver.now).status is BookingStatus.EXPIRED
    assert booking.as_of(driver.now - MICROSECOND) is booking
    with pytest.raises(AlreadyCancelled):
        driver.cancel(booking)
    with pytest.raises(NotFound):
        driver.cancel_here(ANA)
    with pytest.raises(PaymentWindowClosed):
        driver.start(booking)


def test_a_lapsed_hold_goes_to_the_next_waiting_booking_as_a_new_hold() -> None:
    driver = held_driver()
    first, second, third = driver.book(ANA), driver.book(BEN), driver.book(CLEO)
    driver.pass_time(minutes=31)
    assert driver.statuses(first, second, third) == ["expired", "held", "waitlisted"]
    assert driver.bookings[second.id].expires_at == driver.now + timedelta(minutes=30)
    driver.pass_time(minutes=30)
    assert driver.statuses(first, second, third) == ["expired", "expired", "held"]


# Paying.


def test_cash_is_settled_at_once_and_refunded_as_cash() -> None:
    driver = held_driver()
    attempt = driver.start(driver.book(ANA), "cash", ORGANIZER)
    assert attempt.payment.status is ChargeStatus.SUCCEEDED
    assert stands(driver, attempt.booking) == ("confirmed", "taken")
    driver.cancel(attempt.booking)
    assert driver.refund(attempt.booking).method is PaymentMethod.CASH


@pytest.mark.parametrize(
    ("method", "actor", "refusal"),
    [("card", ORGANIZER, NotAllowed), ("cash", ANA, NotAllowed), ("card", STRANGER, NotFound)],
)
def test_customers_pay_by_card_and_organizers_take_cash(method: str, actor: Any, refusal: type[Refusal]) -> None:
    driver = held_driver()
    booking = driver.book(ANA)
    with pytest.raises(refusal):
        driver.start(booking, method, actor)


def test_an_unknown_booking_or_payment_is_not_found() -> None:
    driver = held_driver()
    booking = driver.book(ANA)
    payment = driver.start(booking).payment
    with pytest.raises(NotFound):
        driver.answer(replace(payment, id=UUID(int=1)), Answer.DONE)
    driver.bookings.pop(booking.id)
    with pytest.raises(NotFound):
        driver.start(booking)


def test_only_unpaid_live_tickets_with_a_price_are_due() -> None:
    driver, free = held_driver(), DomainDriver(1)
    first, waiting = driver.book(ANA), driver.book(BEN)
    paid = driver.pay(first)
    for each in (waiting, paid):
        with pytest.raises(PaymentNotDue):
            driver.start(each)
    driver.cancel(paid)
    with pytest.raises(PaymentNotDue):
        driver.start(paid)
    with pytest.raises(PaymentNotDue):
        free.start(free.book(ANA))


def test_nothing_is_due_for_a_cancelled_event_before_its_bookings_end() -> None:
    driver = held_driver()
    booking = driver.book(ANA)
    driver.edit(status=EventStatus.CANCELLED)
    driver.bookings[booking.id] = booking
    with pytest.raises(PaymentNotDue):
        driver.start(booking)


def test_a_pending_charge_is_resumed_when_no_process_can_be_asking() -> None:
    driver = held_driver()
    booking = driver.book(ANA)
    first = driver.start(booking).payment
    driver.now += UNDER_WAY - MICROSECOND
    with pytest.raises(PaymentUnderWay):
        driver.start(booking)
    driver.now += MICROSECOND
    assert driver.start(booking).payment.id == first.id


def test_a_clock_that_was_ahead_delays_no_payment() -> None:
    driver = held_driver()
    booking = driver.book(ANA)
    driver.now += 10 * UNDER_WAY
    first = driver.start(booking).payment
    driver.now -= 10 * UNDER_WAY
    second = driver.start(booking)
    assert (second.payment.id, second.is_new) == (first.id, False)
    with pytest.raises(PaymentUnderWay):
        driver.start(booking)


def test_the_key_of_a_successful_charge_returns_it_again() -> None:
    """The process that had asked for it died, and the sweeper found out that it succeeded."""
    driver = held_driver()
    booking = driver.book(ANA)
    driver.answer(driver.start(booking, key="k").payment, Answer.DECLINED)
    attempt = driver.start(booking, key="k")
    assert attempt.is_new, "a declined key may be sent again"
    payment = attempt.payment
    paid = driver.answer(payment, Answer.DONE)
    assert driver.start(paid, key="k") == Attempt(driver.payments[payment.id], paid, False)
    for other in ("another", ""):
        with pytest.raises(PaymentNotDue):
            driver.start(paid, key=other)
    with pytest.raises(PaymentNotDue):
        driver.start(paid, "cash", ORGANIZER, key="k")


def test_the_pauses_between_questions_about_a_charge_stay_short() -> None:
    driver = held_driver()
    payment = driver.start(driver.book(ANA)).payment
    pauses = []
    for _ in range(6):
        driver.answer(payment, Answer.SILENT)
        ask_at = driver.payments[payment.id].ask_at
        assert ask_at is not None
        pauses.append((ask_at - driver.now).total_seconds())
    assert pauses == [0, 2, 4, 5, 5, 5]


# A charge that waits for its customer.


def test_a_customer_comes_back_at_any_time_to_the_same_charge() -> None:
    driver = held_driver()
    booking = driver.book(ANA)
    payment = driver.start(booking).payment
    for _ in range(3):
        facts = len(driver.facts)
        assert driver.answer(payment, Answer.ACTION_REQUIRED) == booking
        assert driver.payments[payment.id].awaits_customer
        assert len(driver.facts) == facts
        resumed = driver.start(booking)
        assert (resumed.payment.id, resumed.is_new, resumed.is_abandoned) == (payment.id, False, False)
        with pytest.raises(PaymentUnderWay):
            driver.start(booking)
    driver.answer(payment, Answer.ACTION_REQUIRED)
    with pytest.raises(PaymentUnderWay):
        driver.start(booking, "cash", ORGANIZER)
    assert stands(driver, driver.answer(payment, Answer.DONE)) == ("confirmed", "taken")
    assert not driver.payments[payment.id].awaits_customer


@pytest.mark.parametrize(("window", "longest"), [(None, 3600), (600, 30)])
def test_the_pauses_between_questions_about_a_waiting_charge_grow(window: int | None, longest: int) -> None:
    driver = held_driver(payment_window_minutes=window)
    payment = driver.start(driver.book(ANA)).payment
    pauses = []
    for _ in range(14):
        driver.answer(payment, Answer.ACTION_REQUIRED)
        pauses.append((asked_at(driver, payment) - driver.now).total_seconds())
    assert pauses == [min(2**attempt, longest) for attempt in range(14)]


def test_a_waiting_charge_is_asked_about_just_before_its_hold_ends_and_when_it_ends() -> None:
    driver = held_driver()
    booking = driver.book(ANA)
    payment = driver.start(booking).payment
    ends_at = booking.expires_at
    assert ends_at is not None
    last = ends_at - timedelta(seconds=5)
    for _ in range(6):
        driver.answer(payment, Answer.ACTION_REQUIRED)
    for now, expected in (
        (last - timedelta(seconds=20), last),
        (last, ends_at),
        (ends_at - MICROSECOND, ends_at),
        (ends_at, ends_at + timedelta(seconds=30)),
    ):
        driver.now = now
        driver.answer(payment, Answer.ACTION_REQUIRED)
        assert asked_at(driver, payment) == expected


def asked_at(driver: DomainDriver, payment: Payment) -> datetime:
    """When the provider is asked about it next."""
    ask_at = driver.payments[payment.id].ask_at
    assert ask_at is not None
    return ask_at


def test_a_waiting_charge_is_abandoned_with_its_tickets() -> None:
    driver = held_driver(2)
    lapsed, cancelled = driver.book(ANA), driver.book(BEN)
    charges = [driver.start(booking).payment for booking in (lapsed, cancelled)]
    for charge, booking in zip(charges, (lapsed, cancelled), strict=True):
        driver.answer(charge, Answer.ACTION_REQUIRED)
        assert not is_abandoned(charge, booking, driver.now)
    ended = driver.cancel(cancelled)
    assert is_abandoned(charges[1], ended, driver.now)
    assert driver.start(ended).is_abandoned
    assert lapsed.expires_at is not None
    assert is_abandoned(charges[0], lapsed, lapsed.expires_at)
    assert not is_abandoned(charges[0], lapsed, lapsed.expires_at - MICROSECOND)
    driver.pass_time(minutes=30)
    assert driver.start(lapsed).is_abandoned


def test_a_charge_begun_after_the_hold_waits_for_its_customer_a_while() -> None:
    """There are tickets, and nobody waits for them."""
    driver = held_driver()
    booking = driver.book(ANA)
    driver.pass_time(minutes=30)
    expired = driver.bookings[booking.id]
    charge = driver.start(booking).payment
    assert not is_abandoned(charge, expired, driver.now)
    assert not is_abandoned(charge, expired, driver.now + GIVE_UP - MICROSECOND)
    assert is_abandoned(charge, expired, driver.now + GIVE_UP)
    assert is_abandoned(replace(charge, created_at=driver.now - MICROSECOND), expired, driver.now)


@pytest.mark.parametrize(("answer", "payment_status"), [(Answer.DECLINED, "none"), (Answer.DONE, "refund_pending")])
def test_an_abandoned_charge_ends_or_is_given_back(answer: Answer, payment_status: str) -> None:
    driver = held_driver()
    first, second = driver.book(ANA), driver.book(BEN)
    payment = driver.start(first).payment
    driver.answer(payment, Answer.ACTION_REQUIRED)
    driver.pass_time(minutes=30)
    assert driver.statuses(first, second) == ["expired", "held"]
    assert stands(driver, driver.answer(payment, answer)) == ("expired", payment_status)


def test_the_providers_own_id_of_a_charge_is_kept() -> None:
    driver = held_driver()
    payment = driver.start(driver.book(ANA)).payment
    for told in ("pi_1", None):
        driver.answer(payment, Answer.ACTION_REQUIRED, provider_id=told)
        assert driver.payments[payment.id].provider_id == "pi_1"


def test_a_settled_charge_or_refund_never_changes_again() -> None:
    driver = held_driver()
    booking = driver.pay(driver.book(ANA))
    driver.cancel(booking)
    driver.answer(driver.refund(booking), Answer.DONE)
    kept, facts = dict(driver.payments), len(driver.facts)
    for payment in kept.values():
        for answer in Answer:
            driver.answer(payment, answer)
    assert (driver.payments, len(driver.facts)) == (kept, facts)


def test_a_charge_that_the_provider_never_heard_of_is_given_up_after_a_while() -> None:
    driver = DomainDriver(1, price=euros(25))
    booking = driver.book(ANA)
    payment = driver.start(booking).payment
    driver.now += GIVE_UP - MICROSECOND
    driver.answer(payment, Answer.NOT_FOUND)
    assert driver.payments[payment.id].status is ChargeStatus.PENDING
    driver.now += MICROSECOND
    driver.answer(payment, Answer.NOT_FOUND)
    assert driver.payments[payment.id].status is ChargeStatus.FAILED
    assert stands(driver, driver.answer(payment, Answer.DONE)) == ("confirmed", "taken"), "its money still counts"


def test_a_charge_that_is_tried_again_is_not_given_up() -> None:
    driver = DomainDriver(1, price=euros(25))
    booking = driver.book(ANA)
    payment = driver.start(booking).payment
    driver.now += GIVE_UP
    driver.start(booking)
    driver.answer(payment, Answer.NOT_FOUND)
    assert driver.payments[payment.id].status is ChargeStatus.PENDING


def test_a_second_charge_that_succeeds_late_is_refunded() -> None:
    driver = DomainDriver(1, price=euros(25))
    booking = driver.book(ANA)
    late = driver.start(booking).payment
    driver.now += GIVE_UP
    driver.answer(late, Answer.NOT_FOUND)
    paid = driver.pay(booking)
    again = driver.answer(late, Answer.DONE)
    assert (stands(driver, again), again.paid_by) == (("confirmed", "taken"), paid.paid_by)
    refunded = driver.answer(driver.payments[refund_of(late.id)], Answer.DONE)
    assert stands(driver, refunded) == ("confirmed", "taken")


# Paying late.


def test_a_late_payment_gets_the_tickets_while_they_are_available() -> None:
    driver = held_driver()
    first = driver.book(ANA)
    driver.pass_time(hours=1)
    second = driver.book(BEN)
    with pytest.raises(PaymentWindowClosed):
        driver.start(first)
    driver.pass_time(hours=1)
    assert stands(driver, driver.pay(first)) == ("confirmed", "taken")
    assert driver.ticket_type.available == 0
    driver.cancel(first)
    driver.pass_time(days=200)
    with pytest.raises(PaymentWindowClosed):
        driver.start(second)


def test_a_late_payment_is_refused_beside_another_live_booking_or_past_the_limit() -> None:
    types = (TicketTypeSpec(name="A", total_tickets=9, price=euros(5)), TicketTypeSpec(name="B", total_tickets=9))
    driver = DomainDriver(types=types, payment_window_minutes=30, max_tickets_per_customer=3)
    first, second = driver.ticket_types
    booking = driver.book(ANA, 2, first)
    driver.pass_time(hours=1)
    other = driver.book(ANA, 2, second)
    with pytest.raises(PaymentWindowClosed):
        driver.start(booking)
    driver.cancel(other)
    driver.book(ANA, 1, first)
    with pytest.raises(PaymentWindowClosed):
        driver.start(booking)


@pytest.mark.parametrize("is_settled", [True, False])
def test_a_charge_that_succeeds_after_the_hold_lapsed_gets_tickets_that_are_available(is_settled: bool) -> None:
    driver = held_driver()
    payment = driver.start(driver.book(ANA)).payment
    if is_settled:
        driver.pass_time(minutes=30)
    else:
        driver.now += timedelta(minutes=30)
    assert stands(driver, driver.answer(payment, Answer.DONE)) == ("confirmed", "taken")
    assert [type(what).__name__ for what in driver.happened()[-2:]] == ["HoldExpired", "PaymentTaken"]


def test_a_charge_that_succeeds_after_the_tickets_are_gone_is_refunded_once() -> None:
    driver = held_driver()
    booking = driver.book(ANA)
    driver.book(BEN)
    payment = driver.start(booking).payment
    driver.pass_time(hours=1)
    late = driver.answer(payment, Answer.DONE)
    assert stands(driver, late) == ("expired", "refund_pending")
    with pytest.raises(PaymentNotDue):
        driver.start(late)
    assert stands(driver, driver.answer(driver.refund(late), Answer.DONE)) == ("expired", "refunded")
    assert stands(driver, driver.answer(driver.refund(late), Answer.DONE)) == ("expired", "refunded")


# Refunds.


def test_a_paid_booking_cancelled_in_time_is_refunded_in_full() -> None:
    driver = held_driver()
    booking = driver.pay(driver.book(ANA))
    cancelled = driver.cancel(booking)
    assert stands(driver, cancelled) == ("cancelled", "refund_pending")
    refund = driver.refund(booking)
    assert (refund.amount, refund.method, refund.ask_at) == (euros(25), PaymentMethod.CARD, driver.now)
    assert stands(driver, driver.answer(refund, Answer.DONE)) == ("cancelled", "refunded")


def test_a_booking_keeps_the_cancellation_policy_of_its_time() -> None:
    driver = held_driver(2, cancellation_deadline_hours=0)
    first, second, waiting = driver.pay(driver.book(ANA)), driver.pay(driver.book(BEN)), driver.book(CLEO)
    driver.edit(cancellation_deadline_hours=8_760)
    assert stands(driver, driver.cancel(first)) == ("cancelled", "refund_pending")
    driver.pay(waiting)
    assert stands(driver, driver.cancel(waiting)) == ("cancelled", "refund_pending")
    after = driver.pay(driver.book(DAN))
    with pytest.raises(CancellationClosed):
        driver.cancel(after)
    assert stands(driver, driver.cancel(after, ORGANIZER)) == ("cancelled", "refund_pending")
    assert driver.status_of(second) == "confirmed"


def test_a_refund_is_tried_with_longer_pauses_until_it_succeeds() -> None:
    driver = held_driver()
    booking = driver.pay(driver.book(ANA))
    driver.cancel(booking)
    pauses = []
    for answer in [Answer.SILENT, Answer.DECLINED, Answer.NOT_FOUND] * 5:
        driver.answer(driver.refund(booking), answer)
        ask_at = driver.refund(booking).ask_at
        assert ask_at is not None
        pauses.append((ask_at - driver.now).total_seconds())
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == 3_600
    assert driver.refund(booking).status is ChargeStatus.PENDING


def test_the_refund_of_a_charge_and_the_charge_of_a_refund_are_each_others() -> None:
    charge_id = UUID("01890000-0000-7000-8000-000000000001")
    assert refund_of(charge_id) != charge_id
    assert refund_of(refund_of(charge_id)) == charge_id
    assert refund_of(charge_id).version == 7
