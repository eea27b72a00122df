"""What is saved while more is decided: it is written meanwhile, and what became of it is known before COMMIT."""

import asyncio
import gc
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from boxoffice.adapters.sql.engine.pool import Send
from boxoffice.adapters.sql.schema.types import Result, Statement
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.adapters.system.clock import SystemClock
from boxoffice.adapters.system.ids import Uuid7Ids
from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.application.turnstile.batch import SAVED_FIRST, SAVED_TOGETHER
from boxoffice.application.turnstile.command_queue import Bounds
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.decisions.book import Book, book
from boxoffice.domain.inventory import Decision, Inventory
from boxoffice.domain.tickets.ticket_type import EventState
from tests.adapters.sql.recorded import send_through
from tests.contract.storage_driver import NOW, StorageDriver, booking_command, new_id

COMMANDS = SAVED_FIRST + SAVED_TOGETHER + 10
"""Three pieces of a full transaction."""


class _Watched:
    """The way to the database: what was sent, and a gate in front of what adds bookings."""

    def __init__(self, storage: SqlStorage) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.has_failed = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        send_through(storage, self._send)

    async def _send(
        self, pool: str, connection: AsyncConnection, statements: Sequence[Statement], send: Send
    ) -> list[Result]:
        if pool != "writing":
            return await send(connection, statements)
        text = "; ".join(each.text for each in statements)
        self.begun.append(text)
        if "INSERT INTO bookings" in text:
            await self.gate.wait()
        try:
            results = await send(connection, statements)
        except Exception:
            self.has_failed.set()
            raise
        self.done.append(text)
        return results


async def _locked(unit_of_work: UnitOfWork, state: EventState) -> Inventory:
    return (await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)]))[state.event.id]


def _decided(inventory: Inventory, *commands: Book) -> list[Decision[Any]]:
    decisions = []
    for command in commands:
        decisions.append(book(inventory, command, NOW))
        inventory = decisions[-1].inventory
    return decisions


async def _taken(driver: StorageDriver, state: EventState) -> int:
    return (await driver.read(state)).ticket_types[0].taken


async def test_others_are_decided_while_the_first_are_written(any_storage: SqlStorage) -> None:
    driver = StorageDriver(any_storage)
    state = await driver.initialize(10)
    async with any_storage.begin() as unit_of_work:
        inventory = await _locked(unit_of_work, state)
        way = _Watched(any_storage)
        way.gate.clear()
        first, second = _decided(inventory, booking_command(state), booking_command(state))
        await unit_of_work.events.save([first], new_id(), more_follow=True)
        assert len(way.begun) == 1, "on its way"
        assert way.done == [], "and no one waits for it"
        committing = asyncio.gather(unit_of_work.events.save([second], new_id()), unit_of_work.commit())
        way.gate.set()
        await committing
    assert way.begun == way.done, "one after the other"
    assert [text.count("INSERT INTO bookings") for text in way.done] == [1, 1]
    assert way.done[-1].endswith("COMMIT")
    assert await _taken(driver, state) == 2


async def test_what_could_not_be_written_is_told_before_anything_is_committed(any_storage: SqlStorage) -> None:
    driver = StorageDriver(any_storage)
    state = await driver.initialize(10)
    async with any_storage.begin() as unit_of_work:
        inventory = await _locked(unit_of_work, state)
        way = _Watched(any_storage)
        (decision,) = _decided(inventory, booking_command(state))
        await unit_of_work.events.save([decision], new_id(), more_follow=True)
        # The same booking once more.
        await unit_of_work.events.save([decision], new_id(), more_follow=True)
        for _ in range(2):
            with pytest.raises(Conflict):
                await unit_of_work.commit()
    assert not any("COMMIT" in text for text in way.begun)
    assert await _taken(driver, state) == 0


async def test_a_transaction_that_ends_without_waiting_leaves_nothing_behind(any_storage: SqlStorage) -> None:
    driver = StorageDriver(any_storage)
    state = await driver.initialize(10)
    way = _Watched(any_storage)
    async with any_storage.begin() as unit_of_work:
        inventory = await _locked(unit_of_work, state)
        way.gate.clear()
        await unit_of_work.events.save(_decided(inventory, booking_command(state)), new_id(), more_follow=True)
    way.gate.set()
    assert await _taken(driver, state) == 0
    assert any_storage.statistics.connections()["writing"].in_use == 0
    await driver.book_many(state, [1])
    assert await _taken(driver, state) == 1, "and its lock is free"


async def test_a_failure_that_was_never_looked_at_is_not_reported(any_storage: SqlStorage) -> None:
    driver = StorageDriver(any_storage)
    state = await driver.initialize(10)
    (booking,) = await driver.book_many(state, [1])
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    way = _Watched(any_storage)
    async with any_storage.begin() as unit_of_work:
        again = replace(booking_command(state), booking_id=booking.id)
        decisions = _decided(await _locked(unit_of_work, state), again)
        await unit_of_work.events.save(decisions, new_id(), more_follow=True)
        await way.has_failed.wait()
    del unit_of_work
    gc.collect()
    assert unheard == []
    assert await _taken(driver, state) == 1


async def _through(storage: SqlStorage, commands: int, *, most_together: int) -> list[str]:
    """So many bookings at once, all but three of which find tickets; what was sent to write them."""
    driver = StorageDriver(storage)
    state = await driver.initialize(commands - 3)
    way = _Watched(storage)
    turnstile = Turnstile(storage, SystemClock(), Uuid7Ids(), bounds=Bounds(most_together=most_together))
    asked = [booking_command(state) for _ in range(commands)]
    admitted = await asyncio.gather(
        *(
            turnstile.admit(each, LoadSpec(event_id=state.event.id, customer_id=each.actor.user_id), book)
            for each in asked
        )
    )
    await turnstile.close()
    assert [each.outcome.id for each in admitted] == [each.booking_id for each in asked]
    assert [each.outcome.queue_number for each in admitted[-4:]] == [None, 1, 2, 3]
    assert await _taken(driver, state) == commands - 3
    return [text for text in way.done if "INSERT INTO bookings" in text]


async def test_the_turnstile_saves_while_it_decides(any_storage: SqlStorage) -> None:
    """And all of a batch comes through together, each command after those before it."""
    writes = await _through(any_storage, COMMANDS, most_together=COMMANDS)
    assert len(writes) == 3, "two while others were decided, and one with COMMIT"
    assert ["COMMIT" in text for text in writes] == [False, False, True]
    for counted in ("UPDATE events", "UPDATE ticket_types"):
        assert [text.count(counted) for text in writes] == [0, 0, 1], "what they come to is said once"


@pytest.mark.parametrize(
    ("most_together", "transactions"), [(COMMANDS + 1, 1), (COMMANDS - 1, 2)], ids=["not full", "others wait"]
)
async def test_where_others_come_a_transaction_is_saved_at_once(
    any_storage: SqlStorage, most_together: int, transactions: int
) -> None:
    """Each piece would stand behind their requests."""
    writes = await _through(any_storage, COMMANDS, most_together=most_together)
    assert ["COMMIT" in text for text in writes] == [True] * transactions
