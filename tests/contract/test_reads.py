"""What is committed, as the queries see it: every field, every list, every filter."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.queries import BookingOwner, EventFilter, EventKey, EventPage, WaitingKey
from boxoffice.domain.booking import Booking, BookingStatus, Place
from boxoffice.domain.decisions.organize import Initialize, initialize
from boxoffice.domain.decisions.staff import StaffMember
from boxoffice.domain.event import EventDetails, EventStatus, LogMode, WaitingListMode, WaitingListPolicy, When
from boxoffice.domain.facts import CustomerWaitlisted, EventInitialized, TicketsBooked
from boxoffice.domain.policy import StaffRole
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Organizers
from boxoffice.domain.values.money import Money

from .storage_driver import NOW, ORGANIZER, STARTS_AT, StorageDriver, new_id

ON_SALE = EventFilter(now=NOW, statuses=frozenset({EventStatus.ON_SALE}))


async def test_every_field_of_an_event_comes_back(driver: StorageDriver) -> None:
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
        waiting_list=WaitingListMode.OFF,
        log=LogMode.PUBLIC,
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
    state = await driver.record(initialize(command, Organizers.EVERYONE, NOW))
    assert len(state.ticket_types) == 50
    assert await driver.read(state) == state
    first = (await driver.storage.event_queries.facts(state.event.id, 0, 10))[0]
    assert (first.seq, first.booking_id, first.occurred_at) == (1, None, NOW)
    assert isinstance(first.what, EventInitialized)
    assert first.what.values["description"] == details.description
    assert [each.name for each in first.what.ticket_types] == [each.name for each in state.ticket_types]


async def test_every_field_of_a_booking_and_its_facts_come_back(driver: StorageDriver) -> None:
    dear, late = Money(100_000_000, "EUR"), NOW + timedelta(microseconds=1)
    state = await driver.initialize_priced(
        1_000, price=dear, max_tickets_per_customer=1_000, starts_at=STARTS_AT, cancellation_deadline_hours=48
    )
    booking = await driver.book(state, quantity=1_000, now=late)
    waiting = await driver.book(state, quantity=7, now=late)
    found = await driver.storage.booking_queries.booking(booking.id)
    assert found is not None
    assert found.booking == booking
    assert found.event == (await driver.read(state)).event
    assert (booking.amount, booking.status) == (Money(100_000_000_000, "EUR"), BookingStatus.HELD)
    assert waiting.place == Place(1, 0)
    owner = BookingOwner(state.event.id, waiting.customer_id)
    assert await driver.storage.booking_queries.owner_of(waiting.id) == owner
    _, booked, waitlisted = await driver.storage.event_queries.facts(state.event.id, 0, 10)
    assert (booked.seq, booked.booking_id, booked.kind) == (2, booking.id, "TicketsBooked")
    assert isinstance(booked.what, TicketsBooked)
    assert booked.what.amount == booking.amount
    assert isinstance(waitlisted.what, CustomerWaitlisted)
    assert (waitlisted.what.queue_number, waitlisted.occurred_at) == (1, late)


async def test_what_is_not_there_is_none(driver: StorageDriver) -> None:
    assert await driver.storage.event_queries.events_by_id([new_id()]) == {}
    assert await driver.storage.booking_queries.booking(new_id()) is None
    assert await driver.storage.booking_queries.owner_of(new_id()) is None
    assert await driver.storage.event_queries.events(ON_SALE, None, 10) == EventPage([], None)
    assert await driver.storage.event_queries.facts(new_id(), 0, 10) == []
    assert await driver.storage.booking_queries.waiting_list(new_id(), None, None, 10) == []
    assert await driver.storage.booking_queries.bookings_of_customer(new_id(), None, None, 10) == []
    assert await driver.storage.booking_queries.bookings_of_event(new_id(), None, None, 10) == []


async def test_the_smallest_waiting_quantity_comes_with_the_event(driver: StorageDriver) -> None:
    state = await driver.initialize(5, 5)
    await driver.book_many(state, [5, 3, 2, 4], kind=1)
    assert (await driver.read(state)).smallest_waiting == {state.ticket_types[1].id: 2}


async def names(
    driver: StorageDriver, wanted: EventFilter, after: EventKey | None = None, limit: int = 50
) -> list[str]:
    return [state.event.name for state in (await driver.storage.event_queries.events(wanted, after, limit)).events]


async def test_events_are_listed_soonest_first_and_those_without_a_start_last(driver: StorageDriver) -> None:
    await driver.initialize(1, name="never 1")
    await driver.initialize(1, name="later", starts_at=STARTS_AT + timedelta(microseconds=1))
    await driver.initialize(1, 2, 3, name="soon 1", starts_at=STARTS_AT)
    await driver.initialize(1, name="soon 2", starts_at=STARTS_AT)
    await driver.initialize(1, name="never 2")
    in_order = ["soon 1", "soon 2", "later", "never 1", "never 2"]
    assert await names(driver, ON_SALE) == in_order
    assert await names(driver, ON_SALE, limit=2) == in_order[:2]
    for position, state in enumerate((await driver.storage.event_queries.events(ON_SALE, None, 50)).events):
        key = EventKey(state.event.starts_at, state.event.id)
        assert await names(driver, ON_SALE, key) == in_order[position + 1 :]
        assert state == await driver.read(state)


async def test_events_are_listed_by_status_and_organizer(driver: StorageDriver) -> None:
    await driver.initialize(1, name="on sale", starts_at=STARTS_AT + timedelta(days=2))
    paused = await driver.initialize(1, name="paused", starts_at=STARTS_AT)
    await driver.edit(paused, status=EventStatus.PAUSED)
    await driver.initialize(1, name="draft", status=EventStatus.DRAFT)
    other = replace(ORGANIZER, user_id=new_id())
    await driver.initialize(1, name="other's draft", status=EventStatus.DRAFT, actor=other)
    public = EventFilter(now=NOW, statuses=frozenset({EventStatus.ON_SALE, EventStatus.PAUSED}))
    drafts = EventFilter(now=NOW, statuses=frozenset({EventStatus.DRAFT}))
    assert await names(driver, public) == ["paused", "on sale"]
    assert await names(driver, public, limit=1) == ["paused"]
    assert await names(driver, drafts) == ["draft", "other's draft"]
    assert await names(driver, replace(drafts, organizer_id=other.user_id)) == ["other's draft"]
    assert await names(driver, replace(public, organizer_id=other.user_id)) == []
    assert await names(driver, EventFilter(now=NOW, statuses=frozenset({EventStatus.CANCELLED}))) == []


async def test_events_that_are_over_are_told_from_those_that_are_not(driver: StorageDriver) -> None:
    """Without an end an event is over once it begins."""
    start, hour, tick = STARTS_AT, timedelta(hours=1), timedelta(microseconds=1)
    await driver.initialize(1, name="never jazz")
    await driver.initialize(1, name="jazz", starts_at=start)
    await driver.initialize(1, name="hour of jazz", starts_at=start, ends_at=start + hour)
    await driver.initialize(1, name="month of rock", starts_at=start - hour, ends_at=start + 720 * hour)
    late = await driver.initialize(1, name="late", starts_at=start + 2 * hour)
    jazz = ["jazz", "hour of jazz"]
    for now, over in (
        (start - hour - tick, []),
        (start - tick, []),
        (start, ["jazz"]),
        (start + hour - tick, ["jazz"]),
        (start + hour, jazz),
        (start + 2 * hour, [*jazz, "late"]),
        (start + 720 * hour, ["month of rock", *jazz, "late"]),
    ):
        wanted = replace(ON_SALE, now=now)
        every = ["month of rock", *jazz, "late", "never jazz"]
        for q in (None, "jazz"):
            for when, found in (
                (When.ALL, every),
                (When.PAST, over),
                (When.UPCOMING, [each for each in every if each not in over]),
            ):
                shown = [each for each in found if q is None or q in each]
                assert await names(driver, replace(wanted, when=when, q=q)) == shown, (now, when)
                assert await names(driver, replace(wanted, when=when, q=q, organizer_id=ORGANIZER.user_id)) == shown
    await driver.edit(late, starts_at=start - 3 * hour, ends_at=start - 2 * hour)
    assert await names(driver, replace(ON_SALE, when=When.PAST, now=start - 2 * hour)) == ["late"]
    await driver.edit(late, ends_at=None)
    assert await names(driver, replace(ON_SALE, when=When.PAST, now=start - 3 * hour)) == ["late"]


async def test_what_never_was_on_sale_can_be_left_out(driver: StorageDriver) -> None:
    hidden = await driver.initialize(1, name="hidden", status=EventStatus.DRAFT)
    shown = await driver.initialize(1, name="shown")
    for state in (hidden, shown):
        await driver.edit(state, status=EventStatus.CANCELLED)
        assert (await driver.read(state)).event.was_published is (state is shown)
    every = EventFilter(now=NOW, statuses=frozenset({EventStatus.CANCELLED}))
    assert sorted(await names(driver, every)) == ["hidden", "shown"]
    public = replace(every, hides_unpublished=True)
    own, foreign = (replace(public, viewer_id=viewer_id) for viewer_id in (ORGANIZER.user_id, new_id()))
    assert await names(driver, public) == await names(driver, foreign) == ["shown"]
    assert sorted(await names(driver, own)) == ["hidden", "shown"]
    for q in ("D", "hid", "HIDDEN"):
        for wanted, found in ((public, []), (foreign, []), (own, ["hidden"])):
            assert await names(driver, replace(wanted, q=q)) == found
            assert await names(driver, replace(wanted, q=q, organizer_id=ORGANIZER.user_id)) == found
    for q in ("W", "SHOWN"):
        assert await names(driver, replace(public, q=q)) == ["shown"]


@pytest.mark.parametrize(
    "q", ["caf\u00c9", "CAFE\u0301", "\u0390", "\u0399\u0308\u0301", "ss \u1fe4", "\u1e9e \u03c1\u0313"]
)
async def test_a_text_is_found_in_every_spelling_that_readers_take_for_the_same(driver: StorageDriver, q: str) -> None:
    """Composed or not, in capitals or not, also where capitals and small letters differ in number."""
    await driver.initialize(1, name="Caf\u00e9 \u0390", venue="Stra\u00dfe? Gro\u00df \u1fe4")
    assert len(await names(driver, replace(ON_SALE, q=q))) == 1


async def test_a_search_is_literal_and_ignores_case(driver: StorageDriver) -> None:
    name, venue = "Jazz 100% a_b c\\d O'Neill", "Café Straße 🎷"
    await driver.initialize(1, name="Rock", venue="Hall")
    await driver.initialize(1, name=name, venue=venue, description="described")
    for q in (
        "jazz",
        "JAZZ 100%",
        "100%",
        "a_b",
        "c\\d",
        "\\",
        "o'neill",
        "CAFÉ",
        "strasse",
        "STRASSE",
        "straße",
        "🎷",
    ):
        assert await names(driver, replace(ON_SALE, q=q)) == [name], q
    # The last ones run from the name into the venue.
    for q in ("1%0", "azb", "a__b", "c\\\\d", "cafe", "🎸", "e st", "venue", "describ", "rock\nhall", "k\nh", "\n"):
        assert await names(driver, replace(ON_SALE, q=q)) == [], q


async def test_a_page_of_events_says_where_the_list_goes_on(driver: StorageDriver) -> None:
    for number in range(5):
        await driver.initialize(1, name=f"Jazz {number}", starts_at=STARTS_AT if number < 2 else None)
    for wanted in (ON_SALE, replace(ON_SALE, q="j"), replace(ON_SALE, q="jazz ")):
        found: list[str] = []
        sizes = []
        page = await driver.storage.event_queries.events(wanted, None, 2)
        while True:
            found += [state.event.name for state in page.events]
            sizes.append(len(page.events))
            if page.next is None:
                break
            page = await driver.storage.event_queries.events(wanted, page.next, 2)
        assert found == [f"Jazz {number}" for number in range(5)]
        assert sizes == [2, 2, 1]


def ids(found: list[Booking]) -> list[UUID]:
    return [each.id for each in found]


async def test_bookings_are_listed_newest_first(driver: StorageDriver) -> None:
    states = [await driver.initialize(2), await driver.initialize(2)]
    customer_id, event_id = new_id(), states[0].event.id
    own = [await driver.book(state, customer_id=customer_id) for state in states]
    await driver.cancel(own[0])
    own.append(await driver.book(states[0], customer_id=customer_id))
    others = [await driver.book(states[0]), await driver.book(states[0]), await driver.book(states[0])]
    newest = ids(own)[::-1]
    for status, before, limit, expected in [
        (None, None, 9, newest),
        (None, None, 2, newest[:2]),
        (None, newest[1], 2, newest[2:]),
        (BookingStatus.CANCELLED, None, 9, newest[2:]),
        (BookingStatus.EXPIRED, None, 9, []),
    ]:
        assert (
            ids(await driver.storage.booking_queries.bookings_of_customer(customer_id, status, before, limit))
            == expected
        )
    newest = ids([*reversed(others), own[2], own[0]])
    for status, before, limit, expected in [
        (None, None, 9, newest),
        (None, newest[1], 2, newest[2:4]),
        (BookingStatus.WAITLISTED, None, 9, newest[:2]),
        (BookingStatus.WAITLISTED, newest[0], 9, newest[1:2]),
        (BookingStatus.CONFIRMED, None, 9, newest[2:4]),
    ]:
        assert ids(await driver.storage.booking_queries.bookings_of_event(event_id, status, before, limit)) == expected


async def test_the_waiting_list_goes_by_ticket_type_and_queue_number(driver: StorageDriver) -> None:
    state = await driver.initialize(2, 2, 2)
    await driver.book_many(state, [2], kind=1)
    third = (await driver.book_many(state, [2, 1, 2], kind=2))[1:]
    first = (await driver.book_many(state, [2, 2, 1, 1], kind=0))[1:]
    in_order = [*first, *third]
    waiting_list = driver.storage.booking_queries.waiting_list
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


async def test_facts_after_a_number_without_gaps(driver: StorageDriver) -> None:
    state, other = await driver.initialize(2), await driver.initialize(2)
    await driver.book_many(state, [1] * 6)
    await driver.book(other)
    found = await driver.storage.event_queries.facts(state.event.id, 0, 50)
    assert [fact.seq for fact in found] == [1, 2, 3, 4, 5, 6, 7]
    assert await driver.storage.event_queries.facts(state.event.id, 3, 2) == found[3:5]
    assert await driver.storage.event_queries.facts(state.event.id, 7, 2) == []
    assert {fact.event_id for fact in found} == {state.event.id}


async def test_unsettled_events_by_id(driver: StorageDriver) -> None:
    states = [await driver.initialize(1) for _ in range(4)]
    for state in states[:3]:
        await driver.book(state)
        await driver.edit(state, status=EventStatus.CANCELLED)
    unsettled = [state.event.id for state in states[:3]]
    assert await driver.storage.event_queries.unsettled_events(None, 10) == unsettled
    assert await driver.storage.event_queries.unsettled_events(None, 2) == unsettled[:2]
    assert await driver.storage.event_queries.unsettled_events(unsettled[0], 10) == unsettled[1:]


async def test_an_event_and_its_ticket_types_are_read_as_of_one_moment(driver: StorageDriver) -> None:
    state = await driver.initialize(100)

    async def write() -> None:
        for _ in range(15):
            await driver.book_many(state, [1])

    writing = asyncio.create_task(write())
    while not writing.done():
        await asyncio.sleep(0)
        found = await driver.read(state)
        # Each booking writes one fact, after the first one of the event.
        assert found.event.last_seq == 1 + found.ticket_types[0].taken
    await writing


async def test_events_that_a_person_organizes_or_works_for(driver: StorageDriver) -> None:
    """In the order of lists, whatever their status, with any time and search; each once."""
    other = replace(ORGANIZER, user_id=new_id())
    starts = {"own": 2, "draft": 1, "helped": 3, "hidden": 0, "not mine": 4, "undated": None}
    helped = ("helped", "hidden", "undated")
    member = new_id()
    for name, days in starts.items():
        state = await driver.initialize(
            *(1, 2),
            name=name,
            starts_at=None if days is None else STARTS_AT + timedelta(days=days),
            actor=replace(ORGANIZER, user_id=member) if name in ("own", "draft") else other,
            status=EventStatus.DRAFT if name in ("draft", "hidden") else EventStatus.ON_SALE,
        )
        async with driver.storage.begin() as unit_of_work:
            for user_id in [member] * (name in helped) + [other.user_id] * (name == "own") + [new_id()]:
                await unit_of_work.staff.add(
                    StaffMember(
                        id=new_id(), event_id=state.event.id, user_id=user_id, role=StaffRole.DOOR, appointed_at=NOW
                    )
                )
            await unit_of_work.commit()
    every = EventFilter(now=STARTS_AT + timedelta(days=1), statuses=frozenset(EventStatus), member_id=member)
    mine = ["hidden", "draft", "own", "helped", "undated"]
    assert await names(driver, every) == mine
    assert await names(driver, replace(every, member_id=new_id())) == []
    assert await names(driver, replace(every, statuses=frozenset({EventStatus.DRAFT}))) == ["hidden", "draft"]
    assert await names(driver, replace(every, when=When.PAST)) == ["hidden", "draft"]
    assert await names(driver, replace(every, when=When.UPCOMING)) == ["own", "helped", "undated"]
    assert await names(driver, replace(every, q="D")) == ["hidden", "draft", "helped", "undated"]
    for limit in (1, 2):
        found: list[str] = []
        after: EventKey | None = None
        while not found or after is not None:
            page = await driver.storage.event_queries.events(every, after, limit)
            assert all(len(each.ticket_types) == 2 for each in page.events)
            found += [each.event.name for each in page.events]
            after = page.next
        assert found == mine
