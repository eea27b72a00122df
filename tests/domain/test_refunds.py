"""Refunds: the fee of a cancellation, parts of a payment, refunds that fail, and money that is given back by hand."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.domain.balance import broken_balances
from boxoffice.domain.booking import Booking, PaymentStatus
from boxoffice.domain.decisions.payments.notices import NoticeKind
from boxoffice.domain.decisions.payments.pay import Answer
from boxoffice.domain.event import EventStatus
from boxoffice.domain.facts import BookingCancelled, PaymentRefunded, RefundFailed, RefundGranted
from boxoffice.domain.payment import OVERDUE, ChargeStatus, DisputeStatus, Need, Payment, need_of, needed_since
from boxoffice.domain.refusals import (
    AlreadySettled,
    ExceedsPaid,
    InvalidRequest,
    NotAllowed,
    NotFound,
    PaymentNotDue,
    PaymentUnderWay,
)
from boxoffice.domain.values.money import Money

from .domain_driver import ADMIN, ANA, BEN, MICROSECOND, NOW, ORGANIZER, START, STRANGER, DomainDriver, customer, euros


def paid_driver(quantity: int = 1, *, method: str = "card", **details: Any) -> tuple[DomainDriver, Booking]:
    """Return an event with tickets for 25 euros, and Ana's paid booking."""
    driver = DomainDriver(3, price=euros(25), **{"starts_at": START, **details})
    booking = driver.book(ANA, quantity)
    if method == "cash":
        return driver, driver.start(booking, "cash", ORGANIZER).booking
    return driver, driver.pay(booking)


def stands(driver: DomainDriver, booking: Booking) -> tuple[str, int]:
    """Return the status of a booking's payment, and what is left of it."""
    stored = driver.bookings[booking.id]
    return stored.payment_status.value, stored.kept


# The fee.


@pytest.mark.parametrize(
    ("percent", "amount", "refund"),
    [(0, 2_500, 2_500), (10, 2_500, 2_250), (33, 2_501, 1_676), (99, 1, 1), (100, 1, None), (100, 2_500, None)],
)
def test_a_customers_cancellation_costs_the_fee_rounded_down(percent: int, amount: int, refund: int | None) -> None:
    driver = DomainDriver(1, price=Money(amount, "EUR"), refund_fee_percent=percent)
    booking = driver.pay(driver.book(ANA))
    cancelled = driver.cancel(booking)
    what = driver.facts[-1].what
    assert isinstance(what, BookingCancelled)
    if refund is None:
        assert what.refund is None
        assert stands(driver, cancelled) == ("taken", amount)
        assert len(driver.payments) == 1
    else:
        assert what.refund == Money(refund, "EUR")
        assert driver.refund(booking).amount == Money(refund, "EUR")
        assert stands(driver, cancelled) == ("refund_pending", amount - refund)
        driver.answer(driver.refund(booking), Answer.DONE)
        assert stands(driver, cancelled) == ("refunded", amount - refund)


def test_the_fee_is_that_of_the_booking_and_never_the_organizers() -> None:
    driver, first = paid_driver(refund_fee_percent=40)
    second = driver.pay(driver.book(BEN))
    driver.edit(refund_fee_percent=100)
    driver.cancel(first)
    assert stands(driver, first) == ("refund_pending", 1_000)
    driver.cancel(second, ORGANIZER)
    assert stands(driver, second) == ("refund_pending", 0)
    third = driver.pay(driver.book(customer(3)))
    driver.edit(status=EventStatus.CANCELLED)
    driver.settle()
    assert stands(driver, third) == ("refund_pending", 0)


@pytest.mark.parametrize("kind", ["moved", "late promotion"])
def test_whoever_the_deadline_releases_pays_no_fee(kind: str) -> None:
    driver, booking = paid_driver(3, refund_fee_percent=50, cancellation_deadline_hours=48)
    if kind == "moved":
        driver.edit(starts_at=START - timedelta(days=1))
    else:
        waiting = driver.book(BEN)
        driver.now = START - timedelta(hours=47)
        driver.cancel(booking, ORGANIZER)
        booking = driver.pay(waiting)
    driver.cancel(booking)
    assert stands(driver, booking) == ("refund_pending", 0)


# Parts.


def test_parts_are_given_back_until_nothing_is_left_and_a_cancellation_gives_the_rest() -> None:
    driver, booking = paid_driver(2)
    first = driver.grant(booking, euros(20))
    assert stands(driver, booking) == ("taken", 3_000)
    assert isinstance(driver.facts[-1].what, RefundGranted)
    driver.answer(first, Answer.DONE)
    second = driver.grant(booking, euros(5), ADMIN, "  And another ")
    assert (second.reason, second.charge_id) == ("And another", driver.charge(booking).id)
    assert stands(driver, booking) == ("taken", 2_500)
    driver.cancel(booking)
    assert driver.refund(booking).amount == euros(25)
    assert stands(driver, booking) == ("refund_pending", 0)
    driver.answer(driver.refund(booking), Answer.DONE)
    assert stands(driver, booking) == ("refund_pending", 0), "the second part has not arrived"
    driver.answer(second, Answer.DONE)
    assert stands(driver, booking) == ("refunded", 0)


def test_a_cancellation_gives_the_part_that_the_fee_leaves_at_most_what_is_left() -> None:
    driver, booking = paid_driver(refund_fee_percent=20)
    driver.grant(booking, euros(2))
    driver.cancel(booking)
    assert (driver.refund(booking).amount, stands(driver, booking)) == (euros(20), ("refund_pending", 300))
    driver.grant(booking, euros(3))
    assert stands(driver, booking) == ("refund_pending", 0)


def test_all_may_be_given_back_while_the_tickets_stay() -> None:
    driver, booking = paid_driver()
    driver.answer(driver.grant(booking, euros(25)), Answer.DONE)
    assert (driver.status_of(booking), stands(driver, booking)) == ("confirmed", ("refunded", 0))
    driver.cancel(booking)
    assert stands(driver, booking) == ("refunded", 0)
    assert len(driver.payments) == 2


@pytest.mark.parametrize("method", ["card", "cash"])
def test_never_more_than_is_left(method: str) -> None:
    driver, booking = paid_driver(method=method)
    with pytest.raises(ExceedsPaid):
        driver.grant(booking, Money(2_501, "EUR"))
    driver.grant(booking, Money(2_500, "EUR"))
    with pytest.raises(ExceedsPaid):
        driver.grant(booking, Money(1, "EUR"))
    unpaid = driver.book(BEN)
    with pytest.raises(ExceedsPaid):
        driver.grant(unpaid, Money(1, "EUR"))


def test_only_managers_grant_and_settle_refunds() -> None:
    driver, booking = paid_driver(method="cash")
    refund = driver.grant(booking, euros(1), ADMIN)
    for actor, refusal in ((ANA, NotAllowed), (STRANGER, NotFound)):
        with pytest.raises(refusal):
            driver.grant(booking, euros(1), actor)
        with pytest.raises(refusal):
            driver.settle_refund(refund, actor)
    with pytest.raises(NotFound):
        driver.settle_refund(replace(refund, id=driver.new_id()))
    driver.bookings.pop(booking.id)
    with pytest.raises(NotFound):
        driver.grant(booking, euros(1))


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (Money(0, "EUR"), "why"),
        (Money(-1, "EUR"), "why"),
        (Money(1, "USD"), "why"),
        (Money(1, "EUR"), " "),
        (Money(1, "EUR"), "x" * 201),
    ],
)
def test_a_refund_has_an_amount_and_a_reason(amount: Money, reason: str) -> None:
    driver, booking = paid_driver()
    with pytest.raises(InvalidRequest):
        driver.grant(booking, amount, reason=reason)


@pytest.mark.parametrize("status", [EventStatus.CANCELLED, EventStatus.COMPLETED])
def test_refunds_are_granted_and_settled_after_the_event(status: EventStatus) -> None:
    driver, booking = paid_driver(method="cash", refund_fee_percent=50)
    driver.cancel(booking)
    driver.edit(status=status)
    driver.now = START + timedelta(days=9)
    driver.settle_refund(driver.grant(booking, euros(12)))
    driver.settle_refund(driver.refund(booking), ADMIN, " Handed over at the door ")
    assert stands(driver, booking) == ("refunded", 50)


# By hand.


def test_cash_waits_for_a_person() -> None:
    driver, booking = paid_driver(method="cash")
    driver.cancel(booking)
    refund = driver.refund(booking)
    assert (refund.status, refund.ask_at) == (ChargeStatus.PENDING, None)
    driver.now += timedelta(days=1)
    settled = driver.settle_refund(refund, note="Handed over")
    assert (settled.status, settled.settled_at, settled.note) == (ChargeStatus.SUCCEEDED, driver.now, "Handed over")
    assert settled.settled_by == ORGANIZER.user_id
    what = driver.facts[-1].what
    assert isinstance(what, PaymentRefunded)
    assert (what.settled_by, what.note) == (ORGANIZER.user_id, "Handed over")
    assert stands(driver, booking) == ("refunded", 0)
    for payment in (settled, driver.charge(booking)):
        with pytest.raises(AlreadySettled):
            driver.settle_refund(payment)
    with pytest.raises(InvalidRequest):
        driver.settle_refund(settled, note="x" * 201)


def test_a_card_refund_is_paid_by_hand_only_after_it_failed_for_good() -> None:
    driver, booking = paid_driver()
    driver.cancel(booking)
    with pytest.raises(PaymentUnderWay):
        driver.settle_refund(driver.refund(booking))
    driver.answer(driver.refund(booking), Answer.FAILED)
    failed = driver.refund(booking)
    assert (failed.status, failed.ask_at) == (ChargeStatus.FAILED, None)
    assert isinstance(driver.facts[-1].what, RefundFailed)
    assert stands(driver, booking) == ("refund_failed", 0)
    for answer in Answer:
        driver.answer(failed, answer)
        assert stands(driver, booking) == ("refund_failed", 0)
    driver.settle_refund(failed)
    assert stands(driver, booking) == ("refunded", 0)


def test_what_the_provider_says_after_it_was_paid_by_hand_changes_nothing() -> None:
    driver, booking = paid_driver()
    driver.cancel(booking)
    driver.answer(driver.refund(booking), Answer.FAILED)
    settled = driver.settle_refund(driver.refund(booking))
    for kind in (NoticeKind.REFUND_FAILED, NoticeKind.REFUND_DONE):
        driver.notice(settled, kind, after=9)
        assert driver.payments[settled.id] == settled


def test_a_final_answer_counts_only_for_the_last_attempt() -> None:
    driver, booking = paid_driver()
    driver.cancel(booking)
    refund = driver.refund(booking)
    driver.answer(refund, Answer.FAILED, seen=NOW - timedelta(seconds=1))
    assert driver.refund(booking).status is ChargeStatus.PENDING


def test_a_part_that_failed_shows_until_it_is_settled() -> None:
    driver, booking = paid_driver()
    part = driver.grant(booking, euros(5))
    driver.answer(part, Answer.FAILED)
    assert (driver.status_of(booking), stands(driver, booking)) == ("confirmed", ("refund_failed", 2_000))
    driver.grant(booking, euros(1))
    driver.cancel(booking)
    driver.answer(driver.refund(booking), Answer.DONE)
    assert stands(driver, booking) == ("refund_failed", 0)
    driver.settle_refund(driver.payments[part.id])
    assert stands(driver, booking) == ("refund_pending", 0)


def test_the_failed_refund_of_a_second_charge_does_not_concern_the_booking() -> None:
    driver = DomainDriver(1, price=euros(25))
    booking = driver.book(ANA)
    late = driver.start(booking).payment
    driver.now += timedelta(minutes=10)
    driver.answer(late, Answer.NOT_FOUND)
    driver.pay(booking)
    driver.answer(late, Answer.DONE)
    (refund,) = (each for each in driver.payments.values() if each.charge_id == late.id)
    driver.answer(refund, Answer.FAILED)
    assert stands(driver, booking) == ("taken", 2_500)
    driver.settle_refund(driver.payments[refund.id])
    assert stands(driver, booking) == ("taken", 2_500)


# A dispute.


def test_nothing_is_given_back_while_a_charge_is_disputed() -> None:
    driver, booking = paid_driver(refund_fee_percent=20)
    part = driver.grant(booking, euros(5))
    driver.answer(part, Answer.FAILED)
    driver.notice(driver.charge(booking), NoticeKind.DISPUTE_OPENED)
    assert stands(driver, booking) == ("disputed", 2_000)
    with pytest.raises(ExceedsPaid):
        driver.grant(booking, euros(1))
    with pytest.raises(PaymentNotDue):
        driver.settle_refund(driver.payments[part.id])
    driver.cancel(booking)
    assert driver.refund(booking).ask_at is None
    assert stands(driver, booking) == ("disputed", 0)
    driver.answer(driver.refund(booking), Answer.SILENT)
    assert driver.refund(booking).ask_at is None


# What needs a person.


def needs(driver: DomainDriver, payment: Payment) -> tuple[Need | None, datetime]:
    stored = driver.payments[payment.id]
    return need_of(stored, driver.now), needed_since(stored)


def test_refunds_that_nobody_pays_need_a_person() -> None:
    driver, booking = paid_driver(method="cash")
    cash = driver.grant(booking, euros(1))
    assert needs(driver, cash) == (Need.CASH, NOW)
    driver.settle_refund(cash)
    assert needs(driver, cash)[0] is None
    driver, booking = paid_driver()
    part = driver.grant(booking, euros(1))
    driver.now += OVERDUE - MICROSECOND
    assert needs(driver, part)[0] is None
    driver.now += MICROSECOND
    assert needs(driver, part) == (Need.PENDING, NOW)
    driver.answer(part, Answer.FAILED)
    assert needs(driver, part) == (Need.REFUND_FAILED, driver.now)
    charge = driver.charge(booking)
    assert needs(driver, charge)[0] is None
    driver.notice(charge, NoticeKind.DISPUTE_OPENED, 7)
    assert needs(driver, charge) == (Need.DISPUTED, NOW + timedelta(seconds=7))
    driver.notice(charge, NoticeKind.DISPUTE_LOST, 8)
    assert (needs(driver, charge)[0], needs(driver, part)[0]) == (None, None)


def test_a_refund_that_waits_for_a_dispute_needs_nobody() -> None:
    driver, booking = paid_driver()
    driver.notice(driver.charge(booking), NoticeKind.DISPUTE_OPENED)
    driver.cancel(booking)
    driver.now += OVERDUE
    assert needs(driver, driver.refund(booking))[0] is None


# The check of the money itself.


def _changed(driver: DomainDriver, booking: Booking, **changes: Any) -> list[str]:
    facts = [fact for fact in driver.facts if fact.booking_id == booking.id]
    return list(broken_balances(replace(driver.bookings[booking.id], **changes), list(driver.payments.values()), facts))


def test_the_balance_of_a_booking_is_checked() -> None:
    driver, booking = paid_driver(refund_fee_percent=20)
    charge = driver.charge(booking)
    assert _changed(driver, booking) == []
    assert _changed(driver, booking, payment_status=PaymentStatus.REFUNDED)
    assert _changed(driver, booking, kept=2_400)
    assert _changed(driver, booking, paid_by=None, payment_status=PaymentStatus.NONE, kept=0)
    assert _changed(driver, booking, paid_by=None, payment_status=PaymentStatus.TAKEN)
    assert _changed(driver, booking, paid_by=driver.new_id())
    driver.cancel(booking)
    refund = driver.refund(booking)

    def with_refund(payment: Payment) -> list[str]:
        driver.payments[refund.id] = payment
        kept = 2_500 - payment.amount.amount
        return _changed(driver, booking, kept=kept)

    assert with_refund(refund) == []
    assert with_refund(replace(refund, amount=euros(19)))
    assert with_refund(replace(refund, amount=euros(26)))
    assert with_refund(replace(refund, charge_id=driver.new_id()))
    by_organizer = replace(driver.facts[-1], what=replace(driver.facts[-1].what, by="organizer"))
    driver.payments[refund.id] = refund
    assert list(broken_balances(driver.bookings[booking.id], [charge, refund], [by_organizer]))
    del driver.payments[refund.id]
    driver.payments[charge.id] = replace(charge, dispute=DisputeStatus.LOST)
    assert _changed(driver, booking, kept=0, payment_status=PaymentStatus.DISPUTED) == []
