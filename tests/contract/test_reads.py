"""What is committed, as the queries see it: every field, every list, every filter."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.queries import EventFilter, EventKey, EventPage, WaitingKey
from boxoffice.domain.booking import Booking, BookingStatus, Place
from boxoffice.domain.decisions.book import book
from boxoffice.domain.decisions.organize import Initialize, initialize
from boxoffice.domain.event import EventDetails, EventState, EventStatus, TicketTypeSpec, WaitingListPolicy
from boxoffice.domain.facts import CustomerWaitlisted, EventInitialized, TicketsBooked
from boxoffice.domain.refusals import Refusal
from boxoffice.domain.user import Organizers
from boxoffice.domain.values.money import Money

from .box_office import NOW, ORGANIZER, STARTS_AT, BoxOffice, booking_command, new_id

ON_SALE = EventFilter(statuses=frozenset({EventStatus.ON_SALE}))


async def test_every_field_of_an_event_comes_back(office: BoxOffice) -> None:
    details = EventDetails(
        name="日本 🎷 N'ight \\ \"%_",
        description="Łódź\n\ttwo lines 🎻",
        venue="Straße; --",
        starts_at=STARTS_AT,
        ends_at=STARTS_AT + timedelta(hours=3, microseconds=999_998),
        sales_open_at=NOW - timedelta(days=1),
        sales_close_at=NOW + timedelta(days=1),
        max_tickets_per_customer=1_000,
        payment_window_minutes=43_200,
        cancellation_deadline_hours=8_760,
        waiting_list_policy=WaitingListPolicy.FILL,
    )
    command = Initialize(
        event_id=new_id(),
        actor=ORGANIZER,
        details=details,
        ticket_types=tuple(
            (new_id(), TicketTypeSpec(name=f"{'🎫' * 190} {number}", total_tickets=1_000_000 - number, price=price))
            for number, price in enumerate([None, Money(0, "CHF"), Money(100_000_000, "CHF")] * 16 + [None, None])
        ),
        currency="CHF",
        status=EventStatus.DRAFT,
    )
    state: EventState = await office.record(initialize(command, Organizers.EVERYONE, NOW))
    assert len(state.ticket_types) == 50
    assert await office.read(state) == state
    told = (await office.storage.event_queries.facts(state.event.id, 0, 10))[0]
    assert (told.seq, told.booking_id, told.occurred_at) == (1, None, NOW)
    assert isinstance(told.what, EventInitialized)
    assert told.what.values["description"] == details.description
    assert [each.name for each in told.what.ticket_types] == [each.name for each in state.ticket_types]


async def test_what_may_be_missing_comes_back_missing(office: BoxOffice) -> None:
    state = await office.initialize(1)
    assert state.event.starts_at is None
    assert state.ticket_types[0].price is None
    assert await office.read(state) == state


async def test_every_field_of_a_booking_and_its_facts_come_back(office: BoxOffice) -> None:
    command = Initialize(
        event_id=new_id(),
        actor=ORGANIZER,
        details=EventDetails(name="Dear", max_tickets_per_customer=1_000),
        ticket_types=((new_id(), TicketTypeSpec(name="Gold", total_tickets=1_000, price=Money(100_000_000, "EUR"))),),
        currency="EUR",
    )
    state = await office.record(initialize(command, Organizers.EVERYONE, NOW))
    booking = await office.book(state, quantity=1_000)
    waiting = await office.book(state, quantity=7, now=NOW + timedelta(microseconds=1))
    found = await office.storage.booking_queries.booking(booking.id)
    assert found is not None
    assert found.booking == booking
    assert found.event == (await office.read(state)).event
    assert booking.amount == Money(100_000_000_000, "EUR")
    assert waiting.place == Place(1, 0)
    _, booked, waitlisted = await office.storage.event_queries.facts(state.event.id, 0, 10)
    assert (booked.seq, booked.booking_id, booked.kind) == (2, booking.id, "TicketsBooked")
    assert isinstance(booked.what, TicketsBooked)
    assert booked.what.amount == booking.amount
    assert isinstance(waitlisted.what, CustomerWaitlisted)
    assert (waitlisted.what.queue_number, waitlisted.occurred_at) == (1, NOW + timedelta(microseconds=1))


async def test_what_is_not_there_is_none(office: BoxOffice) -> None:
    assert await office.storage.event_queries.events_by_id([new_id()]) == {}
    assert await office.storage.booking_queries.booking(new_id()) is None
    assert await office.storage.booking_queries.event_of(new_id()) is None
    assert await office.storage.event_queries.events(ON_SALE, None, 10) == EventPage([], None)
    assert await office.storage.event_queries.facts(new_id(), 0, 10) == []
    assert await office.storage.booking_queries.waiting_list(new_id(), None, None, 10) == []
    assert await office.storage.booking_queries.bookings_of_customer(new_id(), None, None, 10) == []
    assert await office.storage.booking_queries.bookings_of_event(new_id(), None, None, 10) == []


async def test_which_event_a_booking_belongs_to(office: BoxOffice) -> None:
    await office.initialize(1)
    state = await office.initialize(1)
    assert await office.storage.booking_queries.event_of((await office.book(state)).id) == state.event.id


async def test_the_smallest_that_waits_is_told_with_the_event(office: BoxOffice) -> None:
    state = await office.initialize(5, 5)
    await office.book_many(state, [5, 3, 2, 4], kind=1)
    assert (await office.read(state)).smallest_waiting == {state.ticket_types[1].id: 2}


async def names(office: BoxOffice, wanted: EventFilter, after: EventKey | None = None, limit: int = 50) -> list[str]:
    return [state.event.name for state in (await office.storage.event_queries.events(wanted, after, limit)).events]


async def test_events_are_listed_soonest_first_and_those_without_a_start_last(office: BoxOffice) -> None:
    await office.initialize(1, name="never 1")
    await office.initialize(1, name="later", starts_at=STARTS_AT + timedelta(microseconds=1))
    await office.initialize(1, 2, 3, name="soon 1", starts_at=STARTS_AT)
    await office.initialize(1, name="soon 2", starts_at=STARTS_AT)
    await office.initialize(1, name="never 2")
    in_order = ["soon 1", "soon 2", "later", "never 1", "never 2"]
    assert await names(office, ON_SALE) == in_order
    assert await names(office, ON_SALE, limit=2) == in_order[:2]
    for position, state in enumerate((await office.storage.event_queries.events(ON_SALE, None, 50)).events):
        key = EventKey(state.event.starts_at, state.event.id)
        assert await names(office, ON_SALE, key) == in_order[position + 1 :]
        assert state == await office.read(state)


async def test_events_are_listed_by_status_and_organizer(office: BoxOffice) -> None:
    await office.initialize(1, name="on sale", starts_at=STARTS_AT + timedelta(days=2))
    paused = await office.initialize(1, name="paused", starts_at=STARTS_AT)
    await office.edit(paused, status=EventStatus.PAUSED)
    await office.initialize(1, name="draft", status=EventStatus.DRAFT)
    other = replace(ORGANIZER, user_id=new_id())
    await office.initialize(1, name="other's draft", status=EventStatus.DRAFT, actor=other)
    public = EventFilter(statuses=frozenset({EventStatus.ON_SALE, EventStatus.PAUSED}))
    drafts = EventFilter(statuses=frozenset({EventStatus.DRAFT}))
    assert await names(office, public) == ["paused", "on sale"]
    assert await names(office, public, limit=1) == ["paused"]
    assert await names(office, drafts) == ["draft", "other's draft"]
    assert await names(office, replace(drafts, organizer_id=other.user_id)) == ["other's draft"]
    assert await names(office, replace(public, organizer_id=other.user_id)) == []
    assert await names(office, EventFilter(statuses=frozenset({EventStatus.CANCELLED}))) == []


async def test_what_never_was_on_sale_can_be_left_out(office: BoxOffice) -> None:
    hidden = await office.initialize(1, name="hidden", status=EventStatus.DRAFT)
    shown = await office.initialize(1, name="shown")
    for state in (hidden, shown):
        await office.edit(state, status=EventStatus.CANCELLED)
        assert (await office.read(state)).event.was_published is (state is shown)
    cancelled = EventFilter(statuses=frozenset({EventStatus.CANCELLED}))
    assert sorted(await names(office, cancelled)) == ["hidden", "shown"]
    public = replace(cancelled, hides_unpublished=True)
    assert await names(office, public) == ["shown"]
    assert await names(office, replace(public, viewer_id=new_id())) == ["shown"]
    assert sorted(await names(office, replace(public, viewer_id=ORGANIZER.user_id))) == ["hidden", "shown"]
    own = replace(public, viewer_id=ORGANIZER.user_id)
    for q in ("D", "hid", "HIDDEN"):
        assert await names(office, replace(public, q=q)) == []
        assert await names(office, replace(public, q=q, viewer_id=new_id())) == []
        assert await names(office, replace(public, q=q, organizer_id=ORGANIZER.user_id)) == []
        assert await names(office, replace(own, q=q)) == ["hidden"]
        assert await names(office, replace(own, q=q, organizer_id=ORGANIZER.user_id)) == ["hidden"]
    for q in ("W", "SHOWN"):
        assert await names(office, replace(public, q=q)) == ["shown"]


@pytest.mark.parametrize(
    "q", ["caf\u00c9", "CAFE\u0301", "\u0390", "\u0399\u0308\u0301", "ss \u1fe4", "\u1e9e \u03c1\u0313"]
)
async def test_a_text_is_found_in_every_spelling_that_is_the_same_to_readers(office: BoxOffice, q: str) -> None:
    """Composed or not, in capitals or not, also where capitals and small letters are not as many."""
    await office.initialize(1, name="Caf\u00e9 \u0390", venue="Stra\u00dfe? Gro\u00df \u1fe4")
    assert len(await names(office, replace(ON_SALE, q=q))) == 1


@pytest.mark.parametrize(
    ("q", "is_found"),
    [
        ("jazz", True),
        ("JAZZ 100%", True),
        ("100%", True),
        ("1%0", False),
        ("a_b", True),
        ("azb", False),
        ("a__b", False),
        ("c\\d", True),
        ("\\", True),
        ("c\\\\d", False),
        ("o'neill", True),
        ("CAFÉ", True),
        ("cafe", False),
        ("strasse", True),
        ("STRASSE", True),
        ("straße", True),
        ("🎷", True),
        ("🎸", False),
        ("e st", False),
        ("venue", False),
        ("describ", False),
    ],
)
async def test_events_are_searched_literally_and_without_case(office: BoxOffice, q: str, is_found: bool) -> None:
    await office.initialize(1, name="Rock")
    await office.initialize(1, name="Jazz 100% a_b c\\d O'Neill", venue="Café Straße 🎷", description="described")
    assert await names(office, replace(ON_SALE, q=q)) == ["Jazz 100% a_b c\\d O'Neill"] * is_found


@pytest.mark.parametrize("q", ["rock\nhall", "k\nh", "\n"])
async def test_a_search_looks_in_name_and_venue_apart(office: BoxOffice, q: str) -> None:
    await office.initialize(1, name="Rock", venue="Hall")
    assert await names(office, replace(ON_SALE, q=q)) == []


async def test_a_search_finds_an_event_as_it_is_now(office: BoxOffice) -> None:
    await office.initialize(1, name="Jazz later", starts_at=STARTS_AT + timedelta(days=1))
    state = await office.initialize(1, name="Jazz", venue="Cellar")
    assert await names(office, replace(ON_SALE, q="jazz")) == ["Jazz later", "Jazz"]
    await office.edit(state, starts_at=STARTS_AT)
    assert await names(office, replace(ON_SALE, q="jazz")) == ["Jazz", "Jazz later"]
    await office.edit(state, name="Blues")
    assert await names(office, replace(ON_SALE, q="jazz")) == ["Jazz later"]
    assert await names(office, replace(ON_SALE, q="blue")) == ["Blues"]
    assert await names(office, replace(ON_SALE, q="cella")) == ["Blues"]
    await office.edit(state, venue="")
    assert await names(office, replace(ON_SALE, q="cella")) == []
    await office.edit(state, status=EventStatus.PAUSED)
    assert await names(office, replace(ON_SALE, q="blue")) == []
    assert await names(office, EventFilter(statuses=frozenset({EventStatus.PAUSED}), q="blue")) == ["Blues"]
    assert await names(office, EventFilter(statuses=frozenset(EventStatus), q="l")) == ["Blues", "Jazz later"]


async def test_a_page_of_events_says_where_the_list_goes_on(office: BoxOffice) -> None:
    for number in range(5):
        await office.initialize(1, name=f"Jazz {number}", starts_at=STARTS_AT if number < 2 else None)
    for wanted in (ON_SALE, replace(ON_SALE, q="j"), replace(ON_SALE, q="jazz ")):
        found: list[str] = []
        sizes = []
        page = await office.storage.event_queries.events(wanted, None, 2)
        while True:
            found += [state.event.name for state in page.events]
            sizes.append(len(page.events))
            if page.next is None:
                break
            page = await office.storage.event_queries.events(wanted, page.next, 2)
        assert found == [f"Jazz {number}" for number in range(5)]
        assert sizes == [2, 2, 1]


def ids(found: list[Booking]) -> list[UUID]:
    return [each.id for each in found]


async def test_bookings_are_listed_newest_first(office: BoxOffice) -> None:
    states = [await office.initialize(2), await office.initialize(2)]
    customer_id = new_id()
    own = [await office.book(state, customer_id=customer_id) for state in states]
    await office.cancel(own[0])
    own.append(await office.book(states[0], customer_id=customer_id))
    others = [await office.book(states[0]), await office.book(states[0]), await office.book(states[0])]

    of_customer, of_event = (
        office.storage.booking_queries.bookings_of_customer,
        office.storage.booking_queries.bookings_of_event,
    )
    assert ids(await of_customer(customer_id, None, None, 9)) == ids([own[2], own[1], own[0]])
    assert ids(await of_customer(customer_id, None, None, 2)) == ids([own[2], own[1]])
    assert ids(await of_customer(customer_id, None, own[1].id, 2)) == ids([own[0]])
    assert ids(await of_customer(customer_id, BookingStatus.CANCELLED, None, 9)) == ids([own[0]])
    assert ids(await of_customer(customer_id, BookingStatus.EXPIRED, None, 9)) == []

    newest = ids([*reversed(others), own[2], own[0]])
    event_id = states[0].event.id
    assert ids(await of_event(event_id, None, None, 9)) == newest
    assert ids(await of_event(event_id, None, newest[1], 2)) == newest[2:4]
    assert ids(await of_event(event_id, BookingStatus.WAITLISTED, None, 9)) == newest[:2]
    assert ids(await of_event(event_id, BookingStatus.WAITLISTED, newest[0], 9)) == newest[1:2]
    assert ids(await of_event(event_id, BookingStatus.CONFIRMED, None, 9)) == newest[2:4]


async def test_places_are_those_of_today(office: BoxOffice) -> None:
    state = await office.initialize(4, 1)
    bookings = await office.book_many(state, [4, 3, 1, 2])
    other = (await office.book_many(state, [1, 1], kind=1))[1]
    places = {
        bookings[1].id: Place(1, 0),
        bookings[2].id: Place(2, 3),
        bookings[3].id: Place(3, 4),
        other.id: Place(1, 0),
    }

    async def check() -> None:
        listed = await office.storage.booking_queries.bookings_of_event(state.event.id, None, None, 50)
        assert {each.id: each.place for each in listed if each.place} == places
        waiting = await office.storage.booking_queries.bookings_of_event(
            state.event.id, BookingStatus.WAITLISTED, None, 2
        )
        assert [each.place for each in waiting] == [places[each.id] for each in waiting]
        line = await office.storage.booking_queries.waiting_list(state.event.id, None, None, 50)
        assert {each.id: each.place for each in line} == places
        for booking in (*bookings, other):
            found = await office.storage.booking_queries.booking(booking.id)
            assert found is not None
            assert found.booking.place == places.get(booking.id)
            owned = await office.storage.booking_queries.bookings_of_customer(booking.customer_id, None, None, 9)
            assert [each.place for each in owned] == [places.get(booking.id)]

    await check()
    await office.cancel(bookings[1])
    del places[bookings[1].id]
    places |= {bookings[2].id: Place(1, 0), bookings[3].id: Place(2, 1)}
    await check()


async def test_the_waiting_list_goes_by_ticket_type_and_queue_number(office: BoxOffice) -> None:
    state = await office.initialize(2, 2, 2)
    await office.book_many(state, [2], kind=1)
    third = (await office.book_many(state, [2, 1, 2], kind=2))[1:]
    first = (await office.book_many(state, [2, 2, 1, 1], kind=0))[1:]
    in_order = [*first, *third]
    waiting_list = office.storage.booking_queries.waiting_list
    event_id = state.event.id
    found = await waiting_list(event_id, None, None, 50)
    assert ids(found) == ids(in_order)
    assert [each.place for each in found] == [Place(1, 0), Place(2, 2), Place(3, 3), Place(1, 0), Place(2, 1)]
    assert ids(await waiting_list(event_id, state.ticket_types[2].id, None, 50)) == ids(third)
    assert ids(await waiting_list(event_id, state.ticket_types[1].id, None, 50)) == []
    assert await waiting_list(event_id, new_id(), None, 50) == []
    ordinals = {each.id: each.ordinal for each in state.ticket_types}
    for position, each in enumerate(found):
        after = WaitingKey(ordinals[each.ticket_type_id], each.queue_number or 0)
        assert await waiting_list(event_id, None, after, 2) == found[position + 1 : position + 3]
    after = WaitingKey(0, first[0].queue_number or 0)
    assert await waiting_list(event_id, state.ticket_types[0].id, after, 50) == found[1:3]


async def test_facts_after_a_number_without_gaps(office: BoxOffice) -> None:
    state, other = await office.initialize(2), await office.initialize(2)
    await office.book_many(state, [1] * 6)
    await office.book(other)
    found = await office.storage.event_queries.facts(state.event.id, 0, 50)
    assert [fact.seq for fact in found] == [1, 2, 3, 4, 5, 6, 7]
    assert await office.storage.event_queries.facts(state.event.id, 3, 2) == found[3:5]
    assert await office.storage.event_queries.facts(state.event.id, 7, 2) == []
    assert {fact.event_id for fact in found} == {state.event.id}


async def test_unsettled_events_by_id(office: BoxOffice) -> None:
    states = [await office.initialize(1) for _ in range(4)]
    for state in states[:3]:
        await office.book(state)
        await office.edit(state, status=EventStatus.CANCELLED)
    unsettled = [state.event.id for state in states[:3]]
    assert await office.storage.event_queries.unsettled_events(None, 10) == unsettled
    assert await office.storage.event_queries.unsettled_events(None, 2) == unsettled[:2]
    assert await office.storage.event_queries.unsettled_events(unsettled[0], 10) == unsettled[1:]


async def test_an_event_and_its_ticket_types_are_read_as_of_one_moment(office: BoxOffice) -> None:
    state = await office.initialize(100)

    async def write() -> None:
        for _ in range(15):
            await office.book_many(state, [1])

    writing = asyncio.create_task(write())
    while not writing.done():
        await asyncio.sleep(0)
        found = await office.read(state)
        # Each booking writes one fact, after the first one of the event.
        assert found.event.last_seq == 1 + found.ticket_types[0].taken
    await writing


async def test_a_draft_that_refuses_bookings_stays_as_it_is(office: BoxOffice) -> None:
    state = await office.initialize(1, status=EventStatus.DRAFT)
    command = booking_command(state)
    with pytest.raises(Refusal):
        await office.decide(LoadSpec(event_id=state.event.id), lambda inventory: book(inventory, command, NOW))
    assert await office.read(state) == state
