"""The waiting list: who gets freed tickets, in which order, and when."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.loading import ClosingQuery, OverlongHoldsQuery, WaitingListQuery
from boxoffice.application.turnstile.load_plan import LoadPlan, load_plan, step_load_plan
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.decision_builder import DecisionBuilder
from boxoffice.domain.decisions.settle import STEP
from boxoffice.domain.event import EventStatus, WaitingListPolicy
from boxoffice.domain.facts import BookingPromoted
from boxoffice.domain.inventory import WaitingList
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.values.money import Money
from tests.domain.domain_driver import (
    ANA,
    BEN,
    CLEO,
    DAN,
    EVE,
    EVENT_ID,
    FAY,
    NOW,
    START,
    DomainDriver,
    euros,
)

STRICT, FILL = WaitingListPolicy.STRICT, WaitingListPolicy.FILL
STALLS = TicketTypeSpec(name="Stalls", total_tickets=2)
BALCONY = TicketTypeSpec(name="Balcony", total_tickets=4)


def test_under_strict_a_group_that_does_not_fit_is_not_overtaken() -> None:
    driver = DomainDriver(3)
    holder, other = driver.book(ANA, 2), driver.book(BEN, 1)
    group, single = driver.book(CLEO, 3), driver.book(DAN)
    driver.cancel(holder)
    assert driver.statuses(group, single) == ["waitlisted", "waitlisted"]
    driver.cancel(other)
    assert driver.statuses(group, single) == ["confirmed", "waitlisted"]


def test_under_fill_remaining_tickets_go_to_the_next_that_fits() -> None:
    driver = DomainDriver(4, waiting_list_policy=FILL)
    holder = driver.book(ANA, 4)
    big, pair, three, single, last = [
        driver.book(who, quantity) for who, quantity in [(BEN, 4), (CLEO, 2), (DAN, 3), (EVE, 1), (FAY, 1)]
    ]
    driver.cancel(holder)
    assert driver.status_of(big) == "confirmed"
    driver.cancel(big)
    assert driver.statuses(pair, three, single, last) == ["confirmed", "waitlisted", "confirmed", "confirmed"]


# Whatever makes a promotion possible promotes at once.


def test_while_paused_no_booking_is_promoted_until_the_event_is_resumed() -> None:
    driver = DomainDriver(2)
    holder = driver.book(ANA, 2)
    line = driver.crowd(3)
    driver.pause()
    driver.cancel(holder)
    driver.edit(total_tickets=3)
    assert driver.statuses(*line) == ["waitlisted"] * 3
    driver.edit(total_tickets=2)
    driver.resume()
    assert driver.statuses(*line) == ["confirmed", "confirmed", "waitlisted"]


# Who waits pays the price of when they joined or of when they are served, whichever is lower.


@pytest.mark.parametrize(
    ("joined", "today", "paid"),
    [
        (euros(5), euros(6), euros(10)),
        (euros(5), euros(4), euros(8)),
        (euros(5), None, euros(0)),
        (euros(5), euros(0), euros(0)),
        (None, euros(5), euros(0)),
        (euros(5), [None, Money(1, "USD")], euros(10)),
        (euros(5), [None, Money(0, "USD")], euros(0)),
        (None, Money(7, "USD"), euros(0)),
    ],
)
@pytest.mark.parametrize("window", [None, 10])
def test_a_promoted_booking_costs_the_lower_price(joined: Any, today: Any, paid: Money, window: int | None) -> None:
    driver = DomainDriver(2, price=joined, payment_window_minutes=window)
    holder, waiting = driver.book(ANA, 2), driver.book(BEN, 2)
    for price in today if isinstance(today, list) else [today]:
        driver.edit(price=price)
    assert driver.bookings[waiting.id].amount == waiting.amount, "while it waits, that of when it joined"
    driver.cancel(holder)
    promoted = driver.bookings[waiting.id]
    assert promoted.amount == paid
    assert promoted.payment_status == ("due" if paid.amount else "none")
    assert promoted.status == ("held" if paid.amount and window else "confirmed")
    (fact,) = [what for what in driver.happened() if isinstance(what, BookingPromoted)]
    assert fact.amount == paid


# Steps are bounded.


def crowded(line: int, *, policy: WaitingListPolicy = STRICT) -> DomainDriver:
    """One ticket is taken, and so many bookings wait."""
    driver = DomainDriver(1, waiting_list_policy=policy, max_tickets_per_customer=1_000)
    driver.book(ANA)
    driver.crowd(line)
    return driver


@pytest.mark.parametrize("policy", [STRICT, FILL])
def test_a_step_promotes_500_and_the_next_step_goes_on_in_order(policy: WaitingListPolicy) -> None:
    driver = crowded(STEP + 20, policy=policy)
    line = driver.in_line()
    driver.edit(total_tickets=STEP + 11)

    assert driver.statuses(*line) == ["confirmed"] * STEP + ["waitlisted"] * 20
    assert driver.state.event.is_unsettled
    decision = driver.settle()
    assert decision.promoted == 10
    assert driver.statuses(*line) == ["confirmed"] * (STEP + 10) + ["waitlisted"] * 10
    assert not driver.state.event.is_unsettled


@pytest.mark.parametrize("policy", [STRICT, FILL])
def test_newcomers_wait_until_the_last_step_is_done(policy: WaitingListPolicy) -> None:
    driver = crowded(STEP + 1, policy=policy)
    driver.edit(total_tickets=STEP + 10)
    assert driver.ticket_type.available == 9
    assert driver.state.is_sold_out(driver.now)
    newcomer = driver.book(BEN)
    assert newcomer.status is BookingStatus.WAITLISTED
    driver.settle()
    assert driver.status_of(newcomer) == "confirmed"


# Closing.


def test_a_cancelled_event_ends_every_booking_in_steps() -> None:
    driver = DomainDriver(STEP + 1)
    driver.crowd(STEP + 3)
    driver.edit(status=EventStatus.CANCELLED)
    assert driver.state.event.is_unsettled
    driver.settle()
    assert sum(booking.status.is_live for booking in driver.bookings.values()) == 3
    assert driver.state.event.is_unsettled
    driver.settle()
    assert not any(booking.status.is_live for booking in driver.bookings.values())
    assert not driver.state.event.is_unsettled
    assert (driver.ticket_type.taken, driver.ticket_type.waiting) == (0, 0)
    assert {what.by for what in driver.happened(-STEP) if hasattr(what, "by")} == {"event"}


@pytest.mark.parametrize("left", [0, 1])
def test_a_completed_event_ends_waiting_bookings_in_steps(left: int) -> None:
    driver = crowded(STEP + left)
    holder = next(iter(driver.bookings.values()))
    driver.edit(status=EventStatus.COMPLETED)
    driver.settle()
    assert len(driver.in_line()) == left
    assert driver.state.event.is_unsettled is bool(left)
    driver.settle()
    assert driver.in_line() == []
    assert driver.status_of(holder) == "confirmed"
    assert not driver.state.event.is_unsettled


# What must be loaded, and what a decision does with less.


def test_a_waiting_list_that_was_not_loaded_is_left_for_the_next_step() -> None:
    driver = DomainDriver(1)
    booking = driver.book(ANA)
    driver.book(BEN)
    blind = replace(driver.inventory, waiting_lists={})

    decision = cancel(blind, Cancel(event_id=EVENT_ID, actor=ANA, booking_id=booking.id), NOW)
    assert decision.promoted == 0
    assert decision.inventory.event.is_unsettled


@pytest.mark.parametrize(
    ("policy", "cut", "promoted", "is_unsettled"),
    [
        (STRICT, lambda line: replace(line, head=line.head[:1], is_whole=False), 1, True),
        (STRICT, lambda line: replace(line, head=line.head[:2], is_whole=False), 2, True),
        (STRICT, lambda line: replace(line, head=line.head[:3], is_whole=False), 2, False),
        (STRICT, lambda line: replace(line, fitting=9), 0, True),
        (FILL, lambda line: replace(line, fitting=3), 0, True),
        (FILL, lambda line: replace(line, fitting=4, head=line.head[:2], is_whole=False), 2, True),
        (FILL, lambda line: replace(line, fitting=4, head=(*line.head[:2], line.head[3]), is_whole=False), 3, False),
        (FILL, lambda line: line, 3, False),
    ],
)
def test_a_step_goes_as_far_as_the_loaded_part_of_the_waiting_list(
    policy: WaitingListPolicy, cut: Callable[[WaitingList], WaitingList], promoted: int, is_unsettled: bool
) -> None:
    driver = DomainDriver(4, waiting_list_policy=policy)
    holder = driver.book(ANA, 4)
    for who, quantity in [(BEN, 1), (CLEO, 1), (DAN, 4), (EVE, 2), (FAY, 1)]:
        driver.book(who, quantity)
    inventory, type_id = driver.inventory, driver.ticket_type.id
    cut_off = replace(inventory, waiting_lists={type_id: cut(inventory.waiting_lists[type_id])})

    decision = cancel(cut_off, Cancel(event_id=EVENT_ID, actor=ANA, booking_id=holder.id), NOW)
    assert (decision.promoted, decision.inventory.event.is_unsettled) == (promoted, is_unsettled)


def test_a_loaded_waiting_list_follows_those_who_join_and_leave() -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    first, second, third = (driver.bookings[driver.book(who).id] for who in (BEN, CLEO, DAN))
    whole = WaitingList((), None, is_whole=True)
    assert whole.joined_by(first).head == (first,)
    assert replace(whole, is_whole=False).joined_by(first).head == ()
    assert WaitingList((), 1, is_whole=True).joined_by(first).head == (first,)
    assert WaitingList((), 0, is_whole=True).joined_by(first).head == (), "it does not fit"
    line = WaitingList((first, second), None)
    assert (line.without(first).head, line.without(second).head) == ((second,), (first,))
    assert (line.without(third), WaitingList().without(first)) == (line, WaitingList())


def test_a_waiting_list_that_was_not_loaded_stays_unknown_when_a_booking_joins() -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    recording = DecisionBuilder(replace(driver.inventory, waiting_lists={}), NOW)
    recording.enter(replace(driver.bookings[driver.book(BEN).id], queue_number=9))
    assert recording.waiting_list(driver.ticket_type.id) == WaitingList()


def test_a_booking_of_an_unknown_type_changes_no_counter() -> None:
    driver = DomainDriver(1)
    stray = replace(driver.book(ANA), ticket_type_id=ANA.user_id)
    recording = DecisionBuilder(driver.inventory, NOW)
    with pytest.raises(LookupError):
        recording.enter(stray)
    assert recording.ticket_types == driver.inventory.ticket_types


def _ask(driver: DomainDriver, freed: dict[int, int], **event: object) -> LoadPlan:
    inventory = driver.inventory
    changed = replace(inventory, event=replace(inventory.event, **event))
    by_type = {inventory.ticket_types[index].id: count for index, count in freed.items()}
    return load_plan(changed, by_type, driver.now)


def test_only_waiting_lists_that_may_move_are_loaded() -> None:
    driver = DomainDriver(types=[STALLS, BALCONY])
    stalls, balcony = driver.ticket_types
    driver.book(ANA, 2, stalls)
    driver.book(BEN, 4, balcony)
    driver.book(CLEO, 1, stalls)
    assert _ask(driver, {}) == LoadPlan()
    assert _ask(driver, {1: 4}) == LoadPlan(), "no booking waits for the balcony"
    assert _ask(driver, {0: 2}) == LoadPlan(waiting_lists=(WaitingListQuery(stalls.id, None, 3),))
    assert _ask(driver, {0: 2}, waiting_list_policy=FILL) == LoadPlan(
        waiting_lists=(WaitingListQuery(stalls.id, 2, 3),)
    )
    assert _ask(driver, {0: 0}) == LoadPlan(), "no ticket will be free"
    assert _ask(driver, {0: 2}, status=EventStatus.PAUSED) == LoadPlan()
    assert _ask(driver, {0: STEP + 9}) == LoadPlan(waiting_lists=(WaitingListQuery(stalls.id, None, STEP + 1),))


def test_of_a_closed_event_the_bookings_that_must_end_are_loaded() -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    assert _ask(driver, {}, status=EventStatus.CANCELLED) == LoadPlan()
    for status, waiting_only in [(EventStatus.CANCELLED, False), (EventStatus.COMPLETED, True)]:
        asked = _ask(driver, {}, status=status, is_unsettled=True)
        assert asked == LoadPlan(closing=ClosingQuery(EVENT_ID, waiting_only, STEP + 1))


def test_only_a_step_after_a_move_loads_holds_that_last_too_long() -> None:
    driver = DomainDriver(1, starts_at=START)
    event = replace(driver.state.event, is_unsettled=True, earliest_expiry=NOW)
    inventory = replace(driver.inventory, event=event)
    assert step_load_plan(inventory, NOW).overlong == OverlongHoldsQuery(EVENT_ID, START, STEP)
    assert load_plan(inventory, {}, NOW).overlong is None, "others may be decided in between"
    for changes in (
        {"is_unsettled": False},
        {"earliest_expiry": None},
        {"starts_at": None},
        {"status": EventStatus.COMPLETED},
    ):
        assert step_load_plan(replace(inventory, event=replace(event, **changes)), NOW).overlong is None
