"""Holds: when they lapse is written, and those that have lapsed are found, first the first."""

from collections.abc import Sequence
from datetime import timedelta

from msgspec.structs import replace

from boxoffice.application.ports.loading import ExpiredHoldsQuery, LoadSpec, OverlongHoldsQuery
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.decisions.book import book
from boxoffice.domain.event import EventState, EventStatus
from boxoffice.domain.inventory import ExpiredHolds
from boxoffice.domain.values.money import Money

from .box_office import NOW, STARTS_AT, BoxOffice, booking_command, new_id

SECOND = timedelta(seconds=1)
WINDOW = timedelta(minutes=15)
LAPSE = NOW + WINDOW
"""When a hold of `NOW` lapses."""


async def priced(office: BoxOffice, *totals: int) -> EventState:
    return await office.initialize(
        *totals, price=Money(1, "EUR"), payment_window_minutes=15, cancellation_deadline_hours=48, starts_at=STARTS_AT
    )


async def due(office: BoxOffice, *asks: ExpiredHoldsQuery) -> Sequence[ExpiredHolds]:
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=ask.event_id) for ask in asks])
        found = await unit_of_work.events.expired_holds(asks)
    assert set(found) == {ask.event_id for ask in asks}
    return [found[ask.event_id] for ask in asks]


async def stored(office: BoxOffice, booking: Booking) -> Booking:
    found = await office.storage.booking_queries.booking(booking.id)
    assert found is not None
    return found.booking


async def test_a_hold_comes_back_with_what_binds_it(office: BoxOffice) -> None:
    state = await priced(office, 1)
    held = await office.book(state, now=NOW + timedelta(microseconds=1))
    assert (held.status, held.payment_status) == (BookingStatus.HELD, PaymentStatus.DUE)
    assert (held.expires_at, held.cancellation_deadline_hours) == (LAPSE + timedelta(microseconds=1), 48)
    assert await stored(office, held) == held
    await office.edit(state, cancellation_deadline_hours=1)
    assert (await stored(office, held)).cancellation_deadline_hours == 48


async def test_the_event_tells_when_its_first_hold_lapses(office: BoxOffice) -> None:
    state = await priced(office, 9)
    assert (await office.read(state)).event.earliest_expiry is None
    for delay, earliest in [(2, 2), (1, 1), (3, 1)]:
        await office.book(state, now=NOW + delay * SECOND)
        assert (await office.read(state)).event.earliest_expiry == LAPSE + earliest * SECOND
    expected = LAPSE + SECOND
    await office.edit(state, name="Another")
    assert (await office.read(state)).event.earliest_expiry == expected
    async with office.storage.begin() as unit_of_work:
        found = await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])
    assert found[state.event.id].event.earliest_expiry == expected


async def test_holds_that_have_lapsed_come_in_their_order(office: BoxOffice) -> None:
    state, other = await priced(office, 20), await priced(office, 1)
    await office.book(other, now=NOW - SECOND)
    delays = (5, 1, 3, 1, 4, 2)
    held = [await office.book(state, now=NOW + delay * SECOND) for delay in delays]
    await office.cancel(await office.book(state))
    await office.pay(await office.book(state))
    in_order = tuple(held[number] for number in (1, 3, 5, 2, 4, 0))
    event_id = state.event.id
    for until, limit, expected in [
        (9, 9, ExpiredHolds(in_order, None)),
        (9, 6, ExpiredHolds(in_order, None)),
        (9, 5, ExpiredHolds(in_order[:5], LAPSE + 5 * SECOND)),
        # The next one has lapsed as well; it was not asked for.
        (9, 1, ExpiredHolds(in_order[:1], LAPSE + 1 * SECOND)),
        (3, 9, ExpiredHolds(in_order[:4], LAPSE + 4 * SECOND)),
        (1, 9, ExpiredHolds(in_order[:2], LAPSE + 2 * SECOND)),
        (0, 9, ExpiredHolds((), LAPSE + 1 * SECOND)),
    ]:
        assert await due(office, ExpiredHoldsQuery(event_id, LAPSE + until * SECOND, limit)) == [expected]
    just_before = LAPSE + SECOND - timedelta(microseconds=1)
    assert await due(office, ExpiredHoldsQuery(event_id, just_before, 9)) == [ExpiredHolds((), LAPSE + SECOND)]


async def test_where_nothing_is_held_nothing_is_due(office: BoxOffice) -> None:
    state = await office.initialize(3)
    await office.book(state)
    assert await due(office, ExpiredHoldsQuery(state.event.id, STARTS_AT, 9)) == [ExpiredHolds((), None)]


async def test_due_holds_of_many_events_at_once(office: BoxOffice) -> None:
    states = [await priced(office, 2) for _ in range(150)]
    held = [await office.book(state, now=NOW + number * SECOND) for number, state in enumerate(states[::50])]
    found = await due(office, *(ExpiredHoldsQuery(state.event.id, LAPSE + SECOND * 60, 1) for state in states))
    assert found[::50] == [
        ExpiredHolds((held[0],), None),
        ExpiredHolds((held[1],), None),
        ExpiredHolds((held[2],), None),
    ]
    assert all(each == ExpiredHolds((), None) for number, each in enumerate(found) if number % 50)


async def test_due_holds_show_what_the_transaction_saved_itself(office: BoxOffice) -> None:
    state = await priced(office, 9)
    last = await office.book(state, now=NOW + 2 * SECOND)
    async with office.storage.begin() as unit_of_work:
        inventories = unit_of_work.inventories
        inventory = (await inventories.lock([LoadSpec(event_id=state.event.id)]))[state.event.id]
        decision = book(inventory, booking_command(state), NOW)
        await inventories.save([decision], new_id())
        found = await inventories.expired_holds([ExpiredHoldsQuery(state.event.id, LAPSE + SECOND, 9)])
        assert found == {state.event.id: ExpiredHolds((decision.outcome,), last.expires_at)}


async def test_a_lapsed_hold_makes_room_for_a_hold_of_the_next(office: BoxOffice) -> None:
    state = await priced(office, 2)
    first = await office.book(state)
    second = await office.book(state, now=NOW + 2 * SECOND)
    waiting = [await office.book(state) for _ in range(2)]
    now = LAPSE + SECOND
    await office.settle(state, now=now)
    expired = await stored(office, first)
    assert expired == replace(
        first, status=BookingStatus.EXPIRED, payment_status=PaymentStatus.NONE, updated_at=expired.updated_at
    )
    promoted = await stored(office, waiting[0])
    assert (promoted.status, promoted.expires_at) == (BookingStatus.HELD, now + WINDOW)
    assert (await stored(office, waiting[1])).status is BookingStatus.WAITLISTED
    event = (await office.read(state)).event
    assert (event.earliest_expiry, event.is_unsettled) == (second.expires_at, False)
    assert await due(office, ExpiredHoldsQuery(state.event.id, STARTS_AT, 9)) == [
        ExpiredHolds((second, promoted), None)
    ]
    # Freed by its lapse, the customer may book again.
    again = await office.book(state, customer_id=first.customer_id, now=now)
    assert again.status is BookingStatus.WAITLISTED


async def test_a_settled_event_no_longer_lapses(office: BoxOffice) -> None:
    state = await priced(office, 2)
    await office.book(state)
    await office.settle(state, now=LAPSE)
    assert (await office.read(state)).event.earliest_expiry is None
    assert await office.storage.event_queries.lapsing_events(STARTS_AT, 9) == []


async def test_lapsing_events_come_in_their_order(office: BoxOffice) -> None:
    states = [await priced(office, 5) for _ in range(5)]
    for state, delay in zip(states, (3, 1, 2, 1), strict=False):
        await office.book(state, now=NOW + delay * SECOND)
        await office.book(state, now=NOW + 9 * SECOND)
    ids = [states[number].event.id for number in (1, 3, 2, 0)]
    assert await office.storage.event_queries.lapsing_events(LAPSE + 9 * SECOND, 9) == ids
    assert await office.storage.event_queries.lapsing_events(LAPSE + 9 * SECOND, 3) == ids[:3]
    assert await office.storage.event_queries.lapsing_events(LAPSE + 2 * SECOND, 9) == ids[:3]
    assert await office.storage.event_queries.lapsing_events(LAPSE + SECOND - timedelta(microseconds=1), 9) == []


async def test_holds_that_outlive_the_start_are_found_and_shortened(office: BoxOffice) -> None:
    state = await priced(office, 9)
    early = await office.book(state, now=NOW - 14 * timedelta(minutes=1))
    late = [await office.book(state, now=NOW + delay * SECOND) for delay in (1, 2, 3)]
    await office.pay(await office.book(state))
    await office.cancel(await office.book(state))
    starts_at = LAPSE + SECOND
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])
        for at, limit, expected in [
            (starts_at, 9, late[1:]),
            (starts_at, 1, late[1:]),
            (starts_at - timedelta(microseconds=1), 9, late),
            (LAPSE + 3 * SECOND, 9, []),
        ]:
            ask = OverlongHoldsQuery(state.event.id, at, limit)
            found = (await unit_of_work.events.overlong_holds([ask]))[state.event.id]
            assert found.starts_at == at
            assert len(found.bookings) == min(limit, len(expected))
            assert {each.id for each in found.bookings} <= {each.id for each in expected}
    moved = await office.edit(state, starts_at=starts_at)
    assert moved.event.is_unsettled
    assert (moved.event.reschedules, moved.event.starts_at) == (1, starts_at)
    await office.settle(state, now=NOW)
    assert not (await office.read(state)).event.is_unsettled
    assert [(await stored(office, each)).expires_at for each in (early, *late)] == [
        early.expires_at,
        starts_at,
        starts_at,
        starts_at,
    ]
    after = await office.book(moved)
    assert ((await stored(office, late[0])).reschedules, (await stored(office, after)).reschedules) == (0, 1)


async def test_an_offer_made_past_the_deadline_comes_back_with_its_grace(office: BoxOffice) -> None:
    state = await priced(office, 1)
    first, waiting = await office.book(state), await office.book(state)
    now = STARTS_AT - timedelta(hours=47)
    await office.settle(state, now=now)
    promoted = await stored(office, waiting)
    assert promoted.status is BookingStatus.HELD
    assert promoted.grace_until == now + timedelta(hours=24)
    assert (await stored(office, first)).grace_until is None


async def test_completing_an_event_ends_every_hold(office: BoxOffice) -> None:
    state = await priced(office, 2)
    holds = [await office.book(state) for _ in range(2)]
    await office.edit(state, status=EventStatus.COMPLETED)
    await office.settle(state, now=NOW)
    assert [(await stored(office, each)).status for each in holds] == [BookingStatus.EXPIRED] * 2
    assert (await office.read(state)).event.earliest_expiry is None
