"""Giving a part of a booking back: in every status, which tickets go, and what it costs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from boxoffice.domain.balance import broken_balances
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.cancel import cancellable_until, may_customer_cancel
from boxoffice.domain.decisions.payments.notices import NoticeKind
from boxoffice.domain.decisions.payments.pay import Answer
from boxoffice.domain.decisions.return_tickets import ReturnTickets, return_tickets
from boxoffice.domain.event import EventStatus, WaitingListPolicy
from boxoffice.domain.facts import BookingPromoted, Fact, TicketReissued, TicketsReturned
from boxoffice.domain.inventory import Inventory
from boxoffice.domain.payment import ChargeStatus, PaymentKind
from boxoffice.domain.refusals import (
    AlreadyCancelled,
    CancellationClosed,
    ExceedsBooking,
    InvalidRequest,
    NotAllowed,
    NotFound,
    PaymentUnderWay,
    TicketsNotNumbered,
    TicketUsed,
)
from boxoffice.domain.replay.booking_replay import replay_booking
from boxoffice.domain.replay.event_replay import EventReplay
from boxoffice.domain.replay.ticket_replay import replay_tickets, stored_tickets
from boxoffice.domain.tickets.ticket import TicketStatus, ticket_id, ticket_status
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money

from .domain_driver import ANA, BEN, CLEO, EVENT_ID, NOW, ORGANIZER, START, STRANGER, DomainDriver, euros

FILL = WaitingListPolicy.FILL


def last(driver: DomainDriver) -> TicketsReturned:
    """Return the newest fact of tickets that were given back."""
    return next(what for what in reversed(driver.happened()) if isinstance(what, TicketsReturned))


def live_numbers(driver: DomainDriver, booking: Booking) -> list[int]:
    """Return the numbers of a booking's tickets that are not void."""
    stored = driver.bookings[booking.id]
    return [
        number
        for number in stored.ticket_numbers
        if ticket_status(stored.status, driver.tickets.get(number)) is not TicketStatus.VOID
    ]


def command_for(booking: Booking, quantity: int, ids: tuple[UUID, ...] | None = None) -> ReturnTickets:
    """Return the command of the booking's customer."""
    return ReturnTickets(
        booking_id=booking.id,
        event_id=EVENT_ID,
        actor=Actor(booking.customer_id),
        quantity=quantity,
        ticket_ids=ids,
        refund_id=UUID(int=1),
    )


# In every status.


def test_a_part_of_a_confirmed_booking_goes_to_those_who_wait_in_the_same_decision() -> None:
    driver = DomainDriver(3)
    booking, waiting = driver.book(ANA, 3), driver.book(BEN, 2)
    given_back = driver.give_back(booking, 2)
    assert (given_back.booking.quantity, given_back.booking.status, given_back.refund) == (1, "confirmed", None)
    assert driver.status_of(waiting) == "confirmed"
    assert [type(each).__name__ for each in driver.happened(3)] == ["TicketsReturned", "BookingPromoted"]
    assert last(driver) == TicketsReturned(
        ticket_type_id=driver.ticket_type.id, quantity=2, left=1, was=BookingStatus.CONFIRMED, numbers=(2, 3)
    )
    # The numbers are never used again.
    assert list(driver.bookings[waiting.id].ticket_numbers) == [4, 5]


def test_a_waiting_booking_keeps_its_place_and_is_served_once_it_fits() -> None:
    driver = DomainDriver(3)
    driver.book(ANA, 2)
    first, second = driver.book(BEN, 3), driver.book(CLEO, 2)
    smaller = driver.give_back(first, 1)
    assert (smaller.booking.status, smaller.booking.queue_number) == ("waitlisted", first.queue_number)
    assert (driver.ticket_type.waiting, driver.ticket_type.waiting_tickets) == (2, 4)
    assert last(driver).queue_number == first.queue_number
    served = driver.give_back(first, 1)
    assert (served.booking.status, served.booking.quantity) == ("confirmed", 1)
    assert driver.statuses(first, second) == ["confirmed", "waitlisted"]
    assert isinstance(driver.happened()[-1], BookingPromoted)


def test_a_smaller_booking_may_be_served_after_a_later_one_of_its_size() -> None:
    driver = DomainDriver(2, waiting_list_policy=FILL)
    holder = driver.book(ANA, 2)
    large, small = driver.book(BEN, 2), driver.book(CLEO, 1)
    driver.give_back(holder, 1)
    assert driver.statuses(large, small) == ["waitlisted", "confirmed"]
    driver.give_back(large, 1)
    driver.cancel(holder)
    assert driver.status_of(large) == "confirmed"


def test_a_later_booking_that_overtakes_a_smaller_one_is_found() -> None:
    driver = DomainDriver(2)
    holder = driver.book(ANA, 2)
    driver.give_back(driver.book(BEN, 2), 1)
    driver.book(CLEO, 1)
    driver.cancel(holder)
    *before, first, second = driver.facts
    replay = EventReplay(EVENT_ID)
    for fact in (*before, replace(second, seq=first.seq), replace(first, seq=second.seq)):
        replay.apply(fact)
    assert {breach.promise for breach in replay.breaches} == {5}
    assert any("overtaken" in breach.what for breach in replay.breaches)


def test_a_suspended_booking_may_become_smaller_too() -> None:
    driver = DomainDriver(2)
    driver.book(ANA, 2)
    waiting = driver.book(BEN, 2)
    driver.disable(BEN)
    smaller = driver.give_back(waiting, 1, ORGANIZER)
    assert (smaller.booking.quantity, smaller.booking.is_suspended) == (1, True)
    assert (driver.ticket_type.waiting, last(driver).was_suspended) == (0, True)
    driver.enable(BEN)
    assert driver.ticket_type.waiting_tickets == 1


def test_a_hold_keeps_its_end_and_is_paid_for_what_is_left() -> None:
    driver = DomainDriver(3, price=euros(25), payment_window_minutes=30)
    held = driver.book(ANA, 3)
    waiting = driver.book(BEN)
    smaller = driver.give_back(held, 1).booking
    assert (smaller.status, smaller.expires_at, smaller.amount) == ("held", held.expires_at, euros(50))
    assert driver.status_of(waiting) == "held"
    paid = driver.pay(smaller)
    assert (paid.status, paid.kept, list(paid.ticket_numbers)) == ("confirmed", 5_000, [1, 2])
    assert last(driver).numbers == ()


def test_who_has_not_paid_yet_owes_what_is_left() -> None:
    driver = DomainDriver(3, price=euros(25))
    smaller = driver.give_back(driver.book(ANA, 3), 1)
    assert (smaller.booking.amount, smaller.booking.payment_status, smaller.refund) == (euros(50), "due", None)
    assert driver.pay(smaller.booking).kept == 5_000


def test_an_ended_booking_has_no_part_to_give_back() -> None:
    driver = DomainDriver(3, price=euros(25), payment_window_minutes=30)
    booking, held = driver.pay(driver.book(ANA, 2)), driver.book(BEN, 1)
    ids = (ticket_id(booking.id, 1),)
    driver.cancel(booking)
    with pytest.raises(AlreadyCancelled):
        driver.give_back(booking, 1)
    with pytest.raises(AlreadyCancelled):
        return_tickets(driver.inventory, command_for(booking, 1, ids), driver.now)
    driver.pass_time(minutes=31)
    with pytest.raises(AlreadyCancelled):
        driver.give_back(held, 1)


# Which tickets.


def test_the_highest_numbers_go_and_the_chosen_ones() -> None:
    driver = DomainDriver(6)
    booking = driver.book(ANA, 6)
    driver.give_back(booking, 1)
    assert live_numbers(driver, booking) == [1, 2, 3, 4, 5]
    driver.give_back(booking, 2, numbers=[4, 2])
    assert live_numbers(driver, booking) == [1, 3, 5]
    assert last(driver).numbers == (2, 4)
    driver.give_back(booking, 2)
    assert live_numbers(driver, booking) == [1]
    stored = driver.bookings[booking.id]
    assert (stored.quantity, stored.returned, list(stored.ticket_numbers)) == (1, 5, [1, 2, 3, 4, 5, 6])
    assert replay_tickets(driver.facts) == stored_tickets(stored, driver.tickets.values())


@pytest.mark.parametrize("number", [2, 3, 4])
def test_only_a_live_ticket_of_the_booking_can_be_chosen(number: int) -> None:
    driver = DomainDriver(5)
    booking, _ = driver.book(ANA, 3), driver.book(BEN, 2)
    driver.give_back(booking, 1, numbers=[2])
    others = (ticket_id(UUID(int=7), 3),) if number == 3 else (ticket_id(booking.id, number),)
    with pytest.raises(NotFound):
        return_tickets(driver.inventory, command_for(booking, 1, others), driver.now)


@pytest.mark.parametrize("price", [None, euros(25)])
def test_a_booking_without_tickets_names_none(price: Money | None) -> None:
    driver = DomainDriver(2, price=price, payment_window_minutes=30)
    booking = driver.book(ANA, 2) if price else driver.crowd(2)[0]
    if price is None:
        booking = driver.book(ANA, 2)
    with pytest.raises(InvalidRequest):
        driver.give_back(booking, 1, numbers=[1])


@pytest.mark.parametrize(("quantity", "ids"), [(0, None), (2, (UUID(int=1),)), (2, (UUID(int=1), UUID(int=1)))])
def test_what_contradicts_itself_is_refused(quantity: int, ids: tuple[UUID, ...] | None) -> None:
    booking = DomainDriver(2).book(ANA, 2)
    with pytest.raises(InvalidRequest):
        command_for(booking, quantity, ids)


@pytest.mark.parametrize("quantity", [2, 3])
def test_the_whole_booking_is_no_part(quantity: int) -> None:
    driver = DomainDriver(2)
    with pytest.raises(ExceedsBooking):
        driver.give_back(driver.book(ANA, 2), quantity)


def test_a_customer_gives_back_no_used_ticket_and_the_organizer_may() -> None:
    driver = DomainDriver(3, starts_at=START)
    booking = driver.book(ANA, 3)
    driver.check_in(driver.scan(booking, 2))
    for numbers in (None, [3]):
        with pytest.raises(TicketUsed):
            driver.give_back(booking, 1, numbers=numbers)
    with pytest.raises(TicketUsed):
        driver.cancel(booking)
    stored = driver.bookings[booking.id]
    assert not may_customer_cancel(driver.stored.event, stored, driver.now)
    assert cancellable_until(driver.stored.event, stored, driver.now) is None
    driver.give_back(booking, 1, numbers=[1])
    driver.give_back(booking, 1, ORGANIZER, numbers=[3])
    assert (driver.bookings[booking.id].used, last(driver).used, last(driver).by) == (0, 1, "organizer")
    stored = driver.bookings[booking.id]
    assert replay_tickets(driver.facts) == stored_tickets(stored, driver.tickets.values())
    driver.cancel(booking)


def test_a_booking_without_numbers_has_to_wait_for_them() -> None:
    driver = DomainDriver(3)
    booking = driver.book(ANA, 3)
    old = replace(booking, first_ticket_number=None)
    inventory: Inventory = replace(driver.inventory, bookings=(old,))
    for ids in (None, (ticket_id(booking.id, 1),)):
        with pytest.raises(TicketsNotNumbered):
            return_tickets(inventory, command_for(booking, 1, ids), NOW)


# Who, when, and at what price.


def test_the_terms_are_those_of_cancelling() -> None:
    driver = DomainDriver(6, starts_at=START, cancellation_deadline_hours=24)
    booking, waiting = driver.book(ANA, 4), driver.book(BEN, 4)
    with pytest.raises(NotFound):
        driver.give_back(booking, 1, STRANGER)
    driver.now = START - timedelta(hours=24)
    with pytest.raises(CancellationClosed):
        driver.give_back(booking, 1)
    # The deadline binds confirmed bookings only.
    assert driver.give_back(waiting, 1).booking.quantity == 3
    assert driver.give_back(booking, 1, ORGANIZER).booking.quantity == 3
    driver.now = START
    with pytest.raises(CancellationClosed):
        driver.give_back(booking, 1)
    driver.edit(status=EventStatus.CANCELLED)
    with pytest.raises(CancellationClosed):
        driver.give_back(booking, 1, ORGANIZER)


def test_an_actor_who_sees_a_booking_and_may_not_cancel_it_is_refused() -> None:
    driver = DomainDriver(2)
    booking = driver.book(ANA, 2)
    with pytest.raises((NotAllowed, NotFound)):
        driver.give_back(booking, 1, BEN)


@pytest.mark.parametrize(
    ("percent", "quantity", "refund"), [(0, 1, 2_501), (10, 1, 2_251), (33, 2, 3_352), (99, 1, 26), (100, 2, None)]
)
def test_a_part_costs_its_fee_rounded_down(percent: int, quantity: int, refund: int | None) -> None:
    driver = DomainDriver(3, price=Money(2_501, "EUR"), refund_fee_percent=percent)
    booking = driver.pay(driver.book(ANA, 3))
    given_back = driver.give_back(booking, quantity)
    assert given_back.refund == (None if refund is None else Money(refund, "EUR"))
    assert given_back.booking.payment_status == "taken"
    assert given_back.booking.amount == Money(2_501 * (3 - quantity), "EUR")
    refunds = [each for each in driver.payments.values() if each.kind is PaymentKind.REFUND]
    assert [each.amount.amount for each in refunds] == ([] if refund is None else [refund])
    assert last(driver).refund_id == (refunds[0].id if refunds else None)


def test_the_organizer_and_a_moved_event_refund_in_full() -> None:
    driver = DomainDriver(3, price=euros(25), refund_fee_percent=50, starts_at=START)
    booking = driver.pay(driver.book(ANA, 3))
    assert driver.give_back(booking, 1, ORGANIZER).refund == euros(25)
    driver.edit(starts_at=START - timedelta(days=2))
    assert driver.give_back(booking, 1).refund == euros(25)


def test_no_more_than_is_left_of_the_payment_is_refunded() -> None:
    driver = DomainDriver(3, price=euros(25))
    booking = driver.pay(driver.book(ANA, 3))
    driver.grant(booking, Money(6_000, "EUR"))
    assert driver.give_back(booking, 1).refund == euros(15)
    ended = driver.bookings[booking.id]
    assert (ended.payment_status, ended.kept) == ("refund_pending", 0)
    assert driver.give_back(booking, 1).refund is None
    driver.cancel(booking)


def test_cash_is_owed_by_hand_and_a_disputed_charge_waits() -> None:
    driver = DomainDriver(3, price=euros(25))
    cash = driver.start(driver.book(ANA, 2), "cash", ORGANIZER).booking
    driver.give_back(cash, 1)
    (refund,) = [each for each in driver.payments.values() if each.kind is PaymentKind.REFUND]
    assert (refund.ask_at, refund.status) == (None, ChargeStatus.PENDING)
    disputed = DomainDriver(3, price=euros(25))
    booking = disputed.pay(disputed.book(ANA, 2))
    disputed.notice(disputed.charge(booking), NoticeKind.DISPUTE_OPENED)
    smaller = disputed.give_back(booking, 1)
    assert (smaller.refund, smaller.booking.payment_status) == (euros(25), "disputed")


def test_nothing_is_given_back_while_all_of_it_is_being_paid() -> None:
    driver = DomainDriver(3, price=euros(25))
    booking = driver.book(ANA, 2)
    attempt = driver.start(booking)
    with pytest.raises(PaymentUnderWay):
        driver.give_back(booking, 1)
    driver.answer(attempt.payment, Answer.DECLINED)
    assert driver.give_back(booking, 1).booking.quantity == 1


def test_a_late_charge_for_more_than_is_left_gives_the_surplus_back() -> None:
    """A charge that was given up may succeed after all."""
    driver = DomainDriver(3, price=euros(25))
    booking = driver.book(ANA, 3)
    charge = driver.start(booking).payment
    driver.answer(charge, Answer.DECLINED)
    driver.give_back(booking, 2)
    paid = driver.answer(charge, Answer.DONE)
    assert (paid.payment_status, paid.kept, paid.amount) == ("taken", 2_500, euros(25))
    (refund,) = [each for each in driver.payments.values() if each.kind is PaymentKind.REFUND]
    assert (refund.amount, refund.charge_id) == (euros(50), charge.id)
    assert driver.cancel(booking).kept == 0


@given(
    price=st.integers(1, 10_000),
    percent=st.integers(0, 100),
    quantity=st.integers(2, 6),
    parts=st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=5),
    grant=st.integers(0, 5_000),
)
def test_refunds_and_fees_are_the_charge_at_the_end(
    price: int, percent: int, quantity: int, parts: list[tuple[int, bool]], grant: int
) -> None:
    driver = DomainDriver(6, price=Money(price, "EUR"), refund_fee_percent=percent)
    booking = driver.pay(driver.book(ANA, quantity))
    if 0 < grant <= price * quantity:
        driver.grant(booking, Money(grant, "EUR"))
    fees = 0
    for part, is_own in parts:
        if part < driver.bookings[booking.id].quantity:
            driver.give_back(booking, part, ANA if is_own else ORGANIZER)
            fees += price * part * percent // 100 if is_own else 0
    fees += driver.bookings[booking.id].amount.amount * percent // 100
    ended = driver.cancel(booking)
    refunded = sum(each.amount.amount for each in driver.payments.values() if each.kind is PaymentKind.REFUND)
    assert refunded + ended.kept == price * quantity
    assert ended.kept <= fees
    assert grant or ended.kept == fees


# Facts.


def altered(facts: list[Fact], **values: Any) -> list[Fact]:
    """Return the facts with other values in the newest of tickets that were given back."""
    return [
        replace(fact, what=replace(fact.what, **values)) if isinstance(fact.what, TicketsReturned) else fact
        for fact in facts
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"left": 1},
        {"quantity": 3, "left": 0},
        {"used": 2},
        {"was": BookingStatus.HELD},
        {"was_suspended": True},
        {"amount": euros(1)},
    ],
)
def test_a_fact_that_cannot_follow_is_found(values: dict[str, Any]) -> None:
    driver = DomainDriver(3, price=euros(25))
    booking = driver.pay(driver.book(ANA, 3))
    driver.give_back(booking, 1)
    facts = [fact for fact in driver.facts if fact.booking_id == booking.id]
    assert replay_booking(facts) is not None
    assert replay_booking(altered(facts, **values)) is None


def test_a_ticket_that_is_given_back_twice_is_found() -> None:
    driver = DomainDriver(4)
    booking = driver.book(ANA, 4)
    driver.give_back(booking, 1)
    driver.give_back(booking, 1)
    assert replay_tickets(altered(driver.facts, numbers=(4,))) is None


def test_a_new_code_of_a_ticket_that_was_given_back_is_found() -> None:
    driver = DomainDriver(2)
    booking = driver.book(ANA, 2)
    driver.give_back(booking, 1)
    (fact,) = [fact for fact in driver.facts if isinstance(fact.what, TicketsReturned)]
    again = replace(fact, what=TicketReissued(ticket_id=ticket_id(booking.id, 2), serial=2))
    assert replay_tickets([again]) is not None
    assert replay_tickets([fact, again]) is None


def test_money_for_a_part_that_is_not_refunded_is_found() -> None:
    driver = DomainDriver(3, price=euros(25))
    booking = driver.pay(driver.book(ANA, 3))
    driver.give_back(booking, 1)
    stored, payments = driver.bookings[booking.id], list(driver.payments.values())
    assert list(broken_balances(stored, payments, driver.facts)) == []
    less = [each for each in payments if each.kind is PaymentKind.CHARGE]
    kept = replace(stored, kept=7_500)
    (what,) = broken_balances(kept, less, driver.facts)
    assert "2500 are not given back" in what
