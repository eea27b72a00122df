"""Holds: the event knows when the first one lapses, and those that have lapsed are found, the earliest first."""

from collections.abc import Sequence
from datetime import timedelta

from boxoffice.application.ports.loading import ExpiredHoldsQuery, LoadSpec, OverlongHoldsQuery
from boxoffice.domain.decisions.book import book
from boxoffice.domain.inventory import ExpiredHolds

from .storage_driver import NOW, StorageDriver, booking_command, new_id

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
LAPSE = NOW + timedelta(minutes=15)
"""When a hold of `NOW` lapses."""


async def expired(driver: StorageDriver, *queries: ExpiredHoldsQuery) -> Sequence[ExpiredHolds]:
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=each.event_id) for each in queries])
        found = await unit_of_work.events.expired_holds(queries)
    assert set(found) == {each.event_id for each in queries}
    return [found[each.event_id] for each in queries]


async def test_the_event_knows_when_its_first_hold_lapses(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(9)
    assert (await driver.read(state)).event.earliest_expiry is None
    for delay, earliest in [(2, 2), (1, 1), (3, 1)]:
        await driver.book(state, now=NOW + delay * SECOND)
        assert (await driver.read(state)).event.earliest_expiry == LAPSE + earliest * SECOND
    async with driver.storage.begin() as unit_of_work:
        found = await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])
    assert found[state.event.id].event.earliest_expiry == LAPSE + SECOND


async def test_holds_that_have_lapsed_come_in_their_order(driver: StorageDriver) -> None:
    state, other = await driver.initialize_priced(20), await driver.initialize_priced(1)
    await driver.book(other, now=NOW - SECOND)
    held = [await driver.book(state, now=NOW + delay * SECOND) for delay in (5, 1, 3, 1, 4, 2)]
    await driver.cancel(await driver.book(state))
    await driver.pay(await driver.book(state))
    in_order = tuple(held[number] for number in (1, 3, 5, 2, 4, 0))
    for until, limit, number, next_lapse in [
        (9 * SECOND, 9, 6, None),
        (9 * SECOND, 6, 6, None),
        (9 * SECOND, 5, 5, LAPSE + 5 * SECOND),
        # The next one has lapsed as well; it was not asked for.
        (9 * SECOND, 1, 1, LAPSE + 1 * SECOND),
        (3 * SECOND, 9, 4, LAPSE + 4 * SECOND),
        (1 * SECOND, 9, 2, LAPSE + 2 * SECOND),
        (SECOND - MICROSECOND, 9, 0, LAPSE + 1 * SECOND),
    ]:
        query = ExpiredHoldsQuery(state.event.id, LAPSE + until, limit)
        assert await expired(driver, query) == [ExpiredHolds(in_order[:number], next_lapse)]


async def test_lapsed_holds_of_many_events_at_once(driver: StorageDriver) -> None:
    states = [await driver.initialize_priced(2) for _ in range(150)]
    held = [await driver.book(state, now=NOW + number * SECOND) for number, state in enumerate(states[::50])]
    found = await expired(driver, *(ExpiredHoldsQuery(state.event.id, LAPSE + SECOND * 60, 1) for state in states))
    assert found[::50] == [ExpiredHolds((each,), None) for each in held]
    assert all(each == ExpiredHolds((), None) for number, each in enumerate(found) if number % 50)


async def test_lapsed_holds_include_what_the_transaction_saved_itself(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(9)
    last = await driver.book(state, now=NOW + 2 * SECOND)
    async with driver.storage.begin() as unit_of_work:
        inventories = unit_of_work.events
        inventory = (await inventories.lock([LoadSpec(event_id=state.event.id)]))[state.event.id]
        decision = book(inventory, booking_command(state), NOW)
        await inventories.save([decision], new_id())
        found = await inventories.expired_holds([ExpiredHoldsQuery(state.event.id, LAPSE + SECOND, 9)])
        assert found == {state.event.id: ExpiredHolds((decision.outcome,), last.expires_at)}


async def test_lapsing_events_come_in_their_order(driver: StorageDriver) -> None:
    states = [await driver.initialize_priced(5) for _ in range(5)]
    for state, delay in zip(states, (3, 1, 2, 1), strict=False):
        await driver.book(state, now=NOW + delay * SECOND)
        await driver.book(state, now=NOW + 9 * SECOND)
    ids = [states[number].event.id for number in (1, 3, 2, 0)]
    for until, limit, number in [
        (9 * SECOND, 9, 4),
        (9 * SECOND, 3, 3),
        (2 * SECOND, 9, 3),
        (SECOND - MICROSECOND, 9, 0),
    ]:
        assert await driver.storage.event_queries.lapsing_events(LAPSE + until, limit) == ids[:number]


async def test_holds_that_outlive_the_start_are_found(driver: StorageDriver) -> None:
    state = await driver.initialize_priced(9)
    late = [(await driver.book(state, now=NOW + delay * SECOND)).id for delay in (1, 2, 3)]
    await driver.pay(await driver.book(state))
    await driver.cancel(await driver.book(state))
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)])
        for starts_at, limit, expected in [
            (LAPSE + SECOND, 9, late[1:]),
            (LAPSE + SECOND, 1, late[1:]),
            (LAPSE + SECOND - MICROSECOND, 9, late),
            (LAPSE + 3 * SECOND, 9, []),
        ]:
            query = OverlongHoldsQuery(state.event.id, starts_at, limit)
            found = (await unit_of_work.events.overlong_holds([query]))[state.event.id]
            assert found.starts_at == starts_at
            assert len(found.bookings) == min(limit, len(expected))
            assert {each.id for each in found.bookings} <= set(expected)
