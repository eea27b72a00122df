"""What moving an event, its start and its end do to bookings: who may leave, and how long a hold lasts."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus, PaymentStatus
from boxoffice.domain.decisions.pay import Answer
from boxoffice.domain.decisions.settle import GRACE, STEP, Settle, settle
from boxoffice.domain.event import EventStatus
from boxoffice.domain.facts import EventChanged, HoldExpired, HoldShortened
from boxoffice.domain.inventory import Decision, OverlongHolds
from boxoffice.domain.refusals import CancellationClosed, InvalidRequest
from boxoffice.domain.refusals import PaymentWindowClosed as Expired
from tests.domain.office import ANA, BEN, CLEO, DAN, MICROSECOND, NOW, ORGANIZER, START, Office, euros

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SOON = NOW + 2 * HOUR
"""Within the deadline of those who book here."""


def bound(**details: Any) -> Office:
    """An event on another day, with a deadline of two days."""
    return Office(5, **{"starts_at": START, "cancellation_deadline_hours": 48, **details})


# Moves of the start.


@pytest.mark.parametrize(
    "moved_to", [START - MICROSECOND, START - DAY, START + DAY, START.replace(hour=0) + DAY, SOON], ids=str
)
def test_who_has_booked_may_leave_when_the_event_is_earlier_or_on_another_day(moved_to: datetime) -> None:
    office = bound(price=euros(5))
    booking = office.pay(office.book(ANA))
    office.edit(starts_at=moved_to)
    office.now = moved_to - MICROSECOND
    assert office.cancel(booking).status is BookingStatus.CANCELLED
    assert office.refund(booking).amount == booking.amount


@pytest.mark.parametrize("moved_to", [START + MICROSECOND, START.replace(hour=23, minute=59), START, None], ids=str)
def test_later_on_the_same_day_binds_as_before(moved_to: datetime | None) -> None:
    office = bound()
    booking = office.book(ANA)
    office.edit(starts_at=moved_to)
    office.edit(name="Another")
    assert office.state.event.reschedules == 0
    office.now = START - HOUR
    if moved_to is None:
        office.cancel(booking)
    else:
        with pytest.raises(CancellationClosed):
            office.cancel(booking)


def test_the_day_is_that_in_utc() -> None:
    office = bound(starts_at=START.replace(hour=23))
    office.edit(starts_at=START.replace(hour=23) + 2 * HOUR)
    assert office.state.event.reschedules == 1


def test_a_first_start_is_a_move_and_none_is_not() -> None:
    office = bound(starts_at=None)
    booking = office.book(ANA)
    office.edit(starts_at=SOON)
    assert office.cancel(booking).status is BookingStatus.CANCELLED
    office.edit(starts_at=None)
    assert office.state.event.reschedules == 1


def test_who_has_booked_may_leave_until_the_new_start_and_no_longer() -> None:
    office = bound()
    booking = office.book(ANA)
    office.edit(starts_at=SOON)
    office.now = SOON
    with pytest.raises(CancellationClosed):
        office.cancel(booking)


def test_moved_and_moved_back_keeps_the_right() -> None:
    office = bound()
    booking = office.book(ANA)
    office.edit(starts_at=START + DAY)
    office.edit(starts_at=START)
    office.now = START - HOUR
    assert office.cancel(booking).status is BookingStatus.CANCELLED


def test_who_books_after_the_move_is_bound() -> None:
    office = bound()
    office.edit(starts_at=START + DAY)
    booking = office.book(ANA)
    office.edit(starts_at=START + DAY + HOUR)
    office.now = START
    with pytest.raises(CancellationClosed):
        office.cancel(booking)
    office.edit(starts_at=START + 2 * DAY + HOUR)
    assert office.cancel(booking).status is BookingStatus.CANCELLED


def test_who_waited_during_the_move_is_as_free_as_the_others() -> None:
    office = Office(1, starts_at=START, cancellation_deadline_hours=48)
    first, waiting = office.book(ANA), office.book(BEN)
    office.edit(starts_at=START + DAY)
    office.cancel(first)
    office.now = START + DAY - HOUR
    assert office.status_of(waiting) == "confirmed"
    assert office.cancel(waiting).status is BookingStatus.CANCELLED


def test_a_move_is_a_fact() -> None:
    office = bound()
    office.edit(starts_at=START - DAY)
    (changed,) = office.happened(since=1)
    assert isinstance(changed, EventChanged)
    assert changed.changes == {"startsAt": (START - DAY).isoformat().replace("+00:00", "Z"), "reschedules": 1}


# Promotions past the deadline.


def test_who_is_promoted_too_late_has_a_day_to_leave() -> None:
    office = Office(1, starts_at=START, cancellation_deadline_hours=240, price=euros(5))
    first, late = office.book(ANA), office.book(BEN)
    office.now = START - 5 * DAY
    office.cancel(first, ORGANIZER)
    promoted = office.bookings[late.id]
    assert promoted.grace_until == office.now + GRACE == office.now + timedelta(hours=24)
    paid = office.pay(promoted)
    office.now += GRACE - MICROSECOND
    office.cancel(paid)
    assert office.refund(paid).amount == paid.amount


def test_after_that_day_the_deadline_binds() -> None:
    office = Office(1, starts_at=START, cancellation_deadline_hours=240)
    first, late = office.book(ANA), office.book(BEN)
    office.now = START - 5 * DAY
    office.cancel(first, ORGANIZER)
    office.now += GRACE
    with pytest.raises(CancellationClosed):
        office.cancel(late)


def test_the_grace_ends_at_the_start() -> None:
    office = Office(1, starts_at=START, cancellation_deadline_hours=48)
    first, late = office.book(ANA), office.book(BEN)
    office.now = START - HOUR
    office.cancel(first, ORGANIZER)
    assert office.bookings[late.id].grace_until == START
    office.now = START - MICROSECOND
    office.cancel(late)


@pytest.mark.parametrize("hours", [0, 48])
def test_who_is_promoted_in_time_has_no_grace(hours: int) -> None:
    office = Office(1, starts_at=START, cancellation_deadline_hours=hours)
    first, second = office.book(ANA), office.book(BEN)
    office.now = START - timedelta(hours=48) - MICROSECOND
    office.cancel(first)
    assert office.status_of(second) == "confirmed"
    assert office.bookings[second.id].grace_until is None


def test_without_a_start_there_is_no_deadline_to_be_past() -> None:
    office = Office(1, cancellation_deadline_hours=48)
    first, second = office.book(ANA), office.book(BEN)
    office.cancel(first)
    assert office.bookings[second.id].grace_until is None


# Holds.


def held(total_tickets: int = 5, **details: Any) -> Office:
    """An event whose tickets are held for two days until they are paid."""
    return Office(total_tickets, price=euros(5), payment_window_minutes=2 * 24 * 60, starts_at=START, **details)


def test_a_hold_ends_at_the_start_at_the_latest() -> None:
    office = held()
    assert office.book(ANA).expires_at == NOW + 2 * DAY
    office.now = START - 2 * DAY - MICROSECOND
    assert office.book(BEN).expires_at == START - MICROSECOND
    office.now = START - HOUR
    assert office.book(CLEO).expires_at == START
    office.now = START
    assert office.state.event.has_lapsed_holds(START)


def test_an_offer_ends_at_the_start_at_the_latest_too() -> None:
    office = held(1)
    first, second = office.book(ANA), office.book(BEN)
    office.now = START - HOUR
    office.settle()
    assert office.status_of(first) == "expired"
    assert office.bookings[second.id].expires_at == START


def test_an_earlier_start_shortens_the_holds_there_are() -> None:
    office = held()
    holds = [office.book(actor) for actor in (ANA, BEN)]
    paid = office.pay(office.book(CLEO))
    since = len(office.facts)
    office.edit(starts_at=NOW + HOUR)
    assert office.state.event.is_unsettled, "it is not known which of them last too long"
    office.settle()
    assert not office.state.event.is_unsettled
    assert [office.bookings[each.id].expires_at for each in holds] == [NOW + HOUR] * 2
    assert office.bookings[paid.id].expires_at is None
    assert office.state.event.earliest_expiry == NOW + HOUR
    shortened = [each for each in office.happened(since) if isinstance(each, HoldShortened)]
    assert [(each.customer_id, each.expires_at) for each in shortened] == [
        (each.customer_id, NOW + HOUR) for each in holds
    ]


def test_a_hold_that_ends_in_time_stays_as_it_is() -> None:
    office = held()
    booking = office.book(ANA)
    office.edit(starts_at=NOW + 3 * DAY)
    office.settle()
    assert not office.state.event.is_unsettled
    assert office.bookings[booking.id] == booking
    since = len(office.facts)
    office.edit(starts_at=NOW + 2 * DAY)
    office.settle()
    assert not [each for each in office.happened(since) if isinstance(each, HoldShortened)]


@pytest.mark.parametrize("moved_to", [START + DAY, None], ids=str)
def test_a_later_start_leaves_nothing_to_do(moved_to: datetime | None) -> None:
    office = held()
    office.book(ANA)
    office.edit(starts_at=moved_to)
    assert not office.state.event.is_unsettled


def test_a_start_where_there_was_none_shortens_holds() -> None:
    office = held()
    office.edit(starts_at=None)
    booking = office.book(ANA)
    office.edit(starts_at=NOW + HOUR)
    office.settle()
    assert office.bookings[booking.id].expires_at == NOW + HOUR


def test_holds_are_shortened_in_steps() -> None:
    office = held(STEP + 1)
    office.crowd(STEP + 1)
    office.edit(starts_at=NOW + HOUR)
    left = []
    while office.state.event.is_unsettled:
        office.take(_one_step(office))
        left.append(sum(each.expires_at != NOW + HOUR for each in office.bookings.values()))
    assert left == [1, 0]


def _one_step(office: Office) -> Decision[None]:
    """A step for which no more is loaded than a storage does."""
    inventory = office.inventory
    assert inventory.overlong is not None
    some = OverlongHolds(inventory.overlong.starts_at, inventory.overlong.bookings[:STEP])
    return settle(replace(inventory, overlong=some), Settle(inventory.event.id), office.now)


# Completion.


def test_completing_an_event_ends_its_holds() -> None:
    office = held(2)
    hold, paid = office.book(ANA), office.pay(office.book(BEN))
    waiting = office.book(DAN)
    since = len(office.facts)
    office.edit(status=EventStatus.COMPLETED)
    while office.state.event.is_unsettled:
        office.settle()
    assert office.statuses(hold, paid, waiting) == ["expired", "confirmed", "cancelled"]
    assert [type(each) for each in office.happened(since)].count(HoldExpired) == 1
    assert office.ticket_type.taken == 1
    assert office.state.event.earliest_expiry is None
    with pytest.raises(Expired):
        office.start(hold)


def test_money_that_was_on_its_way_to_a_hold_of_a_completed_event_goes_back() -> None:
    office = held(2)
    hold = office.book(ANA)
    attempt = office.start(hold)
    office.edit(status=EventStatus.COMPLETED)
    office.settle()
    ended = office.answer(attempt.payment, Answer.DONE)
    assert (ended.status, ended.payment_status) == (BookingStatus.EXPIRED, PaymentStatus.REFUND_PENDING)


# What may be set.


def test_the_sale_closes_in_the_future_where_that_is_set() -> None:
    office = Office(1, sales_close_at=NOW + HOUR)
    office.now = NOW + 2 * HOUR
    office.edit(name="Another", sales_close_at=NOW + HOUR)
    with pytest.raises(InvalidRequest, match="sales_close_at must be in the future"):
        office.edit(sales_close_at=office.now)
    office.edit(sales_close_at=office.now + MICROSECOND)
    office.edit(sales_close_at=None)


def test_the_sale_opens_before_the_start_where_either_is_set() -> None:
    office = Office(1, starts_at=START, sales_open_at=START - HOUR)
    both_wrong: tuple[dict[str, Any], ...] = ({"sales_open_at": START}, {"starts_at": START - HOUR})
    for changes in both_wrong:
        with pytest.raises(InvalidRequest, match="sales_open_at must be before the start"):
            office.edit(**changes)
    office.edit(starts_at=START - HOUR, sales_open_at=START - 2 * HOUR)


def test_what_was_set_before_these_rules_may_stay() -> None:
    office = Office(1, starts_at=START)
    office._kept = replace(office._kept, event=replace(office._kept.event, sales_open_at=START + HOUR))
    assert office.edit(name="Another").event.name == "Another"
