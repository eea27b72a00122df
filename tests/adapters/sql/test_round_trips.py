"""Round trips of a batch: few, and as many for a hundred commands as for one."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.idempotency import Key, Response, StoredResponse
from boxoffice.application.ports.loading import ExpiredHoldsQuery, LoadSpec, WaitingListQuery
from boxoffice.application.ports.queries import EventFilter
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book, book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.payments.pay import complete_payment, start_payment
from boxoffice.domain.inventory import Decision, Inventory
from boxoffice.domain.user import Actor
from tests.adapters.sql.recorded import recording
from tests.contract.storage_driver import (
    NOW,
    StorageDriver,
    booking_command,
    new_id,
    payment_command,
    settling_command,
)

ONE_OR_MANY = pytest.mark.parametrize("commands", [1, 100])


@pytest.fixture
def driver(any_storage: SqlStorage) -> StorageDriver:
    return StorageDriver(any_storage)


async def decide(
    unit: UnitOfWork,
    needs: Sequence[LoadSpec],
    decide_each: Sequence[Callable[[Inventory], Decision[Any]]],
    keys: Sequence[Key] = (),
) -> list[Decision[Any]]:
    """Lock, take one decision after the other, each on what was loaded and on the counters after the last, and save."""
    loaded = await unit.events.lock(needs)
    if keys:
        assert await unit.events.stored_responses(keys) == {}
    now, decisions = dict(loaded), []
    for need, decide_one in zip(needs, decide_each, strict=True):
        before, seen = now[need.event_id], loaded[need.event_id]
        decision = decide_one(replace(before, bookings=seen.bookings, payments=seen.payments))
        now[need.event_id] = decision.inventory
        decisions.append(decision)
    await unit.events.save(decisions, new_id())
    return decisions


def bookings_of(commands: Sequence[Book]) -> tuple[list[LoadSpec], list[Callable[[Inventory], Decision[Booking]]]]:
    needs = [LoadSpec(event_id=each.event_id, customer_id=each.actor.user_id) for each in commands]
    return needs, [lambda inventory, each=each: book(inventory, each, NOW) for each in commands]  # type: ignore[misc]


@ONE_OR_MANY
@pytest.mark.parametrize("is_over_many_events", [False, True])
async def test_booking(
    any_storage: SqlStorage, driver: StorageDriver, commands: int, is_over_many_events: bool
) -> None:
    states = [await driver.initialize(1_000) for _ in range(commands if is_over_many_events else 1)]
    needs, decisions = bookings_of([booking_command(states[number % len(states)]) for number in range(commands)])
    with recording(any_storage, together=True) as sent:
        await driver.do(lambda unit: decide(unit, needs, decisions))
    # Lock and read; write and COMMIT.
    assert len(sent) == 2, sent
    assert sent[-1].text.endswith("; COMMIT")


@ONE_OR_MANY
async def test_booking_with_keys(any_storage: SqlStorage, driver: StorageDriver, commands: int) -> None:
    state = await driver.initialize(1_000)
    needs, decisions = bookings_of([booking_command(state) for _ in range(commands)])
    keys = [Key(new_id(), "key") for _ in range(commands)]
    answer = Response(b"{}" * 500)

    async def book_with_keys(unit: UnitOfWork) -> None:
        await decide(unit, needs, decisions, keys)
        await unit.events.store_responses(
            [StoredResponse(key=each, fingerprint=bytes(32), response=answer) for each in keys], NOW
        )

    with recording(any_storage, together=True) as sent:
        await driver.do(book_with_keys)
    # As without keys, and one look at them.
    assert len(sent) == 3, sent


@ONE_OR_MANY
async def test_paying(any_storage: SqlStorage, driver: StorageDriver, commands: int) -> None:
    bookings = await driver.book_many(await driver.initialize_priced(1_000), [1] * commands)
    needs = [LoadSpec(event_id=each.event_id, booking_id=each.id, payments=True) for each in bookings]
    pay = [payment_command(each) for each in bookings]
    with recording(any_storage, together=True) as sent:
        started = await driver.do(
            lambda unit: decide(unit, needs, [lambda each, it=it: start_payment(each, it, NOW) for it in pay])  # type: ignore[misc]
        )
    assert len(sent) == 2, sent
    settle = [settling_command(each.outcome.payment) for each in started]
    with recording(any_storage, together=True) as sent:
        await driver.do(
            lambda unit: decide(unit, needs, [lambda each, it=it: complete_payment(each, it, NOW) for it in settle])  # type: ignore[misc]
        )
    # What it changes of payments and bookings is counted before COMMIT.
    assert len(sent) == 3, sent


@ONE_OR_MANY
async def test_cancelling_with_promotion(any_storage: SqlStorage, driver: StorageDriver, commands: int) -> None:
    state = await driver.initialize(100)
    bookings = (await driver.book_many(state, [1] * 250))[:commands]
    (only,) = state.ticket_types

    async def cancel_all(unit: UnitOfWork) -> int:
        needs = [LoadSpec(event_id=each.event_id, booking_id=each.id, settles=True) for each in bookings]
        loaded = (await unit.events.lock(needs))[state.event.id]
        inventory = replace(
            loaded, waiting_lists=await unit.events.waiting_lists([WaitingListQuery(only.id, None, commands + 1)])
        )
        decisions = []
        for each in bookings:
            command = Cancel(event_id=each.event_id, actor=Actor(each.customer_id), booking_id=each.id)
            decisions.append(cancel(inventory, command, NOW))
            inventory = replace(decisions[-1].inventory, bookings=loaded.bookings)
        await unit.events.save(decisions, new_id())
        return sum(decision.promoted for decision in decisions)

    with recording(any_storage, together=True) as sent:
        assert await driver.do(cancel_all) == commands
    # Lock and read; the waiting list; write; COMMIT.
    assert len(sent) == 4, sent


@pytest.mark.parametrize("events", [1, 100])
async def test_looking_for_lapsed_holds(any_storage: SqlStorage, driver: StorageDriver, events: int) -> None:
    queries = [ExpiredHoldsQuery((await driver.initialize(1)).event.id, NOW, 500) for _ in range(events)]
    with recording(any_storage, together=True) as sent:
        async with any_storage.begin() as unit_of_work:
            await unit_of_work.events.expired_holds(queries)
    assert len(sent) == 1, sent


async def test_reads_are_one_statement_each_and_one_for_places(any_storage: SqlStorage, driver: StorageDriver) -> None:
    state = await driver.initialize(1, 1)
    confirmed, waiting = await driver.book_many(state, [1, 1])
    storage, event_id = driver.storage, state.event.id
    on_sale = EventFilter(now=NOW, statuses=frozenset({state.event.status}))
    for statements, ask in (
        (1, storage.event_queries.events_by_id([event_id])),
        (1, storage.booking_queries.booking(confirmed.id)),
        (2, storage.booking_queries.booking(waiting.id)),
        (1, storage.booking_queries.bookings_of_customer(confirmed.customer_id, None, None, 10)),
        (2, storage.booking_queries.bookings_of_event(event_id, None, None, 10)),
        # The ticket types that have a waiting list are asked first.
        (3, storage.booking_queries.waiting_list(event_id, None, None, 10)),
        (1, storage.event_queries.events(on_sale, None, 10)),
        (2, storage.event_queries.events(replace(on_sale, q="jaz"), None, 10)),
        (3, storage.event_queries.events(replace(on_sale, q="jazz"), None, 10)),
        (1, storage.payment_queries.payments(confirmed.id)),
        (1, storage.payment_queries.open_payments(NOW + timedelta(days=1), 10)),
        (1, storage.event_queries.lapsing_events(NOW + timedelta(days=1), 10)),
    ):
        with recording(any_storage) as sent:
            await ask
        assert len(sent) == statements, sent
