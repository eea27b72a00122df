"""A whole storage at one moment, in pieces."""

from datetime import timedelta

from msgspec.structs import replace

from boxoffice.application.ports.idempotency import Key, Response, StoredResponse
from boxoffice.application.ports.loading import WaitingListQuery
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.event import WaitingListPolicy
from boxoffice.domain.replay import replay_booking
from boxoffice.domain.values.money import Money

from .box_office import NOW, BoxOffice, new_id


async def test_events_bookings_and_facts_in_pieces(office: BoxOffice) -> None:
    states = [await office.initialize(2, 2), await office.initialize(1)]
    bookings = await office.book_many(states[0], [1, 2, 1])
    bookings += await office.book_many(states[1], [1, 1])
    await office.cancel(bookings[0])
    async with office.storage.snapshot() as snapshot:
        events = await snapshot.events(None, 1)
        events += await snapshot.events(events[-1].event.id, 5)
        assert events == [await office.read(state) for state in states]
        assert await snapshot.events(events[-1].event.id, 5) == []

        found = await snapshot.bookings(None, 3)
        found += await snapshot.bookings(found[-1].booking.id, 3)
        assert await snapshot.bookings(found[-1].booking.id, 3) == []
        assert [each.booking.id for each in found] == [booking.id for booking in bookings]
        for each in found:
            assert each.booking.place is None
            assert replay_booking(each.facts) == each.booking
            assert each.payments == []
        assert [len(each.facts) for each in found] == [2, 2, 1, 1, 1]

        history = await snapshot.facts(states[0].event.id, 0, 2)
        history += await snapshot.facts(states[0].event.id, 2, 9)
        assert history == await office.storage.event_queries.facts(states[0].event.id, 0, 9)


async def test_counts_come_from_the_bookings(office: BoxOffice) -> None:
    state, other = await office.initialize(3, 3, 3), await office.initialize(1)
    bookings = await office.book_many(state, [2, 2, 3])
    await office.book_many(state, [1, 1], kind=1)
    await office.book_many(other, [1, 1])
    async with office.storage.snapshot() as snapshot:
        counts = await snapshot.counts([state.event.id, other.event.id])
    of_type = [counts.get(each.id, (0, 0, 0)) for each in (*state.ticket_types, *other.ticket_types)]
    assert of_type == [(2, 2, 5), (2, 0, 0), (0, 0, 0), (1, 1, 1)]
    await office.cancel(bookings[1])
    async with office.storage.snapshot() as snapshot:
        assert (await snapshot.counts([state.event.id]))[state.ticket_types[0].id] == (2, 1, 3)


async def test_lines_as_under_the_lock(office: BoxOffice) -> None:
    state = await office.initialize(3, waiting_list_policy=WaitingListPolicy.FILL)
    _, big, small = await office.book_many(state, [3, 2, 1])
    only = state.ticket_types[0].id
    async with office.storage.snapshot() as snapshot:
        line = (await snapshot.lines([WaitingListQuery(only, 1, 5)]))[only]
        assert line.head == (replace(small, place=None),)
        whole = (await snapshot.lines([WaitingListQuery(only, None, 5)]))[only]
        assert [each.id for each in whole.head] == [big.id, small.id]


async def test_nothing_strays(office: BoxOffice) -> None:
    state = await office.initialize(1)
    bookings = await office.book_many(state, [1, 1, 1])
    await office.cancel(bookings[0])
    async with office.storage.snapshot() as snapshot:
        assert await snapshot.strays() == {}


async def test_bookings_come_with_their_payments(office: BoxOffice) -> None:
    state = await office.initialize(9, price=Money(100, "EUR"), payment_window_minutes=5)
    bookings = await office.book_many(state, [1, 1, 1, 1])
    for booking in bookings[1:3]:
        await office.pay(booking)
    await office.cancel(bookings[1], now=NOW + timedelta(seconds=1))
    async with office.storage.snapshot() as snapshot:
        await office.start_payment(bookings[3])
        found = await snapshot.bookings(None, 2) + await snapshot.bookings(bookings[1].id, 9)
    assert [len(each.payments) for each in found] == [0, 2, 1, 0]
    for each in found[:3]:
        assert each.payments == await office.storage.payment_queries.payments(each.booking.id)
        assert replay_booking(each.facts) == each.booking


async def test_answers_about_nothing_stray(office: BoxOffice) -> None:
    state = await office.initialize(1)
    booking = await office.book(state)
    user_id = new_id()

    async def strays_after_remembering(*subjects: object) -> object:
        async with office.storage.begin() as unit_of_work:
            answers = [
                StoredResponse(
                    key=Key(user_id, str(subject)),
                    fingerprint=b"",
                    answer=Response(b"", subject),  # type: ignore[arg-type]
                )
                for subject in subjects
            ]
            await unit_of_work.events.store_responses(answers, NOW)
            await unit_of_work.commit()
        async with office.storage.snapshot() as snapshot:
            return await snapshot.strays()

    assert await strays_after_remembering(booking.id, state.event.id, None) == {}
    assert await strays_after_remembering(new_id(), new_id()) == {"stored responses about nothing": 2}


async def test_what_is_written_beside_it_is_not_seen(office: BoxOffice) -> None:
    state = await office.initialize(1)
    booking = await office.book(state)
    before = await office.read(state)
    async with office.storage.snapshot() as snapshot:
        await office.cancel(booking)
        other = await office.initialize(1)
        later = await office.book(other)
        assert await snapshot.events(None, 9) == [before]
        assert [each.booking.id for each in await snapshot.bookings(None, 9)] == [booking.id]
        assert [fact.seq for fact in await snapshot.facts(state.event.id, 0, 9)] == [1, 2]
        assert await snapshot.facts(other.event.id, 0, 9) == []
        assert await snapshot.counts([state.event.id]) == {state.ticket_types[0].id: (1, 0, 0)}
    found = await office.storage.booking_queries.booking(later.id)
    assert found is not None
    assert found.booking.status is BookingStatus.CONFIRMED


async def test_a_snapshot_holds_nobody_up(office: BoxOffice) -> None:
    state = await office.initialize(5)
    async with office.storage.snapshot() as snapshot:
        await snapshot.events(None, 1)
        for _ in range(3):
            await office.book(state)
    assert (await office.read(state)).ticket_types[0].taken == 3
