"""Replaying facts: an honest history breaks no promise, and whatever is tampered with is found."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.event import EventState, EventStatus, TicketTypeSpec, WaitingListPolicy
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
from boxoffice.domain.replay import Breach, EventReplay, replay_booking
from tests.domain.office import ANA, BEN, CLEO, DAN, EVE, EVENT_ID, FAY, NOW, Office, euros

FILL = WaitingListPolicy.FILL


def follow(facts: list[Fact]) -> EventReplay:
    """A replay of these facts."""
    replay = EventReplay(EVENT_ID)
    for fact in facts:
        replay.apply(fact)
    return replay


def renumbered(facts: list[Fact]) -> list[Fact]:
    """The same happenings without gaps."""
    return [replace(fact, seq=number) for number, fact in enumerate(facts, start=1)]


def promises(replay: EventReplay) -> set[int]:
    """The promises that it found broken."""
    return {breach.promise for breach in replay.breaches}


def told(office: Office, **changes: Any) -> EventState:
    """What is stored, with some of it changed."""
    return EventState(event=replace(office.state.event, **changes), ticket_types=office.ticket_types)


@pytest.fixture
def office() -> Office:
    """An event that has seen everything once, under both policies."""
    office = Office(4, price=euros(10))
    holder = office.book(ANA, 3)
    office.book(BEN, 2)
    office.book(CLEO, 1)
    leaver = office.book(DAN, 1)
    office.book(EVE, 1)
    office.cancel(leaver)
    office.cancel(holder)
    office.edit(waiting_list_policy=FILL, total_tickets=5, venue="Cellar")
    office.book(FAY, 2)
    office.add_type("Standing", 2)
    office.pause()
    return office


def test_an_honest_history_breaks_no_promise(office: Office) -> None:
    replay = follow(office.facts)
    replay.compare(office.state)
    assert replay.breaches == []
    assert replay.seq == len(office.facts)


@pytest.mark.parametrize("index", range(1, 11))
def test_a_missing_fact_is_a_gap(office: Office, index: int) -> None:
    assert 7 in promises(follow(office.facts[:index] + office.facts[index + 1 :]))


def test_a_missing_first_fact_is_a_gap_too(office: Office) -> None:
    assert 7 in promises(follow(office.facts[1:]))


def test_a_fact_told_twice_is_seen(office: Office) -> None:
    assert 7 in promises(follow([*office.facts[:3], office.facts[2], *office.facts[3:]]))


def test_a_fact_of_a_type_that_never_came_to_be_is_seen(office: Office) -> None:
    nowhere = UUID(int=4)
    for fact in office.facts:
        if hasattr(fact.what, "ticket_type_id") and fact.kind != "TicketTypeAdded":
            what: Any = fact.what
            replay = follow(office.facts[: fact.seq - 1])
            replay.apply(replace(fact, what=replace(what, ticket_type_id=nowhere)))
            assert 7 in promises(replay)


def test_a_breach_says_where_it_was_seen() -> None:
    replay = EventReplay(EVENT_ID)
    replay.apply(replace(Office().facts[0], seq=4))
    assert replay.breaches == [Breach(7, f"event {EVENT_ID}, fact 0: fact 4 follows fact 0")]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda state: replace(state, event=replace(state.event, last_seq=state.event.last_seq + 1)),
        lambda state: replace(state, event=replace(state.event, status=EventStatus.ON_SALE)),
        lambda state: replace(state, event=replace(state.event, was_published=False)),
        lambda state: replace(state, event=replace(state.event, reschedules=7)),
        lambda state: replace(state, ticket_types=state.ticket_types[:1]),
        lambda state: replace(state, ticket_types=(replace(state.ticket_types[0], taken=2), state.ticket_types[1])),
        lambda state: replace(state, ticket_types=(replace(state.ticket_types[0], waiting=0), state.ticket_types[1])),
        lambda state: replace(
            state, ticket_types=(replace(state.ticket_types[0], waiting_tickets=9), state.ticket_types[1])
        ),
        lambda state: replace(
            state, ticket_types=(replace(state.ticket_types[0], total_tickets=9), state.ticket_types[1])
        ),
    ],
    ids=["facts", "status", "published", "reschedules", "type", "taken", "waiting", "tickets", "total"],
)
def test_what_is_stored_must_be_what_the_facts_say(office: Office, tamper: Callable[[EventState], EventState]) -> None:
    replay = follow(office.facts)
    replay.compare(tamper(office.state))
    assert promises(replay) == {7}


@pytest.mark.parametrize("kind", [TicketsBooked, CustomerWaitlisted, BookingPromoted, BookingCancelled])
def test_a_fact_that_was_left_out_shows_in_the_counters(office: Office, kind: type[FactPayload]) -> None:
    left_out = next(fact for fact in office.facts if isinstance(fact.what, kind))
    replay = follow(renumbered([fact for fact in office.facts if fact is not left_out]))
    replay.compare(told(office, last_seq=replay.seq))
    assert 7 in promises(replay)


@pytest.mark.parametrize("field", ["totalTickets", "status"])
def test_an_edit_that_was_left_out_shows(office: Office, field: str) -> None:
    left_out = next(
        fact
        for fact in reversed(office.facts)
        if isinstance(fact.what, EventChanged | TicketTypeChanged) and field in fact.what.changes
    )
    replay = follow(renumbered([fact for fact in office.facts if fact is not left_out]))
    replay.compare(told(office, last_seq=replay.seq))
    assert 7 in promises(replay)


def _changed(fact: Fact, **changes: Any) -> Fact:
    what: Any = fact.what
    return replace(fact, what=replace(what, **changes))


def test_more_tickets_than_there_are_is_a_breach() -> None:
    office = Office(2)
    office.book(ANA, 2)
    replay = follow([*office.facts[:-1], _changed(office.facts[-1], quantity=3)])
    assert [(breach.promise, breach.what) for breach in replay.breaches] == [
        (1, f"event {EVENT_ID}, fact 2: 3 of 2 tickets are taken")
    ]


def test_fewer_tickets_than_are_taken_is_a_breach() -> None:
    office = Office(2)
    office.book(ANA)
    office.edit(total_tickets=1)
    office.facts[1] = _changed(office.facts[1], quantity=2)
    assert promises(follow(office.facts)) == {1}


@pytest.mark.parametrize("status", [EventStatus.PAUSED, EventStatus.COMPLETED, EventStatus.CANCELLED])
def test_tickets_that_were_booked_while_not_on_sale_are_a_breach(status: EventStatus) -> None:
    office = Office(2)
    office.book(ANA)
    office.edit(status=status)
    booked, edited = office.facts[1:3]
    replay = follow(renumbered([office.facts[0], edited, booked]))
    assert promises(replay) == {5}


def test_a_newcomer_who_got_tickets_under_strict_while_somebody_waited_is_a_breach() -> None:
    office = Office(3, waiting_list_policy=FILL)
    office.book(ANA, 2)
    office.book(BEN, 2)
    office.book(CLEO)
    assert promises(follow(office.facts)) == set()
    first: Any = office.facts[0].what
    strict = replace(first, values={**first.values, "waitingListPolicy": "strict"})
    assert promises(follow([replace(office.facts[0], what=strict), *office.facts[1:]])) == {5}


def test_a_newcomer_who_got_tickets_under_fill_that_somebody_in_line_wanted_is_a_breach() -> None:
    office = Office(3, waiting_list_policy=FILL)
    office.book(ANA, 2)
    office.book(BEN, 2)
    office.book(CLEO)
    office.facts[2] = _changed(office.facts[2], quantity=1)
    assert promises(follow(office.facts)) == {5}


def _served_in_turn(policy: WaitingListPolicy, *quantities: int) -> list[Fact]:
    office = Office(9, waiting_list_policy=policy)
    holder = office.book(ANA, 9)
    for who, quantity in zip([BEN, CLEO, DAN], quantities, strict=False):
        office.book(who, quantity)
    office.cancel(holder)
    return office.facts


def _swap(facts: list[Fact]) -> list[Fact]:
    """The last two promotions the other way round."""
    return renumbered([*facts[:-2], facts[-1], facts[-2]])


@pytest.mark.parametrize("policy", list(WaitingListPolicy))
def test_who_was_served_after_a_later_one_of_the_same_size_is_a_breach(policy: WaitingListPolicy) -> None:
    facts = _served_in_turn(policy, 2, 2)
    assert promises(follow(facts)) == set()
    assert promises(follow(_swap(facts))) == {5}


def test_under_strict_nobody_is_overtaken_whatever_their_size() -> None:
    facts = _served_in_turn(WaitingListPolicy.STRICT, 2, 3)
    swapped = follow(_swap(facts))
    assert [breach.promise for breach in swapped.breaches] == [5]
    assert "overtaken" in swapped.breaches[0].what


def test_under_fill_sizes_may_overtake_each_other() -> None:
    assert promises(follow(_swap(_served_in_turn(FILL, 2, 3)))) == set()


def test_a_new_policy_and_back_breaks_no_order() -> None:
    office = Office(3, waiting_list_policy=FILL)
    pair = office.book(ANA, 2)
    single = office.book(BEN)
    first, second = office.book(CLEO, 3), office.book(DAN, 2)
    office.cancel(pair)
    assert office.statuses(first, second) == ["waitlisted", "confirmed"]
    office.edit(waiting_list_policy=WaitingListPolicy.STRICT)
    office.cancel(office.bookings[second.id])
    office.cancel(single)
    assert office.status_of(first) == "confirmed"
    assert promises(follow(office.facts)) == set()


def test_what_is_no_happening_of_ours_is_not_followed() -> None:
    fact: Any = replace(Office().facts[0], what=FactPayload())
    with pytest.raises(TypeError, match="FactPayload"):
        EventReplay(EVENT_ID).apply(fact)


# One booking's facts.


def of(office: Office, booking: Booking) -> list[Fact]:
    """What happened to a booking."""
    return [fact for fact in office.facts if fact.booking_id == booking.id]


@pytest.fixture
def waited() -> tuple[Office, Booking]:
    """A booking that waited, was served an hour later and cancelled after another."""
    office = Office(1, price=euros(10))
    holder, waiting = office.book(ANA), office.book(BEN)
    office.now += timedelta(hours=1)
    office.cancel(holder)
    office.now += timedelta(hours=1)
    office.cancel(waiting)
    return office, waiting


def test_a_bookings_facts_add_up_to_it_at_every_moment(waited: tuple[Office, Booking]) -> None:
    office, booking = waited
    facts = of(office, booking)
    assert replay_booking(facts[:1]) == replace(booking, place=None)
    served = replay_booking(facts[:2])
    assert served == replace(
        booking,
        place=None,
        status=BookingStatus.CONFIRMED,
        payment_status=PaymentStatus.DUE,
        updated_at=NOW + timedelta(hours=1),
    )
    assert replay_booking(facts) == office.bookings[booking.id]


@pytest.mark.parametrize("order", [[], [1], [2], [0, 0], [1, 0], [0, 1, 1], [0, 2], [0, 1, 2, 2], [0, 1, 2, 1], [2, 0]])
def test_facts_that_make_no_sense_add_up_to_nothing(waited: tuple[Office, Booking], order: list[int]) -> None:
    office, booking = waited
    facts = of(office, booking)
    assert replay_booking([facts[index] for index in order]) is None


def test_a_fact_of_no_booking_adds_up_to_nothing() -> None:
    office = Office(1)
    office.book(ANA)
    assert replay_booking(office.facts) is None
    assert replay_booking([replace(office.facts[1], booking_id=None)]) is None


def test_a_cancellation_must_say_what_the_booking_was(waited: tuple[Office, Booking]) -> None:
    office, booking = waited
    facts = of(office, booking)
    assert replay_booking([*facts[:2], _changed(facts[2], was=BookingStatus.WAITLISTED)]) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": 1},
        {"amount": euros(1)},
        {"reschedules": 1},
        {"customer_id": EVENT_ID},
        {"ticket_type_id": EVENT_ID},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_fact_that_was_changed_adds_up_to_another_booking(changes: dict[str, Any]) -> None:
    office = Office(types=[TicketTypeSpec(name="Stalls", total_tickets=4, price=euros(10))])
    booking = office.book(ANA, 2)
    assert replay_booking(of(office, booking)) == booking
    assert replay_booking([_changed(office.facts[-1], **changes)]) != booking
