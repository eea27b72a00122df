"""The bound for overtakes: under `fill` a waiting booking is passed that often, never once more and never once less."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from boxoffice.application.ports.loading import WaitingListQuery
from boxoffice.application.turnstile.load_plan import LoadPlan, load_plan
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.organize import EventChanges
from boxoffice.domain.decisions.settle import Settle, settle
from boxoffice.domain.event import EventStatus, WaitingListPolicy
from boxoffice.domain.facts import (
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    Fact,
    TicketsBooked,
)
from boxoffice.domain.inventory import WaitingList
from boxoffice.domain.refusals import InvalidRequest, PaymentWindowClosed, SoldOut
from boxoffice.domain.replay.event_replay import EventReplay
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Actor
from tests.domain.domain_driver import ANA, BEN, CLEO, DAN, EVE, EVENT_ID, NOW, START, DomainDriver, customer, euros

STRICT, FILL = WaitingListPolicy
CONFIRMED, WAITLISTED = BookingStatus.CONFIRMED, BookingStatus.WAITLISTED


def bounded(total: int, bound: int | None, **details: Any) -> DomainDriver:
    return DomainDriver(total, waiting_list_policy=FILL, max_overtakes=bound, **details)


def with_a_line(driver: DomainDriver, quantities: list[int]) -> tuple[list[Booking], list[Booking]]:
    """Single bookings of all tickets, and a waiting list of these quantities."""
    taken = driver.crowd(driver.ticket_type.total_tickets)
    return taken, [driver.book(customer(100 + number), each) for number, each in enumerate(quantities)]


def confirmed(driver: DomainDriver, line: list[Booking]) -> list[bool]:
    return [driver.bookings[each.id].status is CONFIRMED for each in line]


def overtakes(driver: DomainDriver) -> tuple[int, ...]:
    return driver.ticket_type.overtakes


@pytest.mark.parametrize(("bound", "served"), [(None, 3), (0, 0), (1, 1), (2, 2), (3, 3)])
def test_no_more_are_served_than_may_overtake_the_first(bound: int | None, served: int) -> None:
    driver = bounded(5, bound)
    taken, line = with_a_line(driver, [5, 1, 1, 1])
    for each in taken[:4]:
        driver.cancel(each)
    assert confirmed(driver, line) == [False, *(number < served for number in range(3))]
    assert driver.ticket_type.available == 4 - served
    assert driver.state.is_sold_out(driver.now) is (bound is not None and bound <= served)


def test_who_reached_the_bound_is_served_next_and_then_the_others() -> None:
    driver = bounded(3, 1)
    taken, line = with_a_line(driver, [2, 1, 1, 1])
    driver.cancel(taken[0])
    assert confirmed(driver, line) == [False, True, False, False]
    driver.cancel(taken[1])
    assert confirmed(driver, line) == [False, True, False, False], "a ticket is kept for the first one"
    driver.cancel(taken[2])
    assert confirmed(driver, line) == [True, True, False, False]
    assert overtakes(driver) == ()


def test_the_first_two_are_passed_together_and_keep_their_counts() -> None:
    driver = bounded(9, 2)
    taken, line = with_a_line(driver, [9, 8, 1, 1, 1])
    driver.cancel(taken[0])
    assert overtakes(driver) == (3,)
    driver.cancel(line[0])
    assert overtakes(driver) == (3,), "the second was passed as well"
    driver.cancel(taken[1])
    driver.cancel(taken[2])
    assert confirmed(driver, line) == [False, False, True, True, False]
    driver.cancel(line[1])
    assert confirmed(driver, line)[-1]
    assert overtakes(driver) == ()


def test_who_joined_later_was_passed_less_often() -> None:
    driver = bounded(3, 2)
    taken, line = with_a_line(driver, [3, 1])
    driver.cancel(taken[0])
    line.append(driver.book(EVE, 3))
    driver.cancel(taken[1])
    assert driver.book(DAN).status is CONFIRMED
    assert overtakes(driver) == (2, 3)
    assert driver.state.is_sold_out(driver.now)
    driver.cancel(line[0])
    assert overtakes(driver) == (3,), "the newcomer passed both, the promoted one only the first"


def test_newcomers_overtake_and_are_kept_back() -> None:
    driver = bounded(4, 2)
    taken, _ = with_a_line(driver, [4])
    for each in taken[:3]:
        driver.cancel(each)
    assert [driver.book(each).status for each in (ANA, BEN, CLEO)] == [CONFIRMED, CONFIRMED, WAITLISTED]
    assert driver.ticket_type.available == 1
    with pytest.raises(SoldOut):
        driver.book(DAN, only_if_available=True)
    driver.give(EVE)
    assert len(overtakes(driver)) == 2


def test_a_gift_is_no_overtake() -> None:
    driver = bounded(3, 1)
    taken, _ = with_a_line(driver, [3])
    driver.cancel(taken[0])
    driver.cancel(taken[1])
    driver.give(ANA)
    assert overtakes(driver) == ()
    assert driver.book(BEN).status is CONFIRMED
    assert driver.book(CLEO).status is WAITLISTED


def test_only_those_who_wait_for_the_type_are_overtaken() -> None:
    types = [TicketTypeSpec(name=name, total_tickets=2) for name in "AB"]
    driver = DomainDriver(types=types, waiting_list_policy=FILL, max_overtakes=0)
    first, second = driver.ticket_types
    driver.book(ANA, 1, first)
    driver.book(BEN, 2, first)
    assert driver.book(CLEO, 1, second).status is CONFIRMED
    assert driver.book(CLEO, 1, first).status is WAITLISTED
    assert not driver.state.is_sold_out(driver.now)
    assert driver.state.is_sold_out(driver.now, driver.ticket_type)


def test_a_late_payment_overtakes_like_a_newcomer() -> None:
    driver = bounded(2, 1, price=euros(10), payment_window_minutes=30)
    late, other = driver.book(ANA), driver.book(BEN)
    third = driver.book(CLEO, 2)
    driver.pay(other)
    driver.pass_time(minutes=30)
    assert driver.status_of(late) == "expired"
    assert driver.pay(late).status is CONFIRMED
    assert overtakes(driver) == (1,)
    driver.cancel(late)
    again = driver.book(DAN)
    assert again.status is WAITLISTED
    driver.cancel(third)
    assert driver.status_of(again) == "held"
    fourth = driver.book(EVE, 2)
    driver.cancel(other)
    driver.pass_time(minutes=30)
    assert driver.statuses(again, fourth) == ["expired", "held"]
    with pytest.raises(PaymentWindowClosed):
        driver.start(again)


@pytest.mark.parametrize(
    ("changes", "is_served"),
    [
        ({"max_overtakes": 2}, True),
        ({"max_overtakes": None}, True),
        ({"max_overtakes": 0}, False),
        ({"waiting_list_policy": STRICT}, False),
        ({"max_overtakes": 2, "waiting_list_policy": STRICT}, False),
    ],
)
def test_another_bound_counts_at_once(changes: dict[str, Any], is_served: bool) -> None:
    driver = bounded(3, 1)
    taken, line = with_a_line(driver, [3, 1, 1])
    driver.cancel(taken[0])
    driver.cancel(taken[1])
    assert confirmed(driver, line) == [False, True, False]
    driver.edit(**changes)
    assert confirmed(driver, line) == [False, True, is_served]


def test_a_lower_bound_takes_nothing_back_and_a_higher_one_continues() -> None:
    driver = bounded(5, 3)
    taken, line = with_a_line(driver, [5, 1, 1, 1, 1])
    for each in taken[:2]:
        driver.cancel(each)
    driver.edit(max_overtakes=1)
    driver.cancel(taken[2])
    assert confirmed(driver, line) == [False, True, True, False, False]
    driver.edit(max_overtakes=3)
    assert confirmed(driver, line) == [False, True, True, True, False]
    driver.cancel(taken[3])
    assert confirmed(driver, line)[-1] is False


def test_a_bound_that_is_set_again_counts_anew() -> None:
    driver = bounded(4, 1)
    taken, line = with_a_line(driver, [4, 1, 1, 1])
    driver.cancel(taken[0])
    assert overtakes(driver) == (2,)
    driver.edit(max_overtakes=None)
    driver.cancel(taken[1])
    assert overtakes(driver) == ()
    driver.edit(max_overtakes=1)
    driver.cancel(taken[2])
    assert confirmed(driver, line) == [False, True, True, True]
    assert overtakes(driver) == (4,)


def test_a_strict_event_keeps_what_was_counted() -> None:
    driver = bounded(4, 1)
    taken, line = with_a_line(driver, [4, 1, 1])
    driver.cancel(taken[0])
    driver.edit(waiting_list_policy=STRICT)
    driver.cancel(taken[1])
    driver.edit(waiting_list_policy=FILL)
    assert confirmed(driver, line) == [False, True, False]
    driver.edit(waiting_list_policy=STRICT)
    driver.cancel(line[0])
    assert overtakes(driver) == ()
    assert confirmed(driver, line)[2]


def test_in_a_paused_event_the_next_one_is_not_taken_for_the_first() -> None:
    driver = bounded(3, 1)
    taken, line = with_a_line(driver, [3, 1])
    driver.cancel(taken[0])
    late = driver.book(ANA, 2)
    driver.cancel(taken[1])
    driver.pause()
    driver.cancel(line[0])
    assert overtakes(driver) == ()
    assert not driver.state.is_sold_out(driver.now)
    driver.resume()
    assert driver.status_of(late) == "waitlisted"
    assert driver.book(BEN).status is CONFIRMED


def test_who_is_suspended_comes_back_with_what_was_counted_behind_it() -> None:
    driver = bounded(5, 2)
    taken, line = with_a_line(driver, [5, 5, 1, 1, 1])
    first = Actor(line[0].customer_id)
    driver.disable(first)
    driver.cancel(taken[0])
    driver.cancel(taken[1])
    assert overtakes(driver) == (3, 4)
    driver.enable(first)
    driver.cancel(taken[2])
    assert confirmed(driver, line) == [False, False, True, True, False]
    driver.disable(first)
    driver.cancel(line[1])
    assert confirmed(driver, line)[-1], "nobody on the list was overtaken any more"
    driver.enable(first)
    assert overtakes(driver) == ()


def test_a_newcomer_who_passes_a_suspended_booking_alone_overtakes_nobody() -> None:
    driver = bounded(2, 0)
    _, (waits,) = with_a_line(driver, [2])
    driver.disable(Actor(waits.customer_id))
    driver.edit(total_tickets=3)
    assert driver.book(ANA).status is CONFIRMED
    driver.enable(Actor(waits.customer_id))
    assert overtakes(driver) == ()


@pytest.mark.parametrize("status", [EventStatus.COMPLETED, EventStatus.CANCELLED])
def test_a_closed_event_has_nobody_to_overtake(status: EventStatus) -> None:
    driver = bounded(3, 1)
    taken, _ = with_a_line(driver, [3, 1])
    driver.cancel(taken[0])
    driver.edit(status=status)
    driver.settle()
    assert overtakes(driver) == ()


@pytest.mark.parametrize("bound", [-1, 1_001, True, 1.0, "1"])
def test_a_bound_is_a_whole_number_to_a_thousand(bound: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        EventChanges(max_overtakes=bound)
    assert [error.path for error in refused.value.errors] == [("max_overtakes",)]
    assert EventChanges(max_overtakes=1_000).max_overtakes == 1_000


# What has to be loaded.


def test_the_front_of_the_list_is_loaded_where_there_is_a_bound() -> None:
    driver = bounded(3, 1)
    with_a_line(driver, [3])
    type_id = driver.ticket_type.id
    plan = LoadPlan(waiting_lists=(WaitingListQuery(type_id, 2, 3),), fronts=(WaitingListQuery(type_id, None, 3),))
    assert load_plan(driver.stored, {type_id: 2}, NOW) == plan
    paused = replace(driver.stored, event=replace(driver.stored.event, status=EventStatus.PAUSED))
    assert load_plan(paused, {type_id: 2}, NOW) == LoadPlan(fronts=plan.fronts)
    assert load_plan(paused, {}, NOW) == LoadPlan()
    unbounded = replace(driver.stored, event=replace(driver.stored.event, max_overtakes=None))
    assert load_plan(unbounded, {type_id: 2}, NOW).fronts == ()


@pytest.mark.parametrize("is_paused", [False, True])
def test_without_the_front_nothing_is_decided(is_paused: bool) -> None:
    driver = bounded(3, 1)
    taken, line = with_a_line(driver, [3, 1, 2, 1])
    driver.cancel(taken[0])
    driver.cancel(taken[1])
    if is_paused:
        driver.pause()
    inventory = driver.inventory
    lists = {each: replace(found, front=None) for each, found in inventory.waiting_lists.items()}
    command = Cancel(event_id=EVENT_ID, actor=Actor(line[0].customer_id), booking_id=line[0].id)
    decision = cancel(replace(inventory, waiting_lists=lists), command, NOW)
    assert decision.inventory.event.is_unsettled
    assert decision.promoted == 0
    driver.take(decision)
    driver.settle()
    assert not driver.stored.event.is_unsettled
    assert overtakes(driver) == (() if is_paused else (4,))


def test_the_front_follows_what_happens() -> None:
    driver = bounded(3, 1)
    _, line = with_a_line(driver, [3, 1, 2, 1])
    front = WaitingList(tuple(line[:2]), None)
    known = WaitingList((line[1], line[3]), 1, is_whole=True, front=front)
    assert known.first_number == 1
    left = known.without(line[0])
    assert (left.first_number, left.head) == (2, known.head)
    emptied = left.without(line[1])
    assert (emptied.first_number, emptied.head) == (None, (line[3],)), "it was loaded in part"
    assert left.joined_by(line[0]).first_number == 1
    assert WaitingList().first_number is None


def test_what_follows_a_step_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boxoffice.domain.decisions.settle.STEP", 3)
    driver = bounded(9, 5, max_tickets_per_customer=9)
    large = driver.book(ANA, 8)
    driver.book(BEN)
    line = [driver.book(customer(number), 9 if number == 0 else 1) for number in range(9)]
    driver.cancel(large)
    assert driver.stored.event.is_unsettled
    assert sum(confirmed(driver, line)) == len(overtakes(driver)) == 3
    driver.settle()
    assert not driver.stored.event.is_unsettled
    assert sum(confirmed(driver, line)) == len(overtakes(driver)) == 5


# The facts tell the same.


def tampered(driver: DomainDriver, *facts: Fact) -> list[int]:
    replay = EventReplay(EVENT_ID)
    for seq, fact in enumerate((*driver.facts, *facts), start=1):
        replay.apply(replace(fact, seq=seq))
    replay.compare(replace(driver.state, event=replace(driver.state.event, last_seq=replay.seq)))
    return sorted({breach.promise for breach in replay.breaches})


def test_replay_finds_one_overtake_too_many() -> None:
    driver = bounded(3, 1)
    taken, line = with_a_line(driver, [3, 1, 1])
    driver.cancel(taken[0])
    (promotion,) = [each for each in driver.facts if isinstance(each.what, BookingPromoted)]
    driver.cancel(taken[1])
    assert tampered(driver) == []
    assert isinstance(promotion.what, BookingPromoted)
    again = replace(promotion, booking_id=line[2].id, what=replace(promotion.what, queue_number=3))
    assert 5 in tampered(driver, again)
    newcomer = TicketsBooked(
        ticket_type_id=driver.ticket_type.id,
        customer_id=ANA.user_id,
        quantity=1,
        amount=euros(0),
        status=CONFIRMED,
    )
    assert 5 in tampered(driver, replace(promotion, booking_id=UUID(int=1), what=newcomer))


def test_replay_finds_overtakes_and_bounds_that_were_forgotten() -> None:
    driver = bounded(3, 1)
    taken, _ = with_a_line(driver, [3, 1])
    driver.cancel(taken[0])
    replay = EventReplay(EVENT_ID)
    for fact in driver.facts:
        replay.apply(fact)
    event, types = driver.state.event, driver.state.ticket_types
    wrong = (replace(types[0], overtakes=()),)
    replay.compare(replace(driver.state, ticket_types=wrong))
    replay.compare(replace(driver.state, event=replace(event, max_overtakes=2)))
    assert [(each.promise, each.what.split(": ", 1)[1]) for each in replay.breaches] == [
        (7, f"ticket type {types[0].id} has overtakes (), the facts say (2,)"),
        (7, "the bound for overtakes is 2, the facts say 1"),
    ]
    replay.breaches.clear()
    replay.compare(replace(driver.state, event=replace(event, is_unsettled=True), ticket_types=wrong))
    assert replay.breaches == []


# Long lines, beside a count for each waiting booking.


class Counting:
    """Counts by the facts how often each waiting booking was overtaken, and checks each against the bound."""

    def __init__(self, driver: DomainDriver) -> None:
        self.driver = driver
        self.waiting: dict[UUID, int] = {}
        self.counts: dict[UUID, int] = {}
        self.seen = len(driver.facts)

    def follow(self) -> None:
        bound = self.driver.stored.event.max_overtakes
        assert bound is not None
        for fact in self.driver.facts[self.seen :]:
            assert fact.booking_id is not None
            match fact.what:
                case CustomerWaitlisted(quantity=quantity):
                    fits = quantity <= self.driver.ticket_type.available
                    assert not fits or any(count >= bound for count in self.counts.values())
                    self.waiting[fact.booking_id], self.counts[fact.booking_id] = quantity, 0
                case TicketsBooked():
                    self._overtake(list(self.waiting), bound)
                case BookingPromoted():
                    ids = list(self.waiting)
                    self._overtake(ids[: ids.index(fact.booking_id)], bound)
                    self._leave(fact.booking_id)
                case BookingCancelled():
                    self._leave(fact.booking_id)
        self.seen = len(self.driver.facts)
        for booking_id, quantity in self.waiting.items():
            assert quantity > self.driver.ticket_type.available, "it could be served"
            if self.counts[booking_id] >= bound:
                break

    def _overtake(self, passed: list[UUID], bound: int) -> None:
        for each in passed:
            assert self.counts[each] < bound, "once too often"
            self.counts[each] += 1

    def _leave(self, booking_id: UUID) -> None:
        self.waiting.pop(booking_id, None)
        self.counts.pop(booking_id, None)


@settings(max_examples=25, deadline=None)
@given(
    bound=st.integers(0, 5),
    line=st.lists(st.sampled_from([1, 1, 2, 3, 8]), min_size=15, max_size=40),
    deeds=st.lists(
        st.tuples(st.sampled_from(["cancel", "cancel", "cancel", "leave", "book"]), st.integers(0, 999)), max_size=25
    ),
)
def test_in_a_long_line_each_is_passed_as_often_as_allowed(
    bound: int, line: list[int], deeds: list[tuple[str, int]]
) -> None:
    driver = bounded(8, bound)
    with_a_line(driver, [])
    counting = Counting(driver)
    for number, quantity in enumerate(line):
        driver.book(customer(100 + number), quantity)
    counting.follow()
    for number, (deed, which) in enumerate(deeds):
        found = [each for each in driver.bookings.values() if each.status.is_live]
        those = [each for each in found if each.is_waiting is (deed == "leave")]
        if deed == "book":
            driver.book(customer(1_000 + number), 1 + which % 3)
        elif those:
            driver.cancel(those[which % len(those)])
        counting.follow()


def test_settling_a_paused_event_forgets_as_well() -> None:
    driver = bounded(3, 1, starts_at=START)
    taken, line = with_a_line(driver, [3, 1])
    driver.cancel(taken[0])
    driver.now = START
    assert overtakes(driver) == (2,)
    driver.take(settle(driver.inventory, Settle(EVENT_ID), driver.now))
    assert overtakes(driver) == (2,)
    assert driver.status_of(line[0]) == "waitlisted"
