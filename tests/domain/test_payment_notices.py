"""Notices of the provider: twice, late, in any order, about every kind of payment."""

from itertools import permutations

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.payments.notices import NoticeKind, PaymentNotice, RecordNotice, record_notice
from boxoffice.domain.decisions.payments.pay import Answer
from boxoffice.domain.facts import DisputeClosed, PaymentDisputed
from boxoffice.domain.payment import GIVE_UP, ChargeStatus, DisputeStatus
from boxoffice.domain.refusals import NotFound

from .domain_driver import ANA, BEN, EVENT_ID, NOW, ORGANIZER, START, DomainDriver, euros
from .test_refunds import paid_driver, stands

TAKEN, DECLINED = NoticeKind.CHARGE_TAKEN, NoticeKind.CHARGE_DECLINED
DONE, FAILED = NoticeKind.REFUND_DONE, NoticeKind.REFUND_FAILED
OPENED, WON, LOST = NoticeKind.DISPUTE_OPENED, NoticeKind.DISPUTE_WON, NoticeKind.DISPUTE_LOST


def test_a_charge_completes_by_a_notice_once() -> None:
    driver = DomainDriver(1, price=euros(25))
    booking = driver.book(ANA)
    charge = driver.start(booking).payment
    for kind in (DECLINED, TAKEN, TAKEN, DECLINED):
        driver.notice(charge, kind)
    assert stands(driver, booking) == ("taken", 2_500)
    assert [type(what).__name__ for what in driver.happened()[-2:]] == ["PaymentFailed", "PaymentTaken"]
    driver.answer(charge, Answer.DONE)
    assert len(driver.payments) == 1


def test_a_notice_of_a_late_charge_gives_tickets_or_a_refund() -> None:
    driver = DomainDriver(1, price=euros(25), payment_window_minutes=30, starts_at=START)
    booking = driver.book(ANA)
    driver.book(BEN)
    charge = driver.start(booking).payment
    driver.now += GIVE_UP
    driver.answer(charge, Answer.NOT_FOUND)
    driver.pass_time(hours=1)
    driver.notice(charge, TAKEN)
    assert (driver.status_of(booking), stands(driver, booking)) == ("expired", ("refund_pending", 0))


def test_a_dispute_tells_of_a_late_charge_whose_refund_then_waits_for_it() -> None:
    driver = DomainDriver(1, price=euros(25), payment_window_minutes=30, starts_at=START)
    booking = driver.book(ANA)
    driver.book(BEN)
    charge = driver.start(booking).payment
    driver.pass_time(hours=1)
    driver.notice(charge, OPENED, 1)
    assert (driver.status_of(booking), stands(driver, booking)) == ("expired", ("disputed", 0))
    assert (driver.refund(booking).status, driver.refund(booking).ask_at) == (ChargeStatus.PENDING, None)
    driver.notice(charge, WON, 2)
    assert stands(driver, booking) == ("refund_pending", 0)
    assert driver.refund(booking).ask_at == driver.now


def test_a_notice_about_another_kind_of_payment_or_about_cash_changes_nothing() -> None:
    driver, booking = paid_driver()
    cash_driver, in_cash = paid_driver(method="cash")
    driver.cancel(booking)
    cash_driver.cancel(in_cash)
    for each, its in ((driver, booking), (cash_driver, in_cash)):
        before, facts = dict(each.payments), len(each.facts)
        for kind in (DONE, FAILED):
            each.notice(each.charge(its), kind)
        for kind in (TAKEN, DECLINED, OPENED):
            each.notice(each.refund(its), kind)
        assert (each.payments, len(each.facts)) == (before, facts)
    for kind in NoticeKind:
        cash_driver.notice(cash_driver.charge(in_cash), kind)
        cash_driver.notice(cash_driver.refund(in_cash), kind)
    assert stands(cash_driver, in_cash) == ("refund_pending", 0)


def test_an_unknown_payment_is_not_found() -> None:
    driver, booking = paid_driver()
    with pytest.raises(NotFound):
        driver.notice(replace(driver.charge(booking), id=driver.new_id()), TAKEN)
    command = RecordNotice(
        notice=PaymentNotice(payment_id=driver.charge(booking).id, kind=TAKEN, occurred_at=NOW),
        event_id=EVENT_ID,
        booking_id=driver.new_id(),
        customer_id=booking.customer_id,
    )
    with pytest.raises(NotFound):
        record_notice(driver.inventory, command, NOW)


@pytest.mark.parametrize("order", [*permutations([0, 1, 2])])
def test_the_newest_notice_of_a_refund_counts_whatever_the_order(order: tuple[int, ...]) -> None:
    driver, booking = paid_driver()
    driver.cancel(booking)
    # At the same second the failure counts.
    notices = [(DONE, 1), (DONE, 2), (FAILED, 2)]
    for index in order:
        driver.notice(driver.refund(booking), *notices[index])
        driver.notice(driver.refund(booking), *notices[index])
    assert stands(driver, booking) == ("refund_failed", 0)
    assert driver.refund(booking).ask_at is None


def test_a_refund_that_succeeded_may_be_returned_by_the_bank() -> None:
    driver, booking = paid_driver()
    driver.cancel(booking)
    driver.answer(driver.refund(booking), Answer.DONE)
    driver.notice(driver.refund(booking), FAILED, 5)
    assert stands(driver, booking) == ("refund_failed", 0)
    driver.notice(driver.refund(booking), DONE, 4)
    assert stands(driver, booking) == ("refund_failed", 0)


# Disputes.


def test_a_dispute_that_is_won_is_taken_again() -> None:
    driver, booking = paid_driver()
    driver.notice(driver.charge(booking), OPENED, 1)
    assert isinstance(driver.facts[-1].what, PaymentDisputed)
    assert stands(driver, booking) == ("disputed", 2_500)
    driver.notice(driver.charge(booking), WON, 2)
    assert isinstance(driver.facts[-1].what, DisputeClosed)
    assert stands(driver, booking) == ("taken", 2_500)


def test_a_dispute_that_is_lost_stays_disputed_and_nothing_is_left() -> None:
    driver, booking = paid_driver()
    driver.notice(driver.charge(booking), LOST, 2)
    assert stands(driver, booking) == ("disputed", 0)
    driver.cancel(booking, ORGANIZER)
    assert (driver.status_of(booking), stands(driver, booking)) == ("cancelled", ("disputed", 0))
    assert len(driver.payments) == 1


@pytest.mark.parametrize(
    "notices",
    [
        [(OPENED, 1), (WON, 3)],
        [(OPENED, 2), (WON, 2)],
        [(OPENED, 1), (WON, 1), (LOST, 1)],
        [(OPENED, 1), (LOST, 2), (OPENED, 3)],
        [(OPENED, 1), (LOST, 2), (WON, 3)],
    ],
)
@pytest.mark.parametrize("cancels", ["no", "before", "after"])
def test_the_newest_notice_of_a_dispute_counts_whatever_the_order(
    notices: list[tuple[NoticeKind, float]], cancels: str
) -> None:
    seen = set()
    for order in permutations(notices):
        driver, booking = paid_driver(refund_fee_percent=20)
        if cancels == "before":
            driver.cancel(booking)
        for notice in order:
            driver.notice(driver.charge(booking), *notice)
            driver.notice(driver.charge(booking), *notice)
        if cancels == "after":
            driver.cancel(booking)
        refund = next((each for each in driver.payments.values() if each.charge_id), None)
        is_asked = refund is not None and refund.ask_at is not None
        seen.add((driver.charge(booking).dispute, *stands(driver, booking), is_asked))
    (outcome,) = seen
    final = max(notices, key=lambda each: (each[1], [OPENED, WON, LOST].index(each[0])))[0]
    is_won, is_cancelled = final is WON, cancels != "no"
    status = ("refund_pending" if is_cancelled else "taken") if is_won else "disputed"
    kept = 0 if final is LOST else 500 if is_cancelled else 2_500
    dispute = {OPENED: DisputeStatus.OPEN, WON: DisputeStatus.WON, LOST: DisputeStatus.LOST}[final]
    assert outcome == (dispute, status, kept, is_won and is_cancelled)


def test_a_refund_under_way_waits_for_the_dispute_and_goes_out_when_it_is_won() -> None:
    driver, booking = paid_driver()
    driver.cancel(booking)
    driver.notice(driver.charge(booking), OPENED, 1)
    assert (driver.refund(booking).ask_at, stands(driver, booking)) == (None, ("disputed", 0))
    driver.notice(driver.charge(booking), WON, 2)
    assert (driver.refund(booking).ask_at, stands(driver, booking)) == (driver.now, ("refund_pending", 0))
    driver.answer(driver.refund(booking), Answer.DONE)
    assert stands(driver, booking) == ("refunded", 0)


def test_a_lost_dispute_ends_the_refunds_that_were_not_paid() -> None:
    driver, booking = paid_driver()
    part = driver.grant(booking, euros(5))
    driver.answer(part, Answer.DONE)
    driver.cancel(booking)
    driver.notice(driver.charge(booking), LOST, 2)
    refund = driver.refund(booking)
    assert (refund.status, refund.dispute) == (ChargeStatus.FAILED, DisputeStatus.LOST)
    assert driver.payments[part.id].status is ChargeStatus.SUCCEEDED
    assert stands(driver, booking) == ("disputed", 0)


def failed_by_dispute() -> tuple[DomainDriver, Booking]:
    """Return a booking whose refund the provider refused because of a dispute, of which it told only afterwards."""
    driver, booking = paid_driver()
    driver.cancel(booking)
    driver.answer(driver.refund(booking), Answer.FAILED)
    driver.notice(driver.charge(booking), OPENED, 1)
    assert driver.refund(booking).status is ChargeStatus.FAILED
    return driver, booking


def test_a_refund_that_the_dispute_made_fail_is_tried_again_when_it_is_won() -> None:
    driver, booking = failed_by_dispute()
    driver.notice(driver.refund(booking), FAILED, 2)
    driver.notice(driver.charge(booking), WON, 3)
    assert stands(driver, booking) == ("refund_pending", 0)
    driver.notice(driver.refund(booking), FAILED, 2)
    assert stands(driver, booking) == ("refund_pending", 0), "an old notice"
    driver.answer(driver.refund(booking), Answer.DONE)
    driver.notice(driver.refund(booking), FAILED, 2)
    assert stands(driver, booking) == ("refunded", 0), "an old notice"
    driver.notice(driver.refund(booking), FAILED, 4)
    assert stands(driver, booking) == ("refund_failed", 0)


def test_a_dispute_says_that_its_charge_was_taken() -> None:
    driver = DomainDriver(1, price=euros(25))
    booking = driver.book(ANA)
    charge = driver.start(booking).payment
    driver.notice(charge, OPENED, 1)
    assert (driver.status_of(booking), stands(driver, booking)) == ("confirmed", ("disputed", 2_500))
    driver.notice(charge, TAKEN)
    assert stands(driver, booking) == ("disputed", 2_500)


def test_a_refund_that_was_paid_may_be_disputed_too() -> None:
    driver, booking = paid_driver()
    driver.cancel(booking)
    driver.answer(driver.refund(booking), Answer.DONE)
    driver.notice(driver.charge(booking), OPENED, 1)
    assert stands(driver, booking) == ("disputed", 0)
    driver.notice(driver.charge(booking), WON, 2)
    assert stands(driver, booking) == ("refunded", 0)


@pytest.mark.parametrize(("kind", "status"), [(OPENED, "pending"), (LOST, "failed")])
def test_a_disputed_charge_that_came_too_late_is_not_refunded_as_well(kind: NoticeKind, status: str) -> None:
    driver = DomainDriver(1, price=euros(25))
    booking = driver.book(ANA)
    charge = driver.start(booking).payment
    driver.cancel(booking)
    driver.notice(charge, kind, 1)
    refund = driver.refund(booking)
    assert (refund.status, refund.ask_at) == (status, None)
    assert stands(driver, booking) == ("disputed", 0)
