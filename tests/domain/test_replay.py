"""Replaying facts: a correct history breaks no promise, and every tampering is found."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import Struct
from msgspec.structs import fields, replace

from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.decisions.book import Book, OtherCustomer, book
from boxoffice.domain.event import EventStatus, LogMode, WaitingListMode, WaitingListPolicy
from boxoffice.domain.facts import (
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    EventChanged,
    Fact,
    FactPayload,
    TicketsBooked,
    TicketTypeChanged,
)
from boxoffice.domain.replay.booking_replay import replay_booking
from boxoffice.domain.replay.event_replay import EventReplay
from boxoffice.domain.tickets.ticket_type import EventState
from tests.domain.domain_driver import ANA, BEN, CLEO, DAN, EVE, EVENT_ID, FAY, NOW, ORGANIZER, DomainDriver, euros

STRICT, FILL = WaitingListPolicy


def follow(facts: list[Fact]) -> EventReplay:
    """A replay of these facts."""
    replay = EventReplay(EVENT_ID)
    for fact in facts:
        replay.apply(fact)
    return replay


def with_default(values: Struct) -> set[str]:
    """The fields that have their default."""
    return {field.name for field in fields(values) if getattr(values, field.name) == field.default}


def renumbered(facts: list[Fact]) -> list[Fact]:
    """The same facts numbered without gaps."""
    return [replace(fact, seq=number) for number, fact in enumerate(facts, start=1)]


def promises(replay: EventReplay) -> set[int]:
    """The promises that it found broken."""
    return {breach.promise for breach in replay.breaches}


def stored(driver: DomainDriver, **changes: Any) -> EventState:
    """The stored event with some of it changed."""
    return EventState(event=replace(driver.state.event, **changes), ticket_types=driver.ticket_types)


def with_type(state: EventState, **changes: Any) -> EventState:
    """An event whose first ticket type was changed."""
    return replace(state, ticket_types=(replace(state.ticket_types[0], **changes), *state.ticket_types[1:]))


@pytest.fixture
def driver() -> DomainDriver:
    """An event with each kind of fact, under both policies."""
    driver = DomainDriver(4, price=euros(10))
    holder = driver.book(ANA, 3)
    driver.book(BEN, 2)
    driver.book(CLEO, 1)
    leaver = driver.book(DAN, 1)
    driver.book(EVE, 1)
    driver.cancel(leaver)
    driver.cancel(holder)
    driver.edit(waiting_list_policy=FILL, total_tickets=5, venue="Cellar")
    driver.book(FAY, 2)
    driver.add_type("Standing", 2)
    driver.pause()
    return driver


def test_a_correct_history_breaks_no_promise(driver: DomainDriver) -> None:
    replay = follow(driver.facts)
    replay.compare(driver.state)
    assert replay.breaches == []
    assert replay.seq == len(driver.facts)


def test_a_missing_or_repeated_fact_is_a_gap(driver: DomainDriver) -> None:
    facts = driver.facts
    for index in range(11):
        assert 7 in promises(follow(facts[:index] + facts[index + 1 :]))
    assert 7 in promises(follow([*facts[:3], facts[2], *facts[3:]]))


def test_a_fact_of_an_unknown_type_is_a_breach(driver: DomainDriver) -> None:
    nowhere = UUID(int=4)
    for fact in driver.facts:
        if hasattr(fact.what, "ticket_type_id") and fact.kind != "TicketTypeAdded":
            what: Any = fact.what
            replay = follow(driver.facts[: fact.seq - 1])
            replay.apply(replace(fact, what=replace(what, ticket_type_id=nowhere)))
            assert 7 in promises(replay)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda state: replace(state, event=replace(state.event, last_seq=state.event.last_seq + 1)),
        lambda state: replace(state, event=replace(state.event, status=EventStatus.ON_SALE)),
        lambda state: replace(state, event=replace(state.event, currency="USD")),
        lambda state: replace(state, event=replace(state.event, waiting_list=WaitingListMode.OFF)),
        lambda state: replace(state, event=replace(state.event, log=LogMode.PUBLIC)),
        lambda state: replace(state, event=replace(state.event, was_published=False)),
        lambda state: replace(state, event=replace(state.event, reschedules=7)),
        lambda state: replace(state, ticket_types=state.ticket_types[:1]),
        lambda state: with_type(state, taken=2),
        lambda state: with_type(state, waiting=0),
        lambda state: with_type(state, waiting_tickets=9),
        lambda state: with_type(state, total_tickets=9),
    ],
    ids=[
        "facts",
        "status",
        "currency",
        "mode",
        "log",
        "published",
        "reschedules",
        "type",
        "taken",
        "waiting",
        "tickets",
        "total",
    ],
)
def test_what_is_stored_must_be_what_the_facts_say(
    driver: DomainDriver, tamper: Callable[[EventState], EventState]
) -> None:
    replay = follow(driver.facts)
    replay.compare(tamper(driver.state))
    assert promises(replay) == {7}


@pytest.mark.parametrize(
    "is_left_out",
    [
        lambda what: isinstance(what, TicketsBooked),
        lambda what: isinstance(what, CustomerWaitlisted),
        lambda what: isinstance(what, BookingPromoted),
        lambda what: isinstance(what, BookingCancelled),
        lambda what: isinstance(what, TicketTypeChanged) and "totalTickets" in what.changes,
        lambda what: isinstance(what, EventChanged) and "status" in what.changes,
    ],
    ids=["booked", "waitlisted", "promoted", "cancelled", "tickets", "status"],
)
def test_a_fact_that_was_left_out_shows_in_what_is_stored(
    driver: DomainDriver, is_left_out: Callable[[object], bool]
) -> None:
    left_out = next(fact for fact in driver.facts if is_left_out(fact.what))
    replay = follow(renumbered([fact for fact in driver.facts if fact is not left_out]))
    replay.compare(stored(driver, last_seq=replay.seq))
    assert 7 in promises(replay)


def _changed(fact: Fact, **changes: Any) -> Fact:
    what: Any = fact.what
    return replace(fact, what=replace(what, **changes))


@pytest.mark.parametrize("status", [EventStatus.PAUSED, EventStatus.COMPLETED, EventStatus.CANCELLED])
def test_tickets_booked_while_not_on_sale_are_a_breach(status: EventStatus) -> None:
    driver = DomainDriver(2)
    driver.book(ANA)
    driver.edit(status=status)
    booked, edited = driver.facts[1:3]
    replay = follow(renumbered([driver.facts[0], edited, booked]))
    assert promises(replay) == {5}


def test_a_newcomer_who_got_tickets_that_a_waiting_booking_could_have_had_is_a_breach() -> None:
    driver = DomainDriver(3, waiting_list_policy=FILL)
    driver.book(ANA, 2)
    driver.book(BEN, 2)
    driver.book(CLEO)
    initialized, first, waitlisted, newcomer = driver.facts
    assert promises(follow(driver.facts)) == set()
    assert promises(follow([initialized, first, _changed(waitlisted, quantity=1), newcomer])) == {5}
    what: Any = initialized.what
    strict = _changed(initialized, values={**what.values, "waitingListPolicy": "strict"})
    assert promises(follow([strict, first, waitlisted, newcomer])) == {5}


def test_a_customer_who_joined_a_waiting_list_that_was_off_is_a_breach() -> None:
    driver = DomainDriver(1)
    driver.book(ANA)
    driver.book(BEN)
    driver.edit(waiting_list=WaitingListMode.OFF)
    initialized, booked, waitlisted, off = driver.facts
    assert promises(follow(driver.facts)) == set()
    assert promises(follow(renumbered([initialized, booked, off, waitlisted]))) == {5}


def _served_in_turn(policy: WaitingListPolicy, *quantities: int) -> list[Fact]:
    driver = DomainDriver(9, waiting_list_policy=policy)
    holder = driver.book(ANA, 9)
    for who, quantity in zip([BEN, CLEO, DAN], quantities, strict=False):
        driver.book(who, quantity)
    driver.cancel(holder)
    return driver.facts


def _swap(facts: list[Fact]) -> list[Fact]:
    """The last two promotions in reverse order, as old facts, which do not say how many they passed over."""
    old = [replace(fact, what=replace(fact.what, passed_over=None)) for fact in reversed(facts[-2:])]
    return renumbered([*facts[:-2], *old])


@pytest.mark.parametrize(
    ("policy", "quantities", "is_breach"),
    [(STRICT, (2, 2), True), (FILL, (2, 2), True), (STRICT, (2, 3), True), (FILL, (2, 3), False)],
)
def test_only_under_fill_and_by_another_size_a_waiting_booking_is_overtaken(
    policy: WaitingListPolicy, quantities: tuple[int, int], is_breach: bool
) -> None:
    facts = _served_in_turn(policy, *quantities)
    assert promises(follow(facts)) == set()
    swapped = follow(_swap(facts))
    assert promises(swapped) == ({5} if is_breach else set())
    assert any("overtaken" in breach.what for breach in swapped.breaches) is (policy is STRICT)


def test_an_unknown_kind_of_fact_is_refused() -> None:
    fact: Any = replace(DomainDriver().facts[0], what=FactPayload())
    with pytest.raises(TypeError, match="FactPayload"):
        EventReplay(EVENT_ID).apply(fact)


# One booking's facts.


def of(driver: DomainDriver, booking: Booking) -> list[Fact]:
    """The facts of a booking."""
    return [fact for fact in driver.facts if fact.booking_id == booking.id]


@pytest.fixture
def waited() -> tuple[DomainDriver, Booking]:
    """A booking that waited, was promoted an hour later and cancelled after another hour."""
    driver = DomainDriver(1, price=euros(10))
    holder, waiting = driver.book(ANA), driver.book(BEN)
    driver.now += timedelta(hours=1)
    driver.cancel(holder)
    driver.now += timedelta(hours=1)
    driver.cancel(waiting)
    return driver, waiting


def test_a_bookings_facts_add_up_to_it_at_every_moment(waited: tuple[DomainDriver, Booking]) -> None:
    driver, booking = waited
    facts = of(driver, booking)
    assert replay_booking(facts[:1]) == replace(booking, place=None)
    served = replay_booking(facts[:2])
    assert served == replace(
        booking,
        place=None,
        status=BookingStatus.CONFIRMED,
        payment_status=PaymentStatus.DUE,
        updated_at=NOW + timedelta(hours=1),
    )
    assert replay_booking(facts) == replace(driver.bookings[booking.id], first_ticket_number=None)


@pytest.mark.parametrize("order", [[], [1], [2], [0, 0], [1, 0], [0, 1, 1], [0, 2], [0, 1, 2, 2], [0, 1, 2, 1], [2, 0]])
def test_facts_that_make_no_sense_add_up_to_nothing(waited: tuple[DomainDriver, Booking], order: list[int]) -> None:
    driver, booking = waited
    facts = of(driver, booking)
    assert replay_booking([facts[index] for index in order]) is None


def test_facts_of_other_bookings_or_of_another_status_add_up_to_nothing(waited: tuple[DomainDriver, Booking]) -> None:
    driver, booking = waited
    facts = of(driver, booking)
    assert replay_booking(driver.facts) is None
    assert replay_booking([replace(facts[0], booking_id=None)]) is None
    assert replay_booking([*facts[:2], _changed(facts[2], was=BookingStatus.WAITLISTED)]) is None


@pytest.mark.parametrize("waits", [False, True])
def test_the_first_fact_carries_all_that_a_booking_begins_with(waits: bool) -> None:
    """No field may have its default here, because one that a fact or its replay forgets would go unnoticed."""
    driver = DomainDriver(
        3,
        price=euros(10),
        starts_at=NOW + timedelta(days=9),
        cancellation_deadline_hours=48,
        refund_fee_percent=20,
        payment_window_minutes=30,
    )
    driver.edit(starts_at=NOW + timedelta(days=7))
    if waits:
        driver.book(BEN, 2)
    command = Book(
        booking_id=driver.new_id(),
        event_id=EVENT_ID,
        actor=ORGANIZER,
        quantity=2,
        ticket_type_id=driver.ticket_types[0].id,
        on_behalf_of=OtherCustomer(ANA.user_id),
        only_if_available=not waits,
    )
    booking = driver.take(book(driver.inventory, command, driver.now))
    fact = driver.facts[-1]
    assert isinstance(fact.what, CustomerWaitlisted if waits else TicketsBooked)
    assert with_default(command) == {"complimentary", *(["only_if_available"] if waits else [])}, "they only decide how"
    assert with_default(fact.what) == set()
    assert replay_booking([fact]) == replace(booking, place=None)
