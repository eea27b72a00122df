"""What moving or completing an event does to its bookings: who may cancel, and how long a hold lasts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.cancel import cancellable_until
from boxoffice.domain.decisions.settle import GRACE, STEP, Settle, settle
from boxoffice.domain.event import EventStatus
from boxoffice.domain.facts import EventChanged, HoldExpired, HoldShortened
from boxoffice.domain.refusals import CancellationClosed
from boxoffice.domain.refusals import PaymentWindowClosed as Expired
from tests.domain.domain_driver import (
    ANA,
    BEN,
    CLEO,
    DAN,
    EVENT_ID,
    MICROSECOND,
    NOW,
    ORGANIZER,
    START,
    DomainDriver,
    euros,
)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SOON = NOW + 2 * HOUR
"""Within the deadline of those who book here."""


def bound(**details: Any) -> DomainDriver:
    """An event on another day, with a deadline of two days."""
    return DomainDriver(**{"total_tickets": 5, "starts_at": START, "cancellation_deadline_hours": 48, **details})


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "over_at"),
    [(None, None, None), (START, None, START), (START, START + HOUR, START + HOUR)],
)
def test_an_event_is_over_at_its_end_or_without_one_at_its_start(
    starts_at: datetime | None, ends_at: datetime | None, over_at: datetime | None
) -> None:
    event = DomainDriver(starts_at=starts_at, ends_at=ends_at).state.event
    for now in (NOW, START - MICROSECOND, START, START + HOUR - MICROSECOND, START + HOUR):
        assert event.is_over(now) is (over_at is not None and now >= over_at)


# Moves of the start.


@pytest.mark.parametrize(
    "moved_to", [START - MICROSECOND, START - DAY, START + DAY, START.replace(hour=0) + DAY, SOON], ids=str
)
def test_an_earlier_start_or_another_day_lets_customers_cancel_until_the_new_start(moved_to: datetime) -> None:
    driver = bound(price=euros(5))
    booking = driver.pay(driver.book(ANA))
    late = driver.book(BEN)
    driver.edit(starts_at=moved_to)
    driver.now = moved_to - MICROSECOND
    assert driver.cancel(booking).status is BookingStatus.CANCELLED
    assert driver.refund(booking).amount == booking.amount
    driver.now = moved_to
    with pytest.raises(CancellationClosed):
        driver.cancel(late)


@pytest.mark.parametrize("moved_to", [START + MICROSECOND, START.replace(hour=23, minute=59), START, None], ids=str)
def test_a_later_start_on_the_same_day_keeps_the_deadline(moved_to: datetime | None) -> None:
    driver = bound()
    booking = driver.book(ANA)
    driver.edit(starts_at=moved_to)
    driver.edit(name="Another")
    assert driver.state.event.reschedules == 0
    driver.now = START - HOUR
    if moved_to is None:
        driver.cancel(booking)
    else:
        with pytest.raises(CancellationClosed):
            driver.cancel(booking)


def test_a_move_to_another_day_in_utc_is_a_fact() -> None:
    driver = bound(starts_at=START.replace(hour=23))
    driver.edit(starts_at=START.replace(hour=23) + 2 * HOUR)
    (changed,) = driver.happened(since=1)
    assert isinstance(changed, EventChanged)
    assert changed.changes == {"startsAt": "2027-05-02T01:00:00Z", "reschedules": 1}


PARIS = "Europe/Paris"
# The nights in which daylight saving begins and ends there: 23 and 25 hours from midnight to midnight.
SPRING, AUTUMN = datetime(2027, 3, 27, 23, tzinfo=UTC), datetime(2027, 10, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "starts_at", "later", "is_released"),
    [
        # 1 May until its last microsecond, in the event's zone.
        ("Pacific/Auckland", START.replace(hour=12), 24 * HOUR - MICROSECOND, False),
        ("Pacific/Auckland", START.replace(hour=12), 24 * HOUR, True),
        ("America/New_York", START.replace(hour=23), 5 * HOUR - MICROSECOND, False),
        ("America/New_York", START.replace(hour=23), 5 * HOUR, True),
        ("UTC", START.replace(hour=23), HOUR, True),
        (PARIS, SPRING, 23 * HOUR - MICROSECOND, False),
        (PARIS, SPRING, 23 * HOUR, True),
        (PARIS, AUTUMN, 25 * HOUR - MICROSECOND, False),
        (PARIS, AUTUMN, 25 * HOUR, True),
        # The second 02:30 of that night is later on the same day.
        (PARIS, AUTUMN + 2.5 * HOUR, HOUR, False),
    ],
)
def test_the_day_is_that_of_the_events_time_zone(
    zone: str, starts_at: datetime, later: timedelta, is_released: bool
) -> None:
    driver = bound(starts_at=starts_at, time_zone=zone)
    driver.edit(starts_at=starts_at + later)
    assert driver.state.event.reschedules == is_released


def test_another_time_zone_alone_moves_nothing() -> None:
    driver = bound(starts_at=START.replace(hour=23))
    driver.edit(time_zone=PARIS)
    assert driver.state.event.reschedules == 0
    assert driver.happened(since=1) == [EventChanged(version=2, changes={"timeZone": PARIS})]


def test_a_move_in_the_same_edit_is_judged_in_the_new_time_zone() -> None:
    driver = bound(starts_at=START.replace(hour=23))
    driver.edit(starts_at=START.replace(hour=23) + HOUR, time_zone=PARIS)
    assert driver.state.event.reschedules == 0


def test_the_last_hours_of_all_time_have_a_day_too() -> None:
    last = datetime(9999, 12, 31, 15, tzinfo=UTC)
    driver = bound(starts_at=last, time_zone="Asia/Tokyo")
    driver.edit(starts_at=last + HOUR)


def test_a_booking_made_after_the_move_keeps_the_deadline() -> None:
    driver = bound()
    driver.edit(starts_at=START + DAY)
    booking = driver.book(ANA)
    driver.edit(starts_at=START + DAY + HOUR)
    driver.now = START
    with pytest.raises(CancellationClosed):
        driver.cancel(booking)
    driver.edit(starts_at=START + 2 * DAY + HOUR)
    assert driver.cancel(booking).status is BookingStatus.CANCELLED


# Promotions past the deadline.


def test_a_promotion_past_the_deadline_may_be_cancelled_for_a_day() -> None:
    driver = DomainDriver(2, starts_at=START, cancellation_deadline_hours=240, price=euros(5))
    holder, late, later = driver.book(ANA, 2), driver.book(BEN), driver.book(CLEO)
    driver.now = START - 5 * DAY
    driver.cancel(holder, ORGANIZER)
    promoted = driver.bookings[late.id]
    assert promoted.grace_until == driver.now + GRACE == driver.now + timedelta(hours=24)
    paid = driver.pay(promoted)
    driver.now += GRACE - MICROSECOND
    driver.cancel(paid)
    assert driver.refund(paid).amount == paid.amount
    driver.now += MICROSECOND
    with pytest.raises(CancellationClosed):
        driver.cancel(later)


def test_the_grace_ends_at_the_start() -> None:
    driver = DomainDriver(1, starts_at=START, cancellation_deadline_hours=48)
    first, late = driver.book(ANA), driver.book(BEN)
    driver.now = START - HOUR
    driver.cancel(first, ORGANIZER)
    assert driver.bookings[late.id].grace_until == START
    driver.now = START - MICROSECOND
    driver.cancel(late)


@pytest.mark.parametrize(("starts_at", "hours"), [(START, 0), (START, 48), (None, 48)])
def test_a_promotion_before_the_deadline_has_no_grace(starts_at: datetime | None, hours: int) -> None:
    driver = DomainDriver(1, starts_at=starts_at, cancellation_deadline_hours=hours)
    first, second = driver.book(ANA), driver.book(BEN)
    driver.now = START - timedelta(hours=48) - MICROSECOND
    driver.cancel(first)
    assert driver.status_of(second) == "confirmed"
    assert driver.bookings[second.id].grace_until is None


# Holds.


def held(total_tickets: int = 5, **details: Any) -> DomainDriver:
    """An event whose tickets are held for two days until they are paid."""
    return DomainDriver(total_tickets, price=euros(5), payment_window_minutes=2 * 24 * 60, starts_at=START, **details)


def test_a_hold_ends_at_the_start_at_the_latest() -> None:
    driver = held()
    assert driver.book(ANA).expires_at == NOW + 2 * DAY
    driver.now = START - 2 * DAY - MICROSECOND
    assert driver.book(BEN).expires_at == START - MICROSECOND
    driver.now = START - HOUR
    assert driver.book(CLEO).expires_at == START
    driver.now = START
    assert driver.state.event.has_lapsed_holds(START)


def test_an_earlier_start_shortens_holds() -> None:
    driver = held()
    holds = [driver.book(actor) for actor in (ANA, BEN)]
    paid = driver.pay(driver.book(CLEO))
    since = len(driver.facts)
    driver.edit(starts_at=NOW + HOUR)
    assert driver.state.event.is_unsettled, "it is not known which of them last too long"
    driver.settle()
    assert not driver.state.event.is_unsettled
    assert [driver.bookings[each.id].expires_at for each in holds] == [NOW + HOUR] * 2
    assert driver.bookings[paid.id].expires_at is None
    assert driver.state.event.earliest_expiry == NOW + HOUR
    shortened = [each for each in driver.happened(since) if isinstance(each, HoldShortened)]
    assert [(each.customer_id, each.expires_at) for each in shortened] == [
        (each.customer_id, NOW + HOUR) for each in holds
    ]


def test_holds_are_shortened_in_steps() -> None:
    driver = held(STEP + 1)
    driver.crowd(STEP + 1)
    driver.edit(starts_at=NOW + HOUR)
    left = []
    while driver.state.event.is_unsettled:
        overlong = driver.inventory.overlong
        assert overlong is not None
        some = replace(overlong, bookings=overlong.bookings[:STEP])
        driver.take(settle(replace(driver.inventory, overlong=some), Settle(EVENT_ID), driver.now))
        left.append(sum(each.expires_at != NOW + HOUR for each in driver.bookings.values()))
    assert left == [1, 0]


# Completion.


def test_completing_an_event_ends_its_holds() -> None:
    driver = held(2)
    hold, paid = driver.book(ANA), driver.pay(driver.book(BEN))
    waiting = driver.book(DAN)
    since = len(driver.facts)
    driver.edit(status=EventStatus.COMPLETED)
    while driver.state.event.is_unsettled:
        driver.settle()
    assert driver.statuses(hold, paid, waiting) == ["expired", "confirmed", "cancelled"]
    assert [type(each) for each in driver.happened(since)].count(HoldExpired) == 1
    assert driver.ticket_type.taken == 1
    assert driver.state.event.earliest_expiry is None
    with pytest.raises(Expired):
        driver.start(hold)


# What may be set.


def test_what_was_set_before_these_rules_may_stay() -> None:
    driver = DomainDriver(1, starts_at=START)
    driver.stored = replace(driver.stored, event=replace(driver.stored.event, sales_open_at=START + HOUR))
    assert driver.edit(name="Another").event.name == "Another"


# Until when a customer may cancel.


@pytest.mark.parametrize(
    ("details", "moved_to", "until"),
    [
        ({}, None, START - 48 * HOUR),
        ({"cancellation_deadline_hours": 0}, None, START),
        ({"starts_at": None}, None, None),
        ({}, START + DAY, START + DAY),
        ({}, START + HOUR, START + HOUR - 48 * HOUR),
        ({"cancellation_deadline_hours": 8_760}, None, None),
    ],
)
def test_customers_are_told_until_when_they_may_cancel(
    details: dict[str, Any], moved_to: datetime | None, until: datetime | None
) -> None:
    driver = bound(**details)
    booking = driver.book(ANA)
    if moved_to is not None:
        driver.edit(starts_at=moved_to)
    event = driver.state.event
    assert cancellable_until(event, booking, NOW) == until
    if until is not None:
        assert cancellable_until(event, booking, until) is None
        driver.now = until
        with pytest.raises(CancellationClosed):
            driver.cancel(booking)
        driver.now = until - MICROSECOND
        driver.cancel(booking)


def test_a_late_promotion_tells_the_end_of_its_grace() -> None:
    driver = bound(cancellation_deadline_hours=8_760, total_tickets=1)
    first, late = driver.book(ANA), driver.book(BEN)
    driver.cancel(first, ORGANIZER)
    assert cancellable_until(driver.state.event, driver.bookings[late.id], NOW) == NOW + GRACE
    driver.edit(status=EventStatus.COMPLETED)
    assert cancellable_until(driver.state.event, driver.bookings[late.id], NOW) is None
