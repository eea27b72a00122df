"""The waiting list: whom freed tickets go to, in which order, and what makes it move."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.loading import ClosingQuery, OverlongHoldsQuery, WaitingListQuery
from boxoffice.application.turnstile.load_plan import LoadPlan, load_plan, step_load_plan
from boxoffice.domain.booking import BookingStatus, PaymentStatus
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.decision_builder import DecisionBuilder
from boxoffice.domain.decisions.settle import STEP, Settle, settle
from boxoffice.domain.event import EventStatus, TicketTypeSpec, WaitingListPolicy
from boxoffice.domain.inventory import Inventory, WaitingList
from tests.domain.office import (
    ANA,
    BEN,
    CLEO,
    DAN,
    EVE,
    EVENT_ID,
    FAY,
    NOW,
    ORGANIZER,
    START,
    Office,
    euros,
)

STRICT, FILL = WaitingListPolicy.STRICT, WaitingListPolicy.FILL
STALLS = TicketTypeSpec(name="Stalls", total_tickets=2)
BALCONY = TicketTypeSpec(name="Balcony", total_tickets=4)


def test_a_group_waits_for_all_its_tickets() -> None:
    office = Office(3)
    first, second = office.book(ANA, 2), office.book(BEN, 1)
    group = office.book(CLEO, 3)
    office.cancel(first)
    assert office.status_of(group) == "waitlisted"
    office.cancel(second)
    assert office.status_of(group) == "confirmed"


def test_under_strict_nobody_overtakes_a_group_that_does_not_fit() -> None:
    office = Office(3)
    holder = office.book(ANA, 2)
    office.book(BEN, 1)
    group, single = office.book(CLEO, 3), office.book(DAN)
    office.cancel(holder)
    assert office.statuses(group, single) == ["waitlisted", "waitlisted"]


def test_under_fill_the_first_in_line_that_fits_is_served() -> None:
    office = Office(3, waiting_list_policy=FILL)
    holder = office.book(ANA, 2)
    office.book(BEN, 1)
    group, pair, single = office.book(CLEO, 3), office.book(DAN, 2), office.book(EVE)
    office.cancel(holder)
    assert office.statuses(group, pair, single) == ["waitlisted", "confirmed", "waitlisted"]


def test_under_fill_what_one_leaves_over_goes_to_the_next_that_fits() -> None:
    office = Office(4, waiting_list_policy=FILL)
    holder = office.book(ANA, 4)
    big, pair, three, single, last = [
        office.book(who, quantity) for who, quantity in [(BEN, 4), (CLEO, 2), (DAN, 3), (EVE, 1), (FAY, 1)]
    ]
    office.cancel(holder)
    assert office.status_of(big) == "confirmed"
    office.cancel(big)
    assert office.statuses(pair, three, single, last) == ["confirmed", "waitlisted", "confirmed", "confirmed"]


def test_when_the_blocked_head_leaves_those_behind_it_are_served() -> None:
    office = Office(3)
    office.book(ANA, 2)
    head, single, other = office.book(BEN, 2), office.book(CLEO), office.book(DAN)
    assert office.ticket_type.available == 1
    office.cancel(head)
    assert office.statuses(single, other) == ["confirmed", "waitlisted"]


def test_when_somebody_in_the_middle_leaves_the_order_stays() -> None:
    office = Office(1)
    holder = office.book(ANA)
    first, second, third = office.book(BEN), office.book(CLEO), office.book(DAN)
    office.cancel(second)
    office.cancel(holder)
    assert office.statuses(first, second, third) == ["confirmed", "cancelled", "waitlisted"]


def test_one_cancel_may_serve_many() -> None:
    office = Office(5)
    holder = office.book(ANA, 5)
    line = office.crowd(7)
    office.cancel(holder)
    assert office.statuses(*line) == ["confirmed"] * 5 + ["waitlisted"] * 2


def test_a_freed_ticket_of_one_type_serves_that_types_line_only() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, balcony = office.ticket_types
    in_stalls, in_balcony = office.book(ANA, 2, stalls), office.book(BEN, 4, balcony)
    for_stalls, for_balcony = office.book(CLEO, 1, stalls), office.book(DAN, 1, balcony)
    office.cancel(in_balcony)
    assert office.statuses(for_stalls, for_balcony) == ["waitlisted", "confirmed"]
    office.cancel(in_stalls)
    assert office.status_of(for_stalls) == "confirmed"


# Whatever lets somebody be served serves them at once.


def test_more_tickets_serve_the_line() -> None:
    office = Office(1)
    office.book(ANA)
    line = office.crowd(3)
    office.edit(total_tickets=3)
    assert office.statuses(*line) == ["confirmed", "confirmed", "waitlisted"]


def test_while_paused_nobody_is_served_and_resuming_serves_first() -> None:
    office = Office(2)
    holder = office.book(ANA, 2)
    line = office.crowd(3)
    office.pause()
    office.cancel(holder)
    office.edit(total_tickets=3)
    assert office.statuses(*line) == ["waitlisted"] * 3
    office.edit(total_tickets=2)
    office.resume()
    assert office.statuses(*line) == ["confirmed", "confirmed", "waitlisted"]


def test_a_new_policy_serves_those_whom_the_old_one_held_back() -> None:
    office = Office(3)
    office.book(ANA, 2)
    group, single = office.book(BEN, 2), office.book(CLEO)
    office.edit(waiting_list_policy=FILL)
    assert office.statuses(group, single) == ["waitlisted", "confirmed"]


def test_back_under_strict_nobody_is_overtaken_any_more() -> None:
    office = Office(3, waiting_list_policy=FILL)
    pair = office.book(ANA, 2)
    last = office.book(BEN)
    group, single = office.book(CLEO, 3), office.book(DAN)
    office.edit(waiting_list_policy=STRICT)
    office.cancel(pair)
    assert office.statuses(group, single) == ["waitlisted", "waitlisted"]
    office.cancel(last)
    assert office.statuses(group, single) == ["confirmed", "waitlisted"]


@pytest.mark.parametrize("later", [START + timedelta(days=7), None])
def test_a_start_that_is_moved_away_serves_those_who_were_left(later: object) -> None:
    office = Office(1, starts_at=START)
    booking, waiting = office.book(ANA), office.book(BEN)
    office.now = START
    office.cancel(booking, ORGANIZER)
    assert office.status_of(waiting) == "waitlisted"
    office.edit(starts_at=later)
    assert office.status_of(waiting) == "confirmed"


def test_a_promotion_costs_what_was_said_when_it_was_booked() -> None:
    office = Office(1, price=euros(10))
    booking, waiting = office.book(ANA), office.book(BEN)
    office.edit(price=None)
    office.cancel(booking)
    promoted = office.bookings[waiting.id]
    assert (promoted.amount, promoted.payment_status) == (euros(10), PaymentStatus.DUE)


# Steps are bounded.


def crowded(line: int, *, policy: WaitingListPolicy = STRICT) -> Office:
    """One ticket taken, and a line of so many behind it."""
    office = Office(1, waiting_list_policy=policy, max_tickets_per_customer=1_000)
    office.book(ANA)
    office.crowd(line)
    return office


@pytest.mark.parametrize("policy", [STRICT, FILL])
def test_a_step_promotes_500_and_the_rest_follows_in_order(policy: WaitingListPolicy) -> None:
    office = crowded(STEP + 20, policy=policy)
    line = office.in_line()
    office.edit(total_tickets=STEP + 11)

    assert office.statuses(*line) == ["confirmed"] * STEP + ["waitlisted"] * 20
    assert office.state.event.is_unsettled
    decision = office.settle()
    assert decision.promoted == 10
    assert office.statuses(*line) == ["confirmed"] * (STEP + 10) + ["waitlisted"] * 10
    assert not office.state.event.is_unsettled


def test_500_promotions_are_one_whole_step() -> None:
    office = crowded(STEP)
    office.edit(total_tickets=STEP + 1)
    assert office.in_line() == []
    assert not office.state.event.is_unsettled


@pytest.mark.parametrize("policy", [STRICT, FILL])
def test_until_the_line_is_served_newcomers_wait(policy: WaitingListPolicy) -> None:
    office = crowded(STEP + 1, policy=policy)
    office.edit(total_tickets=STEP + 10)
    assert office.ticket_type.available == 9
    assert office.state.is_sold_out(office.now)
    newcomer = office.book(BEN)
    assert newcomer.status is BookingStatus.WAITLISTED
    office.settle()
    assert office.status_of(newcomer) == "confirmed"


def test_a_step_counts_the_promotions_of_all_types_together() -> None:
    office = Office(types=[replace(STALLS, total_tickets=1), replace(BALCONY, total_tickets=1)])
    stalls, balcony = office.ticket_types
    for kind in (stalls, balcony):
        for number, who in enumerate([ANA, BEN, CLEO]):
            office.book(who, 1, kind)
            assert len(office.in_line()) == number + (0 if kind == stalls else 2)
    office.pause()
    for kind in (stalls, balcony):
        office.edit_type(kind, total_tickets=3)
    office.resume()
    assert office.in_line() == []


def test_a_cancel_goes_on_with_every_type_that_was_left_over() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, balcony = office.ticket_types
    in_stalls = office.book(ANA, 2, stalls)
    office.book(BEN, 4, balcony)
    for_stalls, for_balcony = office.book(CLEO, 1, stalls), office.book(DAN, 1, balcony)
    left = office.inventory
    grown = tuple(replace(each, total_tickets=5) if each.id == balcony.id else each for each in left.ticket_types)
    unsettled = replace(left, event=replace(left.event, is_unsettled=True), ticket_types=grown)

    decision = settle(unsettled, Settle(EVENT_ID), NOW)
    assert [change.after.id for change in decision.changed] == [for_balcony.id]
    assert not decision.inventory.event.is_unsettled

    decided = cancel(unsettled, Cancel(event_id=EVENT_ID, actor=ANA, booking_id=in_stalls.id), NOW)
    assert {change.after.id for change in decided.changed} == {in_stalls.id, for_stalls.id, for_balcony.id}
    assert decided.promoted == 2
    assert not decided.inventory.event.is_unsettled


def test_settling_a_settled_event_changes_nothing_at_all() -> None:
    office = Office(1)
    office.book(ANA)
    office.book(BEN)
    decision = office.settle()
    assert (decision.changed, decision.facts, decision.promoted) == ((), (), 0)
    assert not office.state.event.is_unsettled


@pytest.mark.parametrize("status", [EventStatus.PAUSED, EventStatus.ON_SALE])
def test_an_event_whose_line_is_not_served_has_nothing_left_to_do(status: EventStatus) -> None:
    office = crowded(STEP + 5)
    office.edit(total_tickets=STEP + 6, starts_at=START)
    assert office.state.event.is_unsettled
    if status is EventStatus.PAUSED:
        office.pause()
    else:
        office.now = START
        office.settle()
    assert not office.state.event.is_unsettled
    assert len(office.in_line()) == 5


# Closing.


def test_a_cancelled_event_lets_everybody_go_in_steps() -> None:
    office = Office(STEP + 1)
    office.crowd(STEP + 3)
    office.edit(status=EventStatus.CANCELLED)
    assert office.state.event.is_unsettled
    office.settle()
    assert sum(booking.status.is_live for booking in office.bookings.values()) == 3
    assert office.state.event.is_unsettled
    office.settle()
    assert not any(booking.status.is_live for booking in office.bookings.values())
    assert not office.state.event.is_unsettled
    assert (office.ticket_type.taken, office.ticket_type.waiting) == (0, 0)
    assert {what.by for what in office.happened(-STEP) if hasattr(what, "by")} == {"event"}


def test_a_completed_event_lets_those_go_who_wait_in_steps() -> None:
    office = crowded(STEP + 1)
    holder = next(iter(office.bookings.values()))
    office.edit(status=EventStatus.COMPLETED)
    office.settle()
    assert len(office.in_line()) == 1
    assert office.state.event.is_unsettled
    office.settle()
    assert office.in_line() == []
    assert office.status_of(holder) == "confirmed"
    assert not office.state.event.is_unsettled


@pytest.mark.parametrize("status", [EventStatus.COMPLETED, EventStatus.CANCELLED])
def test_500_bookings_are_closed_in_one_step(status: EventStatus) -> None:
    office = crowded(STEP - 1) if status is EventStatus.CANCELLED else crowded(STEP)
    office.edit(status=status)
    office.settle()
    assert office.in_line() == []
    assert not office.state.event.is_unsettled


def test_bookings_of_a_closed_event_end_by_their_ids() -> None:
    """A storage may find them in any order."""
    office = Office(2)
    for customer in (ANA, BEN, CLEO):
        office.book(customer)
    closed = replace(office.inventory.event, status=EventStatus.CANCELLED)
    live = tuple(sorted(office.bookings.values(), key=lambda each: each.id))
    decision = settle(replace(office.inventory, event=closed, closing=live[::-1]), Settle(EVENT_ID), NOW)
    assert [fact.booking_id for fact in decision.facts] == [each.id for each in live]


def test_closing_goes_on_while_nothing_was_loaded() -> None:
    office = Office(1)
    office.book(ANA)
    closed = replace(office.inventory.event, status=EventStatus.CANCELLED)
    decision = settle(replace(office.inventory, event=closed, closing=()), Settle(EVENT_ID), NOW)
    assert decision.changed == ()
    assert decision.inventory.event.is_unsettled


# What has to be loaded, and what a decision does with less.


def test_a_line_of_which_nothing_was_loaded_is_left_for_the_next_step() -> None:
    office = Office(1)
    booking = office.book(ANA)
    office.book(BEN)
    blind = replace(office.inventory, lines={})

    decision = cancel(blind, Cancel(event_id=EVENT_ID, actor=ANA, booking_id=booking.id), NOW)
    assert decision.promoted == 0
    assert decision.inventory.event.is_unsettled


def _line_of(office: Office) -> tuple[WaitingList, Inventory]:
    inventory = office.inventory
    return inventory.lines[office.ticket_type.id], inventory


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
def test_a_step_goes_as_far_as_the_line_that_was_loaded(
    policy: WaitingListPolicy, cut: Callable[[WaitingList], WaitingList], promoted: int, is_unsettled: bool
) -> None:
    office = Office(4, waiting_list_policy=policy)
    holder = office.book(ANA, 4)
    for who, quantity in [(BEN, 1), (CLEO, 1), (DAN, 4), (EVE, 2), (FAY, 1)]:
        office.book(who, quantity)
    line, inventory = _line_of(office)
    cut_off = replace(inventory, lines={office.ticket_type.id: cut(line)})

    decision = cancel(cut_off, Cancel(event_id=EVENT_ID, actor=ANA, booking_id=holder.id), NOW)
    assert (decision.promoted, decision.inventory.event.is_unsettled) == (promoted, is_unsettled)


def test_who_joins_is_seen_at_the_end_of_a_line_that_is_known_whole() -> None:
    office = Office(1)
    office.book(ANA)
    first = office.bookings[office.book(BEN).id]
    whole = WaitingList((), None, is_whole=True)
    assert whole.joined_by(first).head == (first,)
    assert replace(whole, is_whole=False).joined_by(first).head == ()
    assert WaitingList((), 1, is_whole=True).joined_by(first).head == (first,)
    assert WaitingList((), 0, is_whole=True).joined_by(first).head == ()


def test_who_leaves_is_taken_out_of_a_line_wherever_they_stood() -> None:
    office = Office(1)
    office.book(ANA)
    first, second, third = (office.bookings[office.book(who).id] for who in (BEN, CLEO, DAN))
    line = WaitingList((first, second), None)
    assert line.without(first).head == (second,)
    assert line.without(second).head == (first,)
    assert line.without(third) == line
    assert WaitingList().without(first) == WaitingList()


def test_a_line_that_was_not_loaded_is_not_made_up_by_those_who_join() -> None:
    office = Office(1)
    office.book(ANA)
    blind = replace(office.inventory, lines={})
    recording = DecisionBuilder(blind, NOW)
    recording.enter(replace(office.bookings[office.book(BEN).id], queue_number=9))
    assert recording.line(office.ticket_type.id) == WaitingList()


def test_a_booking_of_another_event_changes_no_counter() -> None:
    office, other = Office(1), Office(1)
    stray = replace(other.bookings[other.book(ANA).id], ticket_type_id=ANA.user_id)
    recording = DecisionBuilder(office.inventory, NOW)
    with pytest.raises(LookupError):
        recording.enter(stray)
    assert recording.ticket_types == office.inventory.ticket_types


def _ask(office: Office, freed: dict[int, int], **event: object) -> LoadPlan:
    inventory = office.inventory
    changed = replace(inventory, event=replace(inventory.event, **event))
    by_type = {inventory.ticket_types[index].id: count for index, count in freed.items()}
    return load_plan(changed, by_type, office.now)


def test_only_the_lines_that_may_be_served_are_loaded() -> None:
    office = Office(types=[STALLS, BALCONY])
    stalls, balcony = office.ticket_types
    office.book(ANA, 2, stalls)
    office.book(BEN, 4, balcony)
    office.book(CLEO, 1, stalls)
    assert _ask(office, {}) == LoadPlan()
    assert _ask(office, {1: 4}) == LoadPlan(), "nobody waits for the balcony"
    assert _ask(office, {0: 2}) == LoadPlan(lines=(WaitingListQuery(stalls.id, None, 3),))
    assert _ask(office, {0: 2}, waiting_list_policy=FILL) == LoadPlan(lines=(WaitingListQuery(stalls.id, 2, 3),))
    assert _ask(office, {0: 0}) == LoadPlan(), "no ticket will be free"
    assert _ask(office, {0: 2}, status=EventStatus.PAUSED) == LoadPlan()
    assert _ask(office, {0: STEP + 9}) == LoadPlan(lines=(WaitingListQuery(stalls.id, None, STEP + 1),))


def test_of_an_unsettled_event_every_line_is_loaded_for_which_tickets_are_left() -> None:
    office = Office(types=[STALLS, replace(BALCONY, total_tickets=3)])
    stalls, balcony = office.ticket_types
    office.book(ANA, 2, stalls)
    office.book(BEN, 1, stalls)
    office.book(CLEO, 2, balcony)
    office.book(DAN, 3, balcony)
    assert _ask(office, {}, is_unsettled=True) == LoadPlan(lines=(WaitingListQuery(balcony.id, None, 2),))


def test_of_a_closed_event_the_bookings_are_loaded_that_it_still_has_to_let_go() -> None:
    office = Office(1)
    office.book(ANA)
    assert _ask(office, {}, status=EventStatus.CANCELLED) == LoadPlan()
    for status, waiting_only in [(EventStatus.CANCELLED, False), (EventStatus.COMPLETED, True)]:
        asked = _ask(office, {}, status=status, is_unsettled=True)
        assert asked == LoadPlan(closing=ClosingQuery(EVENT_ID, waiting_only, STEP))


def test_only_a_step_after_a_move_loads_holds_that_last_too_long() -> None:
    office = Office(1, starts_at=START)
    event = replace(office.state.event, is_unsettled=True, earliest_expiry=NOW)
    inventory = replace(office.inventory, event=event)
    assert step_load_plan(inventory, NOW).overlong == OverlongHoldsQuery(EVENT_ID, START, STEP)
    assert load_plan(inventory, {}, NOW).overlong is None, "others may be decided in between"
    for changes in (
        {"is_unsettled": False},
        {"earliest_expiry": None},
        {"starts_at": None},
        {"status": EventStatus.COMPLETED},
    ):
        assert step_load_plan(replace(inventory, event=replace(event, **changes)), NOW).overlong is None
