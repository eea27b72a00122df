"""Snapshots: a whole storage at one moment, read in pieces."""

from uuid import UUID

from msgspec.structs import replace

from boxoffice.application.ports.idempotency import Key, Response, StoredResponse
from boxoffice.application.ports.loading import WaitingListQuery
from boxoffice.domain.event import WaitingListPolicy
from boxoffice.domain.replay.booking_replay import replay_booking

from .storage_driver import NOW, StorageDriver, new_id


async def test_events_bookings_and_facts_come_in_pieces(driver: StorageDriver) -> None:
    states = [await driver.initialize(2, 2), await driver.initialize(1)]
    bookings = await driver.book_many(states[0], [1, 2, 1])
    bookings += await driver.book_many(states[1], [1, 1])
    await driver.cancel(bookings[0])
    async with driver.storage.snapshot() as snapshot:
        events = await snapshot.events(None, 1)
        events += await snapshot.events(events[-1].event.id, 5)
        assert events == [await driver.read(state) for state in states]
        assert await snapshot.events(events[-1].event.id, 5) == []

        found = await snapshot.bookings(None, 3)
        found += await snapshot.bookings(found[-1].booking.id, 3)
        assert await snapshot.bookings(found[-1].booking.id, 3) == []
        assert [each.booking.id for each in found] == [booking.id for booking in bookings]
        for each in found:
            assert (each.booking.place, each.payments) == (None, [])
            assert replay_booking(each.facts) == replace(each.booking, first_ticket_number=None)
        assert [len(each.facts) for each in found] == [2, 2, 1, 1, 1]

        history = await snapshot.facts(states[0].event.id, 0, 2)
        history += await snapshot.facts(states[0].event.id, 2, 9)
        assert history == await driver.storage.event_queries.facts(states[0].event.id, 0, 9)

        numbered = [(1, bookings[0].id), (2, bookings[1].id)]
        for after in range(3):
            assert await snapshot.first_ticket_numbers(states[0].event.id, after, 1) == numbered[after : after + 1]


async def test_counts_waiting_lists_and_payments_are_those_of_the_bookings(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(3, 3, 3, waiting_list_policy=WaitingListPolicy.FILL)
    paid, big, small = await driver.book_many(state, [3, 2, 1])
    await driver.book_many(state, [2], kind=1)
    await driver.pay(paid)
    first, second, _ = (each.id for each in state.ticket_types)
    async with driver.storage.snapshot() as snapshot:
        counts = await snapshot.counts([state.event.id])
        assert {key: value for key, value in counts.items() if any(value)} == {first: (3, 2, 3), second: (2, 0, 0)}
        assert (await snapshot.waiting_lists([WaitingListQuery(first, 1, 5)]))[first].head == (
            replace(small, place=None),
        )
        whole = (await snapshot.waiting_lists([WaitingListQuery(first, None, 5)]))[first]
        assert [each.id for each in whole.head] == [big.id, small.id]
        found = await snapshot.bookings(None, 2)
        assert [each.payments for each in found] == [await driver.storage.payment_queries.payments(paid.id), []]


async def test_stored_responses_about_nothing_are_strays(driver: StorageDriver) -> None:
    booking = await driver.book(await driver.initialize(1))

    async def strays_after_responses_about(*subjects: UUID | None) -> object:
        async with driver.storage.begin() as unit_of_work:
            responses = [
                StoredResponse(
                    key=Key(new_id(), "key"),
                    fingerprint=b"",
                    response=Response(b"", each),
                )
                for each in subjects
            ]
            await unit_of_work.events.store_responses(responses, NOW)
            await unit_of_work.commit()
        async with driver.storage.snapshot() as snapshot:
            return await snapshot.strays()

    assert await strays_after_responses_about(booking.id, booking.event_id, None) == {}
    assert await strays_after_responses_about(new_id(), new_id()) == {
        "stored responses whose subject does not exist": 2
    }


async def test_what_is_written_meanwhile_is_not_seen(driver: StorageDriver) -> None:
    state = await driver.initialize(1)
    booking = await driver.book(state)
    before = await driver.read(state)
    async with driver.storage.snapshot() as snapshot:
        await snapshot.events(None, 1)
        await driver.cancel(booking)
        other = await driver.initialize(1)
        later = await driver.book(other)
        assert await snapshot.events(None, 9) == [before]
        assert [each.booking.id for each in await snapshot.bookings(None, 9)] == [booking.id]
        assert [fact.seq for fact in await snapshot.facts(state.event.id, 0, 9)] == [1, 2]
        assert await snapshot.facts(other.event.id, 0, 9) == []
        assert await snapshot.counts([state.event.id]) == {state.ticket_types[0].id: (1, 0, 0)}
    assert await driver.stored(later) == later
