"""What the facts say of the waiting list: what made room, how many were passed over, and who left."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.organize import Edit, EventChanges, edit
from boxoffice.domain.event import EventStatus, WaitingListPolicy
from boxoffice.domain.facts import BookingCancelled, BookingPromoted, Fact, TicketsBooked
from boxoffice.domain.inventory import WaitingList
from boxoffice.domain.replay.booking_replay import replay_booking
from boxoffice.domain.replay.event_replay import EventReplay
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money
from tests.domain.domain_driver import (
    ANA,
    BEN,
    CLEO,
    DAN,
    EVE,
    EVENT_ID,
    NOW,
    ORGANIZER,
    START,
    DomainDriver,
    customer,
    euros,
)

STRICT, FILL = WaitingListPolicy


def promotions(driver: DomainDriver) -> list[BookingPromoted]:
    return [what for what in driver.happened() if isinstance(what, BookingPromoted)]


def causes(driver: DomainDriver) -> list[str]:
    """The kind of the fact that made room for each promotion."""
    return [driver.facts[what.caused_by - 1].kind for what in promotions(driver) if what.caused_by]


Case = Callable[[DomainDriver, list[Booking]], None]


def more_tickets(driver: DomainDriver, _: list[Booking]) -> None:
    driver.edit(total_tickets=5, name="Two more seats")


def another_policy(driver: DomainDriver, booked: list[Booking]) -> None:
    driver.edit(waiting_list_policy=STRICT)
    driver.cancel(booked[0])
    assert promotions(driver) == []
    driver.edit(waiting_list_policy=FILL)


def resuming(driver: DomainDriver, booked: list[Booking]) -> None:
    driver.pause()
    driver.cancel(booked[0])
    driver.resume()


def a_part(driver: DomainDriver, booked: list[Booking]) -> None:
    driver.give_back(booked[1], 1)


def a_smaller_wish(driver: DomainDriver, booked: list[Booking]) -> None:
    driver.cancel(driver.in_line()[1])
    driver.cancel(booked[0])
    assert promotions(driver) == []
    driver.give_back(driver.in_line()[0], 1)


def a_suspension(driver: DomainDriver, booked: list[Booking]) -> None:
    driver.edit(max_overtakes=0)
    driver.cancel(booked[0])
    driver.disable(CLEO)


def a_resumed_account(driver: DomainDriver, booked: list[Booking]) -> None:
    driver.disable(DAN)
    driver.cancel(booked[0])
    driver.enable(DAN)


def a_later_start(driver: DomainDriver, booked: list[Booking]) -> None:
    driver.now = START
    driver.cancel(booked[0], ORGANIZER)
    driver.edit(starts_at=START.replace(month=6))


@pytest.mark.parametrize(
    ("make_room", "kind"),
    [
        (lambda driver, booked: driver.cancel(booked[0]), "BookingCancelled"),
        (a_part, "TicketsReturned"),
        (a_smaller_wish, "TicketsReturned"),
        (more_tickets, "TicketTypeChanged"),
        (another_policy, "EventChanged"),
        (resuming, "EventChanged"),
        (a_later_start, "EventChanged"),
        (a_suspension, "WaitingSuspended"),
        (a_resumed_account, "WaitingResumed"),
        (lambda driver, _: driver.pass_time(minutes=15), "HoldExpired"),
    ],
)
def test_a_promotion_names_the_fact_that_made_room(make_room: Case, kind: str) -> None:
    driver = DomainDriver(
        3, price=euros(20), payment_window_minutes=15, waiting_list_policy=FILL, starts_at=START, max_overtakes=9
    )
    booked = [driver.book(ANA), driver.book(BEN, 2)]
    if kind != "HoldExpired":
        booked = [driver.pay(each) for each in booked]
    driver.book(CLEO, 2)
    driver.book(DAN)
    make_room(driver, booked)
    assert causes(driver)[:1] == [kind]


def test_of_two_causes_at_once_the_last_is_named() -> None:
    driver = DomainDriver(2, price=euros(20), payment_window_minutes=15)
    driver.book(ANA), driver.book(BEN), driver.book(CLEO, 2)
    driver.pass_time(minutes=15)
    (promoted,) = promotions(driver)
    assert [each.kind for each in driver.facts[-3:]] == ["HoldExpired", "HoldExpired", "BookingPromoted"]
    assert promoted.caused_by == driver.facts[-2].seq


@pytest.mark.parametrize("policy", [STRICT, FILL])
def test_the_steps_of_a_long_settling_keep_the_cause_of_each_type(policy: WaitingListPolicy) -> None:
    types = (TicketTypeSpec(name="Seat", total_tickets=1), TicketTypeSpec(name="Box", total_tickets=1))
    driver = DomainDriver(types=types, waiting_list_policy=policy)
    seat, box = driver.ticket_types
    driver.book(ANA, 1, seat)
    in_the_box = driver.book(ANA, 1, box)
    for number in range(501):
        driver.book(customer(number), 1, seat)
    last = driver.book(BEN, 1, box)
    driver.edit_type(seat, total_tickets=502)
    more = driver.facts[-501]
    assert (more.kind, driver.stored.event.is_unsettled) == ("TicketTypeChanged", True)
    assert [each.room_made_by for each in driver.ticket_types] == [more.seq, None]
    driver.cancel(in_the_box)
    assert driver.status_of(last) == "confirmed"
    *_, of_seat, of_box = promotions(driver)
    assert of_seat.caused_by == more.seq
    assert (of_box.caused_by, driver.facts[-3].kind) == (driver.facts[-3].seq, "BookingCancelled")
    assert not driver.stored.event.is_unsettled
    assert [each.room_made_by for each in driver.ticket_types] == [None, None]


def test_what_is_left_of_a_long_settling_is_nothing_once_the_list_is_not_served() -> None:
    driver = DomainDriver(1)
    driver.book(ANA), driver.book(BEN)
    cut_off = replace(driver.inventory, waiting_lists={})
    command = Edit(event_id=EVENT_ID, actor=ORGANIZER, changes=EventChanges(total_tickets=2))
    driver.take(edit(cut_off, command, NOW))
    assert driver.ticket_type.room_made_by == driver.facts[-1].seq
    driver.edit(status=EventStatus.CANCELLED)
    assert driver.ticket_type.room_made_by is None


def test_it_is_counted_how_many_were_passed_over() -> None:
    driver = DomainDriver(6, waiting_list_policy=FILL)
    booked = driver.crowd(6)
    line = [driver.book(who, quantity) for who, quantity in ((ANA, 3), (BEN, 4), (CLEO, 1), (DAN, 4), (EVE, 2))]
    assert {what.passed_over for what in driver.happened() if isinstance(what, TicketsBooked)} == {0}
    driver.cancel(booked[0])
    driver.cancel(booked[1])
    driver.cancel(booked[2])
    assert driver.statuses(*line) == ["waitlisted", "waitlisted", "confirmed", "waitlisted", "confirmed"]
    driver.edit(total_tickets=9)
    passed = [(what.queue_number, what.passed_over) for what in promotions(driver)]
    assert passed == [(3, 2), (5, 3), (1, 0)]
    driver.edit(total_tickets=10)
    driver.book(customer(9))
    assert driver.facts[-1].what.passed_over == 2  # type: ignore[union-attr]


def test_who_leaves_takes_the_queue_number_along() -> None:
    driver = DomainDriver(1)
    first, second, third = driver.book(ANA), driver.book(BEN), driver.book(CLEO)
    driver.cancel(third)
    driver.cancel(first)
    driver.cancel(second)
    left = [what.queue_number for what in driver.happened() if isinstance(what, BookingCancelled)]
    assert left == [2, None, 1]


FACTS_OF_OLD: Final = {
    TicketsBooked: {"passed_over": None},
    BookingPromoted: {"caused_by": None, "passed_over": None},
    BookingCancelled: {"queue_number": None},
}


@pytest.fixture
def overtaking() -> DomainDriver:
    """A single booking is served past a larger one, which leaves."""
    driver = DomainDriver(4, waiting_list_policy=FILL)
    booked = [driver.book(ANA), driver.book(BEN, 3)]
    large = driver.book(CLEO, 2)
    driver.book(DAN)
    driver.cancel(booked[0])
    driver.cancel(large)
    return driver


@pytest.mark.parametrize(
    ("kind", "lie", "found"),
    [
        (BookingPromoted, {"passed_over": 0}, "it tells of 0 bookings that it passed over, not 1"),
        (BookingPromoted, {"caused_by": 3}, "fact 3 is said to have made room, not 6"),
        (TicketsBooked, {"passed_over": 1}, "it tells of 1 bookings that it passed over, not 0"),
        (BookingCancelled, {"queue_number": 2}, "who left is said to have had queue number 2"),
    ],
)
def test_a_replay_finds_what_is_not_true(
    overtaking: DomainDriver, kind: type[Any], lie: dict[str, int], found: str
) -> None:
    (*_, fact) = (each for each in overtaking.facts if isinstance(each.what, kind))
    lied = replace(fact, what=replace(fact.what, **lie))
    breaches = replayed([lied if each is fact else each for each in overtaking.facts])
    assert breaches == [f"5: event {EVENT_ID}, fact {fact.seq}: {found}"]


def test_facts_of_old_say_nothing_of_it(overtaking: DomainDriver) -> None:
    old = [replace(each, what=replace(each.what, **FACTS_OF_OLD.get(type(each.what), {}))) for each in overtaking.facts]
    assert replayed(old) == []


def test_a_booking_leaves_with_its_own_queue_number(overtaking: DomainDriver) -> None:
    *earlier, left = (each for each in overtaking.facts if each.booking_id == overtaking.facts[-1].booking_id)
    assert replay_booking([*earlier, left]) is not None
    assert replay_booking([*earlier, replace(left, what=replace(left.what, queue_number=None))]) is not None
    assert replay_booking([*earlier, replace(left, what=replace(left.what, queue_number=2))]) is None


def replayed(facts: list[Fact]) -> list[str]:
    replay = EventReplay(EVENT_ID)
    for fact in facts:
        replay.apply(fact)
    return [f"{each.promise}: {each.what}" for each in replay.breaches]


def test_nobody_is_promoted_before_it_is_known_how_many_are_passed_over() -> None:
    driver = DomainDriver(2, waiting_list_policy=FILL)
    holder = driver.book(ANA)
    driver.book(BEN), driver.book(CLEO, 2)
    small = driver.bookings[driver.book(DAN).id]
    line = WaitingList((small,), 1, is_whole=True, skipped=(None,))
    command = Cancel(event_id=EVENT_ID, actor=ANA, booking_id=holder.id)
    for skipped, promoted in (((None,), 0), ((1,), 1)):
        known = {driver.ticket_type.id: replace(line, skipped=skipped)}
        decision = cancel(replace(driver.inventory, waiting_lists=known), command, NOW)
        assert (decision.promoted, decision.inventory.event.is_unsettled) == (promoted, not promoted)


LARGEST: Final = 4


@given(st.data())
def test_a_loaded_list_counts_those_that_were_not_loaded(data: st.DataObject) -> None:
    """However bookings join and leave, it knows how many wait before one, unless a suspended one has come back."""
    sizes = data.draw(st.lists(st.integers(1, LARGEST), min_size=1, max_size=6))
    line = [waiting(number, size) for number, size in enumerate(sizes, 1)]
    apart = {each.queue_number: each for each in line if data.draw(st.booleans())}
    line = [each for each in line if each.queue_number not in apart]
    fitting, limit = data.draw(st.integers(1, LARGEST)), data.draw(st.integers(1, 6))
    found = [(place, each) for place, each in enumerate(line) if each.quantity <= fitting][:limit]
    skipped = tuple(place - index for index, (place, _) in enumerate(found))
    loaded = WaitingList(tuple(each for _, each in found), fitting, len(found) < limit, skipped if any(skipped) else ())
    unknown: set[int | None] = set()
    for _ in range(data.draw(st.integers(1, 5))):
        last = 1 + max([each.queue_number or 0 for each in line], default=len(sizes))
        newcomer = waiting(max(last, len(sizes) + 1), data.draw(st.integers(1, LARGEST)))
        move = data.draw(st.sampled_from(["join", *["leave"] * bool(line), *["return"] * bool(apart)]))
        if move == "join":
            loaded, line = loaded.joined_by(newcomer, len(line)), [*line, newcomer]
        elif move == "leave":
            left = data.draw(st.sampled_from(line))
            loaded, line = loaded.without(left), [each for each in line if each is not left]
        else:
            number, back = apart.popitem()
            unknown.add(number)
            loaded, line = loaded.joined_by(back), sorted([*line, back], key=lambda each: each.queue_number or 0)
        for each in loaded.head:
            may_be_unknown = (None,) if each.queue_number in unknown else ()
            assert loaded.number_before(each) in (line.index(each), *may_be_unknown)


def waiting(number: int, quantity: int) -> Booking:
    return Booking(
        id=customer(number).user_id,
        event_id=EVENT_ID,
        ticket_type_id=EVENT_ID,
        customer_id=Actor(customer(number).user_id).user_id,
        quantity=quantity,
        status=BookingStatus.WAITLISTED,
        amount=Money(0, "EUR"),
        queue_number=number,
        created_at=NOW,
        updated_at=NOW,
    )
