"""Explanations: the first reason that holds, in words that a customer understands, and what happened since joining."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from boxoffice.domain.booking import Booking, Place
from boxoffice.domain.decisions.organize import Edit, EventChanges, edit
from boxoffice.domain.event import EventStatus, WaitingListPolicy
from boxoffice.domain.explanations import line_history
from boxoffice.domain.explanations.chance import HIGHEST, LEAST_BASIS, chance_from, sale_began
from boxoffice.domain.explanations.explanation import Explained, Explanation, explain
from boxoffice.domain.explanations.line_history import LineHistory, LineMove, MoveKind, Returned, Since, move_of
from boxoffice.domain.facts import BookingCancelled
from tests.domain.domain_driver import (
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
    DomainDriver,
    customer,
    euros,
)
from tests.domain.test_drawing import DrawDriver

STRICT, FILL = WaitingListPolicy


def explained(driver: DomainDriver, booking: Booking) -> Explanation:
    """The explanation of a booking, from all facts."""
    current = driver.bookings[booking.id]
    line = [each for each in driver.in_line() if each.ticket_type_id == current.ticket_type_id]
    if current in line:
        ahead = line[: line.index(current)]
        current = replace(current, place=Place(len(ahead) + 1, sum(each.quantity for each in ahead)))
    history = LineHistory()
    numbers = {each.id: each.queue_number for each in driver.bookings.values()}
    moves = [
        move_of(each.seq, each.what, numbers[each.booking_id] if each.booking_id else None) for each in driver.facts
    ]
    history.extend([each for each in moves if each is not None], len(driver.facts))
    found = Explained(
        booking=current,
        event=driver.stored.event,
        ticket_type=next(each for each in driver.ticket_types if each.id == current.ticket_type_id),
        facts=tuple(each for each in driver.facts if each.booking_id == booking.id),
    )
    return explain(found, history, driver.now)


Scene = Callable[[], tuple[DomainDriver, Booking]]


def at_once() -> tuple[DomainDriver, Booking]:
    driver = DomainDriver(3)
    return driver, driver.book(ANA, 2)


def paid_after_a_hold() -> tuple[DomainDriver, Booking]:
    driver = DomainDriver(3, price=euros(20), payment_window_minutes=15)
    return driver, driver.pay(driver.book(ANA, 1))


def promoted() -> tuple[DomainDriver, Booking]:
    driver = DomainDriver(1)
    first, second = driver.book(ANA), driver.book(BEN)
    driver.cancel(first)
    return driver, second


def behind_others(policy: WaitingListPolicy, *quantities: int) -> Scene:
    def scene() -> tuple[DomainDriver, Booking]:
        driver = DomainDriver(4, waiting_list_policy=policy)
        driver.book(ANA, 4)
        for number, quantity in enumerate(quantities):
            driver.book(customer(number), quantity)
        return driver, driver.book(BEN, 2)

    return scene


def for_its_size(policy: WaitingListPolicy, free: int, *ahead: int) -> Scene:
    def scene() -> tuple[DomainDriver, Booking]:
        driver = DomainDriver(4, waiting_list_policy=policy)
        holder = driver.book(ANA, 4)
        for number, quantity in enumerate(ahead):
            driver.book(customer(number), quantity)
        waiting = driver.book(BEN, 3)
        if free:
            driver.give_back(holder, free)
        return driver, waiting

    return scene


def blocked(**details: Any) -> Scene:
    def scene() -> tuple[DomainDriver, Booking]:
        driver = DomainDriver(4, **details)
        holder = driver.book(ANA, 4)
        driver.book(CLEO, 3)
        waiting = driver.book(BEN, 1)
        driver.give_back(holder, 2)
        return driver, waiting

    return scene


def in_a_moment() -> tuple[DomainDriver, Booking]:
    driver = DomainDriver(1)
    driver.book(ANA)
    waiting = driver.book(BEN)
    command = Edit(event_id=EVENT_ID, actor=ORGANIZER, changes=EventChanges(total_tickets=3))
    driver.take(edit(replace(driver.inventory, waiting_lists={}), command, NOW))
    return driver, waiting


def not_served(change: Callable[[DomainDriver], object]) -> Scene:
    def scene() -> tuple[DomainDriver, Booking]:
        driver = DomainDriver(1, starts_at=START)
        driver.book(ANA)
        waiting = driver.book(BEN)
        change(driver)
        return driver, waiting

    return scene


def it_begins(driver: DomainDriver) -> None:
    driver.now = START


def held() -> tuple[DomainDriver, Booking]:
    driver = DomainDriver(3, price=euros(20), payment_window_minutes=15, time_zone="Europe/Berlin")
    return driver, driver.book(ANA, 2)


def lapsed(*, is_settled: bool) -> Scene:
    def scene() -> tuple[DomainDriver, Booking]:
        driver, booking = held()
        if is_settled:
            driver.pass_time(minutes=15)
        else:
            driver.now += timedelta(minutes=15)
        return driver, booking

    return scene


def cancelled(by: Any, quantity: int = 2) -> Scene:
    def scene() -> tuple[DomainDriver, Booking]:
        driver = DomainDriver(3)
        booking = driver.book(ANA, quantity)
        driver.cancel(booking, by)
        return driver, booking

    return scene


def closed(status: EventStatus) -> Scene:
    def scene() -> tuple[DomainDriver, Booking]:
        driver = DomainDriver(1)
        driver.book(ANA)
        waiting = driver.book(BEN)
        driver.edit(status=status)
        driver.settle()
        return driver, waiting

    return scene


def a_gift() -> tuple[DomainDriver, Booking]:
    driver = DomainDriver(3)
    return driver, driver.give(ANA, 2)


SCENES: Final[list[tuple[Scene, str, str]]] = [
    (at_once, "confirmed-at-once", "Enough tickets were free when this booking of 2 tickets was made"),
    (paid_after_a_hold, "confirmed-at-once", "this booking of 1 ticket was made"),
    (promoted, "promoted", "got its 1 ticket when its turn came"),
    (a_gift, "granted", "The organizer gave 2 tickets away"),
    (
        behind_others(STRICT, 1),
        "waiting-behind-others",
        "No tickets are free; 1 booking for 1 ticket stands before this one, and the waiting list is served strictly",
    ),
    (
        behind_others(FILL, 1, 2),
        "waiting-behind-others",
        "No tickets are free; 2 bookings for 3 tickets stand before this one, and whoever is first of those",
    ),
    (for_its_size(STRICT, 0), "waiting-for-its-size", "No tickets are free, but this booking needs 3 tickets at once"),
    (for_its_size(STRICT, 1), "waiting-for-its-size", "1 ticket is free, but this booking needs 3 tickets at once"),
    (for_its_size(STRICT, 2, 4), "waiting-behind-others", "2 tickets are free; 1 booking for 4 tickets stands before"),
    (for_its_size(FILL, 2, 4), "waiting-for-its-size", "2 tickets are free, but this booking needs 3 tickets at once"),
    (
        blocked(),
        "blocked-by-bigger-group",
        "2 tickets are free, enough for this booking of 1 ticket, but the first one needs more",
    ),
    (
        blocked(waiting_list_policy=FILL, max_overtakes=0),
        "blocked-by-bigger-group",
        "2 tickets are free, enough for this booking of 1 ticket, but the first one needs more",
    ),
    (in_a_moment, "blocked-by-bigger-group", "2 tickets are free, enough for this booking of 1 ticket; the waiting"),
    (not_served(lambda driver: driver.pause()), "not-served-now", "The sale is paused"),
    (not_served(it_begins), "not-served-now", "The event has begun"),
    (not_served(lambda driver: driver.disable(BEN)), "not-served-now", "while its customer's account is disabled"),
    (not_served(lambda driver: driver.edit(status=EventStatus.COMPLETED)), "not-served-now", "The event is completed"),
    (held, "held", "held until 2027-01-01 13:15 (Europe/Berlin)"),
    (lapsed(is_settled=True), "hold-lapsed", "This booking of 2 tickets was not paid in time"),
    (lapsed(is_settled=False), "hold-lapsed", "This booking of 2 tickets was not paid in time"),
    (cancelled(ANA), "cancelled-by-customer", "cancelled by its customer"),
    (cancelled(ORGANIZER, 1), "cancelled-by-organizer", "This booking of 1 ticket was cancelled by the organizer"),
    (closed(EventStatus.CANCELLED), "event-cancelled", "The event was cancelled"),
    (closed(EventStatus.COMPLETED), "event-cancelled", "The event was completed"),
]


@pytest.mark.parametrize(("scene", "code", "words"), SCENES)
def test_a_booking_stands_where_it_stands_for_the_first_reason_that_holds(scene: Scene, code: str, words: str) -> None:
    driver, booking = scene()
    found = explained(driver, booking)
    assert (found.code.value, found.policy) == (code, driver.stored.event.waiting_list_policy)
    assert found.status is driver.bookings[booking.id].as_of(driver.now).status
    assert words in found.sentence
    assert found.sentence.endswith(".")
    assert 10 <= len(found.sentence) <= 400


def test_a_place_is_told_while_it_waits() -> None:
    driver, booking = behind_others(STRICT, 1, 2)()
    found = explained(driver, booking)
    assert (found.position, found.tickets_ahead, found.chance) == (3, 3, None)
    driver.disable(BEN)
    found = explained(driver, booking)
    assert (found.position, found.tickets_ahead, found.chance) == (None, None, None)


def test_what_happened_since_joining_is_counted_and_stays() -> None:
    driver = DomainDriver(6, waiting_list_policy=FILL)
    booked = driver.crowd(6)
    line = [driver.book(who, quantity) for who, quantity in ((ANA, 1), (BEN, 4), (CLEO, 3), (DAN, 1))]
    waiting = line[2]
    assert explained(driver, waiting).since == Since()
    driver.cancel(booked[0])
    driver.cancel(booked[1])
    assert explained(driver, waiting).since == Since(served=1, overtook=1)
    driver.cancel(line[1])
    driver.cancel(booked[2])
    driver.book(EVE)
    assert explained(driver, waiting).since == Since(served=1, left=1, overtook=2)
    driver.edit(total_tickets=7)
    driver.give(FAY)
    assert explained(driver, waiting).since == Since(served=1, left=1, overtook=2, granted=1)
    driver.edit(total_tickets=11)
    assert driver.status_of(waiting) == "confirmed"
    driver.book(customer(99))
    driver.cancel(waiting)
    assert explained(driver, waiting).since == Since(served=1, left=1, overtook=2, granted=1)
    assert explained(driver, line[0]).since == Since()
    assert explained(driver, booked[5]).since == Since()


def test_a_wait_that_was_given_up_keeps_its_numbers() -> None:
    driver = DomainDriver(1)
    first, second, third = driver.book(ANA), driver.book(BEN), driver.book(CLEO)
    driver.cancel(first)
    driver.cancel(third)
    driver.cancel(second)
    assert explained(driver, third).since == Since(served=1)


def test_a_hold_that_is_paid_late_overtakes_too() -> None:
    driver = DomainDriver(3, price=euros(20), payment_window_minutes=15, waiting_list_policy=FILL)
    late = driver.book(ANA)
    driver.pay(driver.book(BEN, 2))
    waiting = driver.book(CLEO, 3)
    driver.pass_time(minutes=15)
    driver.pay(late)
    assert explained(driver, waiting).since == Since(overtook=1)


def test_old_facts_are_counted_by_the_queue_number_of_their_booking() -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    driver.cancel(driver.book(BEN))
    cancelled = driver.facts[-1]
    assert isinstance(cancelled.what, BookingCancelled)
    old = replace(cancelled.what, queue_number=None)
    assert move_of(4, old, 1) == move_of(4, cancelled.what, None)


# Draws.


def test_an_entry_of_a_draw_has_neither_a_place_nor_a_history_before_it_is_drawn() -> None:
    driver = DrawDriver(1)
    gone = driver.book(DAN)
    line = [driver.book(who) for who in (ANA, BEN, CLEO)]
    driver.cancel(gone)
    found = explained(driver, line[2])
    assert (found.code.value, found.position, found.since) == ("not-served-now", None, Since())
    assert "still to be drawn" in found.sentence
    driver.draw(line[2], line[1], line[0])
    late = driver.book(EVE)
    assert [explained(driver, each).code.value for each in line] == [
        "waiting-behind-others",
        "waiting-for-its-size",
        "promoted",
    ]
    driver.cancel(line[1])
    driver.cancel(line[2])
    assert explained(driver, line[2]).since == Since()
    assert explained(driver, line[0]).since == Since(served=1, left=1)
    assert explained(driver, late).since == Since(left=1, served=1)
    assert explained(driver, gone).since == Since()


# The history.


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_history, "_BLOCK", 3)


_KINDS: Final = (MoveKind.SERVED, MoveKind.LEFT, MoveKind.NEWCOMER, MoveKind.GRANTED)
_moves = st.lists(st.tuples(st.sampled_from(_KINDS), st.integers(1, 20)), max_size=20)


@pytest.mark.usefixtures("small_blocks")
def test_blocks_of_moves_give_what_single_moves_give() -> None:
    @given(moves=_moves, number=st.integers(0, 21), after=st.integers(0, 45), wait=st.integers(0, 45))
    def check(moves: list[tuple[MoveKind, int]], number: int, after: int, wait: int) -> None:
        listed = [LineMove(2 * seq, EVENT_ID, kind, each, 1) for seq, (kind, each) in enumerate(moves, 1)]
        history = LineHistory()
        history.extend(listed, 50)
        until = after + wait
        seen = [each for each in listed if after < each.seq < until]

        def count(kind: MoveKind, *, is_ahead: bool) -> int:
            return sum(each.kind is kind and ((each.queue_number or 0) < number) is is_ahead for each in seen)

        newcomers = sum(each.kind is MoveKind.NEWCOMER for each in seen)
        assert history.since(EVENT_ID, number, after, until) == Since(
            served=count(MoveKind.SERVED, is_ahead=True),
            left=count(MoveKind.LEFT, is_ahead=True),
            overtook=count(MoveKind.SERVED, is_ahead=False) + newcomers,
            granted=sum(each.kind is MoveKind.GRANTED for each in seen),
        )

    check()


@pytest.mark.usefixtures("small_blocks")
def test_whole_blocks_are_counted_together() -> None:
    history = LineHistory()
    history.extend([LineMove(seq, EVENT_ID, MoveKind.SERVED, 9 - seq, 1) for seq in range(1, 9)], 8)
    assert history.since(EVENT_ID, 4, 0, 9) == Since(served=3, overtook=5)
    assert history.since(EVENT_ID, 4, 1, 8) == Since(served=2, overtook=4)


def test_of_a_type_without_moves_nothing_is_known() -> None:
    history = LineHistory()
    assert history.since(EVENT_ID, 1, 0, 9) == Since()
    assert history.returned(EVENT_ID, 9) == Returned()


# Chances.

BEGAN: Final = NOW - timedelta(days=10)


def chances(returned: Returned, starts_in: float | None = 10, needs: range = range(1, 60)) -> Iterator[int]:
    starts_at = None if starts_in is None else NOW + timedelta(days=starts_in)
    for needed in needs:
        chance = chance_from(BEGAN, starts_at, needed, returned, NOW)
        assert chance is not None
        assert chance.basis == returned.tickets
        yield chance.percent


def test_without_ten_tickets_that_came_back_there_is_no_chance() -> None:
    assert chance_from(BEGAN, None, 1, Returned(LEAST_BASIS - 1, 9), NOW) is None
    assert chance_from(BEGAN, None, 1, Returned(LEAST_BASIS, 10), NOW) is not None


def test_the_half_of_those_whom_as_many_tickets_serve_as_came_back_has_half_a_chance() -> None:
    (percent,) = chances(Returned(20, 20), needs=range(20, 21))
    assert 45 <= percent <= 55
    assert list(chances(Returned(20, 10), needs=range(20, 21))) == list(chances(Returned(10, 10), needs=range(10, 11)))


@given(
    tickets=st.integers(10, 100_000),
    occasions=st.integers(1, 100_000),
    starts_in=st.none() | st.floats(-1, 400),
    needs=st.integers(-5, 100_000),
)
def test_who_stands_further_back_never_has_a_higher_chance(
    tickets: int, occasions: int, starts_in: float | None, needs: int
) -> None:
    returned = Returned(tickets, min(tickets, occasions))
    percents = list(chances(returned, starts_in, range(needs, needs + 3)))
    assert percents == sorted(percents, reverse=True)
    assert all(0 <= each <= HIGHEST for each in percents)


def test_the_chance_grows_with_the_time_left_and_ends_with_the_start() -> None:
    by_time = [next(chances(Returned(20, 20), days, range(15, 16))) for days in (0, 1, 5, 10, 20, 200, 5_000)]
    assert by_time == sorted(by_time)
    assert (by_time[0], by_time[-1]) == (0, HIGHEST)
    assert next(chances(Returned(20, 20), None)) == next(chances(Returned(20, 20), 10))
    assert list(chances(Returned(20, 20), 0, range(2))) == [HIGHEST, 0], "enough are free"
    assert list(chances(Returned(10, 10), 10, range(1_000_000, 1_000_001))) == [0]


def test_time_counts_from_when_the_sale_began() -> None:
    event = DomainDriver(1).stored.event
    assert sale_began(event) == event.created_at
    assert sale_began(replace(event, sales_open_at=START)) == START
    assert sale_began(replace(event, sales_open_at=NOW - timedelta(days=1))) == event.created_at


def test_the_chance_follows_from_the_tickets_of_the_type_that_came_back() -> None:
    driver = DomainDriver(20, starts_at=NOW + timedelta(days=12))
    booked = driver.crowd(20)
    driver.pass_time(days=10)
    for each in booked[:9]:
        driver.cancel(each)
    driver.edit(total_tickets=11)
    waiting = [driver.book(customer(100 + number), 2) for number in range(3)]
    assert explained(driver, waiting[0]).chance is None
    driver.give_back(waiting[1], 1)
    driver.cancel(driver.bookings[booked[10].id])
    chance = [explained(driver, each).chance for each in waiting]
    found = [(each.percent, each.basis) for each in chance if each is not None]
    assert [basis for _, basis in found] == [10, 10, 10]
    first, second, third = [percent for percent, _ in found]
    assert HIGHEST > first > second > third > 0
