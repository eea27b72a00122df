"""Holds, payments and refunds."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.pay import Answer, Attempt, SettlePayment, settle_payment
from boxoffice.domain.event import EventStatus, TicketTypeSpec
from boxoffice.domain.facts import HoldExpired as HoldExpiredFact
from boxoffice.domain.facts import PaymentFailed, PaymentTaken
from boxoffice.domain.payment import GIVE_UP, UNDER_WAY, ChargeStatus, PaymentMethod, refund_of
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

from .office import ANA, BEN, CLEO, DAN, EVENT_ID, MICROSECOND, NOW, ORGANIZER, START, STRANGER, Office, euros


def held_office(total_tickets: int = 1, **details: Any) -> Office:
    """Tickets for 25 euros, to be paid within half an hour."""
    return Office(total_tickets, price=euros(25), **{"payment_window_minutes": 30, "starts_at": START, **details})


def stands(office: Office, booking: Booking) -> tuple[str, str]:
    """Where a booking and its payment stand."""
    kept = office.bookings[booking.id]
    return kept.status.value, kept.payment_status.value


# Holds.


def test_tickets_that_must_be_paid_first_are_held_for_the_window() -> None:
    office = held_office()
    booking = office.book(ANA)
    assert stands(office, booking) == ("held", "due")
    assert booking.expires_at == NOW + timedelta(minutes=30)
    assert office.ticket_type.available == 0
    assert office.state.event.earliest_expiry == booking.expires_at


@pytest.mark.parametrize("details", [{"price": euros(0)}, {"price": None}])
def test_what_is_free_is_not_held(details: dict[str, Any]) -> None:
    office = Office(1, payment_window_minutes=30, **details)
    assert stands(office, office.book(ANA)) == ("confirmed", "none")


def test_without_a_window_a_booking_is_confirmed_and_may_be_paid_at_any_time() -> None:
    office = Office(1, price=euros(25))
    booking = office.book(ANA)
    assert stands(office, booking) == ("confirmed", "due")
    office.pass_time(days=300)
    assert stands(office, office.pay(booking)) == ("confirmed", "taken")


def test_a_hold_lapses_at_its_end_and_not_before() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.pass_time(minutes=30, microseconds=-1)
    assert stands(office, booking) == ("held", "due")
    office.pass_time(microseconds=1)
    assert stands(office, booking) == ("expired", "none")
    assert office.ticket_type.available == 1
    assert office.state.event.earliest_expiry is None
    assert isinstance(office.happened()[-1], HoldExpiredFact)


def test_a_lapsed_hold_counts_as_expired_although_nobody_has_settled_it() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.now += timedelta(minutes=30)
    assert booking.as_of(office.now).status is BookingStatus.EXPIRED
    assert booking.as_of(office.now - MICROSECOND) is booking
    with pytest.raises(AlreadyCancelled):
        office.cancel(booking)
    with pytest.raises(NotFound):
        office.cancel_here(ANA)


def test_a_lapsed_hold_goes_to_the_next_in_line_as_a_hold_of_its_own() -> None:
    office = held_office()
    first, second, third = office.book(ANA), office.book(BEN), office.book(CLEO)
    office.pass_time(minutes=31)
    assert office.statuses(first, second, third) == ["expired", "held", "waitlisted"]
    assert office.bookings[second.id].expires_at == office.now + timedelta(minutes=30)
    office.pass_time(minutes=30)
    assert office.statuses(first, second, third) == ["expired", "expired", "held"]


def test_whoever_holds_may_leave_until_the_start_whatever_the_deadline() -> None:
    office = held_office(cancellation_deadline_hours=8_760)
    booking = office.book(ANA)
    assert stands(office, office.cancel(booking)) == ("cancelled", "none")
    assert office.bookings[booking.id].expires_at is None


def test_the_earliest_expiry_is_a_lower_bound_that_settling_corrects() -> None:
    office = held_office(3)
    first = office.book(ANA)
    office.pass_time(minutes=10)
    second = office.book(BEN)
    office.pay(first)
    assert office.state.event.earliest_expiry == first.expires_at
    office.pass_time(minutes=20)
    assert office.state.event.earliest_expiry == second.expires_at
    assert office.statuses(first, second) == ["confirmed", "held"]


def test_holds_lapse_while_the_event_is_paused_and_the_line_waits() -> None:
    office = held_office()
    first, second = office.book(ANA), office.book(BEN)
    office.pause()
    office.pass_time(minutes=30)
    assert office.statuses(first, second) == ["expired", "waitlisted"]
    office.resume()
    assert office.statuses(second) == ["held"]


# Paying.


def test_a_paid_hold_is_confirmed_for_good() -> None:
    office = held_office()
    booking = office.book(ANA)
    paid = office.pay(booking)
    assert stands(office, paid) == ("confirmed", "taken")
    assert paid.expires_at is None
    office.pass_time(days=2)
    assert stands(office, paid) == ("confirmed", "taken")


def test_while_the_provider_is_asked_the_charge_is_pending() -> None:
    office = held_office()
    attempt = office.start(office.book(ANA), key="k")
    assert attempt.is_new
    assert (attempt.payment.status, attempt.payment.ask_at) == (ChargeStatus.PENDING, NOW + UNDER_WAY)
    assert (attempt.payment.amount, attempt.payment.key) == (euros(25), "k")


def test_cash_in_hand_is_settled_at_once() -> None:
    office = held_office()
    attempt = office.start(office.book(ANA), "cash", ORGANIZER)
    assert attempt.payment.status is ChargeStatus.SUCCEEDED
    assert stands(office, attempt.booking) == ("confirmed", "taken")


@pytest.mark.parametrize(
    ("method", "actor", "refusal"),
    [("card", ORGANIZER, NotAllowed), ("cash", ANA, NotAllowed), ("card", STRANGER, NotFound)],
)
def test_customers_pay_by_card_and_organizers_take_cash(method: str, actor: Any, refusal: type[Refusal]) -> None:
    office = held_office()
    booking = office.book(ANA)
    with pytest.raises(refusal):
        office.start(booking, method, actor)


def test_an_unknown_booking_or_payment_is_not_found() -> None:
    office = held_office()
    booking = office.book(ANA)
    attempt = office.start(booking)
    office.bookings.pop(booking.id)
    with pytest.raises(NotFound):
        office.start(booking)
    office.bookings[booking.id] = booking
    command = SettlePayment(
        payment_id=UUID(int=1),
        event_id=EVENT_ID,
        booking_id=booking.id,
        customer_id=ANA.user_id,
        answer=Answer.DONE,
        seen=attempt.payment.tried_at,
    )
    with pytest.raises(NotFound):
        settle_payment(office.inventory, command, NOW)


def test_a_second_payment_is_not_due() -> None:
    office = held_office()
    booking = office.pay(office.book(ANA))
    with pytest.raises(PaymentNotDue):
        office.start(booking)


def test_nothing_is_due_for_what_is_free_waits_or_is_cancelled() -> None:
    office = held_office()
    first, waiting = office.book(ANA), office.book(BEN)
    with pytest.raises(PaymentNotDue):
        office.start(waiting)
    office.cancel(first)
    with pytest.raises(PaymentNotDue):
        office.start(first)
    free = Office(1)
    with pytest.raises(PaymentNotDue):
        free.start(free.book(ANA))


def test_nothing_is_due_for_a_cancelled_event_even_before_all_its_bookings_are() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.edit(status=EventStatus.CANCELLED)
    office.bookings[booking.id] = booking
    with pytest.raises(PaymentNotDue):
        office.start(booking)


def test_one_charge_at_a_time() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.start(booking)
    office.now += UNDER_WAY - MICROSECOND
    with pytest.raises(PaymentUnderWay):
        office.start(booking)


def test_nobody_waits_for_a_time_that_a_wrong_clock_has_set() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.now += 10 * UNDER_WAY
    first = office.start(booking).payment
    office.now -= 10 * UNDER_WAY
    second = office.start(booking)
    assert (second.payment.id, second.is_new) == (first.id, False)
    with pytest.raises(PaymentUnderWay):
        office.start(booking)


def test_cash_is_not_taken_beside_a_card_whose_charge_may_have_gone_through() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.answer(office.start(booking).payment, Answer.SILENT)
    with pytest.raises(PaymentUnderWay):
        office.start(booking, "cash", ORGANIZER)


def test_a_decline_changes_nothing_and_one_may_try_again() -> None:
    office = held_office()
    booking = office.book(ANA)
    declined = office.answer(office.start(booking).payment, Answer.DECLINED)
    assert stands(office, declined) == ("held", "due")
    assert isinstance(office.happened()[-1], PaymentFailed)
    assert stands(office, office.pay(booking)) == ("confirmed", "taken")


def test_what_a_key_has_taken_is_told_to_whoever_sends_it_again() -> None:
    """The process that had asked for it died, and the sweeper found out that it went through."""
    office = Office(1, price=euros(5), payment_window_minutes=30)
    booking = office.book(ANA)
    payment = office.start(booking, key="k").payment
    paid = office.answer(payment, Answer.DONE)
    assert office.start(paid, key="k") == Attempt(office.payments[payment.id], paid, False)
    for other in ("another", ""):
        with pytest.raises(PaymentNotDue):
            office.start(paid, key=other)
    with pytest.raises(PaymentNotDue):
        office.start(paid, "cash", ORGANIZER, key="k")


def test_a_key_that_took_nothing_may_be_sent_again() -> None:
    office = Office(1, price=euros(5), payment_window_minutes=30)
    booking = office.book(ANA)
    office.answer(office.start(booking, key="k").payment, Answer.DECLINED)
    assert office.start(booking, key="k").is_new


def test_a_charge_without_an_answer_is_taken_up_with_the_same_reference() -> None:
    office = held_office()
    booking = office.book(ANA)
    first = office.start(booking).payment
    assert stands(office, office.answer(first, Answer.SILENT)) == ("held", "due")
    second = office.start(booking)
    assert (second.payment.id, second.is_new) == (first.id, False)
    assert stands(office, office.answer(second.payment, Answer.DONE)) == ("confirmed", "taken")


def test_after_a_crash_the_charge_is_taken_up_once_nobody_can_be_asking_any_more() -> None:
    office = held_office()
    booking = office.book(ANA)
    first = office.start(booking).payment
    office.now += UNDER_WAY
    assert office.start(booking).payment.id == first.id


def test_the_pauses_between_questions_about_a_charge_stay_short() -> None:
    office = held_office()
    payment = office.start(office.book(ANA)).payment
    pauses = []
    for _ in range(6):
        office.answer(payment, Answer.SILENT)
        ask_at = office.payments[payment.id].ask_at
        assert ask_at is not None
        pauses.append((ask_at - office.now).total_seconds())
    assert pauses == [0, 2, 4, 5, 5, 5]


def test_what_is_settled_is_settled_and_saying_it_again_changes_nothing() -> None:
    office = held_office()
    payment = office.start(office.book(ANA)).payment
    office.answer(payment, Answer.DONE)
    facts = len(office.facts)
    for answer in Answer:
        office.answer(payment, answer)
    assert len(office.facts) == facts


def test_a_charge_that_the_provider_never_heard_of_is_given_up_after_a_while_only() -> None:
    office = Office(1, price=euros(25))
    payment = office.start(office.book(ANA)).payment
    office.now += GIVE_UP - MICROSECOND
    office.answer(payment, Answer.UNHEARD)
    assert office.payments[payment.id].status is ChargeStatus.PENDING
    office.now += MICROSECOND
    office.answer(payment, Answer.UNHEARD)
    assert office.payments[payment.id].status is ChargeStatus.FAILED


def test_a_charge_that_was_tried_again_meanwhile_is_not_given_up() -> None:
    office = Office(1, price=euros(25))
    booking = office.book(ANA)
    payment = office.start(booking).payment
    office.now += GIVE_UP
    office.start(booking)
    office.answer(payment, Answer.UNHEARD)
    assert office.payments[payment.id].status is ChargeStatus.PENDING


def test_money_of_a_charge_that_was_given_up_still_counts() -> None:
    office = Office(1, price=euros(25))
    booking = office.book(ANA)
    payment = office.start(booking).payment
    office.now += GIVE_UP
    office.answer(payment, Answer.UNHEARD)
    assert stands(office, office.answer(payment, Answer.DONE)) == ("confirmed", "taken")


def test_a_second_charge_that_comes_through_late_goes_back() -> None:
    office = Office(1, price=euros(25))
    booking = office.book(ANA)
    lost = office.start(booking).payment
    office.now += GIVE_UP
    office.answer(lost, Answer.UNHEARD)
    paid = office.pay(booking)
    again = office.answer(lost, Answer.DONE)
    assert (stands(office, again), again.paid_by) == (("confirmed", "taken"), paid.paid_by)
    refund = office.payments[refund_of(lost.id)]
    refunded = office.answer(refund, Answer.DONE)
    assert stands(office, refunded) == ("confirmed", "taken")


# Paying late.


def test_who_pays_late_gets_the_tickets_again_while_they_are_free() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.pass_time(hours=1)
    assert stands(office, office.pay(booking)) == ("confirmed", "taken")
    assert office.ticket_type.available == 0


def test_who_pays_late_is_refused_where_somebody_else_has_the_tickets() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.pass_time(hours=1)
    office.book(BEN)
    with pytest.raises(PaymentWindowClosed):
        office.start(booking)


def test_who_pays_late_does_not_overtake_the_line() -> None:
    office = held_office(2)
    booking = office.book(ANA)
    office.book(BEN, 2)
    office.pass_time(minutes=20)
    other = office.bookings[booking.id]
    assert other.status is BookingStatus.HELD
    office.pause()
    office.pass_time(hours=1)
    with pytest.raises(PaymentWindowClosed):
        office.start(booking)


def test_who_pays_late_is_refused_after_the_start() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.pass_time(days=200)
    with pytest.raises(PaymentWindowClosed):
        office.start(booking)


def test_who_pays_late_is_refused_beside_another_live_booking_or_past_the_limit() -> None:
    types = (TicketTypeSpec(name="A", total_tickets=9, price=euros(5)), TicketTypeSpec(name="B", total_tickets=9))
    office = Office(types=types, payment_window_minutes=30, max_tickets_per_customer=3)
    first, second = office.ticket_types
    booking = office.book(ANA, 2, first)
    office.pass_time(hours=1)
    other = office.book(ANA, 2, second)
    with pytest.raises(PaymentWindowClosed):
        office.start(booking)
    office.cancel(other)
    office.book(ANA, 1, first)
    with pytest.raises(PaymentWindowClosed):
        office.start(booking)


def test_a_hold_that_nobody_has_settled_yet_is_expired_for_whoever_pays() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.now += timedelta(minutes=30)
    with pytest.raises(PaymentWindowClosed):
        office.start(booking)


def test_a_charge_that_succeeds_after_the_hold_lapsed_takes_the_tickets_that_are_left() -> None:
    office = held_office()
    payment = office.start(office.book(ANA)).payment
    office.pass_time(hours=1)
    assert stands(office, office.answer(payment, Answer.DONE)) == ("confirmed", "taken")


def test_a_charge_that_succeeds_after_the_tickets_are_gone_is_refunded_once() -> None:
    office = held_office()
    booking = office.book(ANA)
    office.book(BEN)
    payment = office.start(booking).payment
    office.pass_time(hours=1)
    late = office.answer(payment, Answer.DONE)
    assert stands(office, late) == ("expired", "refund_pending")
    with pytest.raises(PaymentNotDue):
        office.start(late)
    assert stands(office, office.answer(office.refund(late), Answer.DONE)) == ("expired", "refunded")
    assert stands(office, office.answer(office.refund(late), Answer.DONE)) == ("expired", "refunded")


def test_a_charge_that_succeeds_on_a_hold_that_nobody_has_settled_yet_takes_its_tickets_by_the_same_rule() -> None:
    office = held_office()
    booking = office.book(ANA)
    payment = office.start(booking).payment
    office.now += timedelta(minutes=30)
    assert stands(office, office.answer(payment, Answer.DONE)) == ("confirmed", "taken")
    kinds = [type(what).__name__ for what in office.happened()[-2:]]
    assert kinds == ["HoldExpired", "PaymentTaken"]


def test_a_charge_that_succeeds_after_the_customer_left_is_refunded() -> None:
    office = held_office()
    booking = office.book(ANA)
    payment = office.start(booking).payment
    office.cancel(booking)
    late = office.answer(payment, Answer.DONE)
    assert stands(office, late) == ("cancelled", "refund_pending")
    assert isinstance(office.happened()[-1], PaymentTaken)


# Refunds.


def test_a_paid_booking_cancelled_in_time_is_refunded_in_full() -> None:
    office = held_office()
    booking = office.pay(office.book(ANA))
    cancelled = office.cancel(booking)
    assert stands(office, cancelled) == ("cancelled", "refund_pending")
    refund = office.refund(booking)
    assert (refund.amount, refund.method, refund.ask_at) == (euros(25), PaymentMethod.CARD, office.now)
    assert stands(office, office.answer(refund, Answer.DONE)) == ("cancelled", "refunded")


def test_cash_goes_back_as_cash() -> None:
    office = held_office()
    booking = office.start(office.book(ANA), "cash", ORGANIZER).booking
    office.cancel(booking)
    assert office.refund(booking).method is PaymentMethod.CASH


def test_the_policy_of_the_time_of_booking_binds_it() -> None:
    office = held_office(2, cancellation_deadline_hours=0)
    before = office.pay(office.book(ANA))
    office.edit(cancellation_deadline_hours=8_760)
    after = office.pay(office.book(BEN))
    assert stands(office, office.cancel(before)) == ("cancelled", "refund_pending")
    with pytest.raises(CancellationClosed):
        office.cancel(after)
    assert stands(office, office.cancel(after, ORGANIZER)) == ("cancelled", "refund_pending")


def test_who_waited_is_bound_by_the_policy_of_the_time_of_joining() -> None:
    office = held_office(cancellation_deadline_hours=0)
    first, waiting = office.book(ANA), office.book(BEN)
    office.edit(cancellation_deadline_hours=8_760)
    office.cancel(first)
    office.pay(waiting)
    assert stands(office, office.cancel(waiting)) == ("cancelled", "refund_pending")


def test_a_cancelled_event_refunds_every_payment() -> None:
    office = held_office(3)
    paid, due, waiting = office.pay(office.book(ANA)), office.book(BEN, 2), office.book(CLEO)
    office.edit(status=EventStatus.CANCELLED)
    while office.state.event.is_unsettled:
        office.settle()
    assert [stands(office, each) for each in (paid, due, waiting)] == [
        ("cancelled", "refund_pending"),
        ("cancelled", "none"),
        ("cancelled", "none"),
    ]


def test_a_refund_is_tried_until_it_succeeds_with_longer_and_longer_pauses() -> None:
    office = held_office()
    booking = office.pay(office.book(ANA))
    office.cancel(booking)
    pauses = []
    for answer in [Answer.SILENT, Answer.DECLINED, Answer.UNHEARD] * 5:
        office.answer(office.refund(booking), answer)
        ask_at = office.refund(booking).ask_at
        assert ask_at is not None
        pauses.append((ask_at - office.now).total_seconds())
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == 3_600
    assert office.refund(booking).status is ChargeStatus.PENDING


def test_a_refund_that_went_out_went_out_and_saying_anything_again_changes_nothing() -> None:
    office = held_office()
    booking = office.pay(office.book(ANA))
    office.cancel(booking)
    office.answer(office.refund(booking), Answer.DONE)
    settled, facts = office.refund(booking), len(office.facts)
    for answer in Answer:
        office.answer(settled, answer)
    assert office.refund(booking) == settled
    assert len(office.facts) == facts


def test_the_refund_of_a_charge_and_the_charge_of_a_refund_are_each_others() -> None:
    charge_id = UUID("01890000-0000-7000-8000-000000000001")
    assert refund_of(charge_id) != charge_id
    assert refund_of(refund_of(charge_id)) == charge_id
    assert refund_of(charge_id).version == 7


def test_a_freed_paid_ticket_goes_to_the_line_in_the_same_decision() -> None:
    office = held_office()
    first, second = office.pay(office.book(ANA)), office.book(DAN)
    office.cancel(first)
    assert office.statuses(second) == ["held"]
