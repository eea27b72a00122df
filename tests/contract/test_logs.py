"""Events' logs and the keys of customers in them, as every storage keeps them."""

import asyncio
from functools import partial
from secrets import token_bytes
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.log import Checkpoint, VerifierKey
from boxoffice.adapters.log.formats import C2spLogFormats
from boxoffice.adapters.security import Ed25519CodeSigner
from boxoffice.application.log.log_key import LogKey
from boxoffice.application.log.seal_log import SealLog
from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.log.storage import EventLog, SealedPart
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.domain.event import LogMode
from boxoffice.domain.log.merkle import Edge, leaf_hash
from boxoffice.domain.log.tiles import Tile
from boxoffice.domain.user import User

from .storage_driver import NOW, ORGANIZER, StorageDriver, new_id, new_user

FORMATS = C2spLogFormats()


def part(event_id: UUID, old_size: int, size: int) -> SealedPart:
    """A part of a log with made-up hashes."""
    tiles = {Tile(0, 0, size): token_bytes(32 * size - 1) + b"\0", Tile(1, 700, 1): token_bytes(32)}
    bundles = {0: b"\0'\\" * size + token_bytes(4)}
    return SealedPart(event_id, old_size, size, token_bytes(31) + b" ", f"checkpoint — {size}\n", tiles, bundles)


async def save(driver: StorageDriver, grown: SealedPart) -> None:
    """Let a log grow in a transaction of its own."""

    async def work(unit: UnitOfWork) -> None:
        await unit.logs.save(grown)

    await driver.do(work)


async def test_what_is_sealed_comes_back_as_it_was_saved(driver: StorageDriver) -> None:
    state = await driver.initialize(5)
    event_id, queries = state.event.id, driver.storage.log_queries
    assert await queries.log(event_id) == EventLog(event_id, ORGANIZER.user_id, LogMode.RECEIPTS, 1, 0)
    assert (await queries.checkpoint(event_id), await queries.bundle(event_id, 0)) == (None, b"")
    first, second = part(event_id, 0, 2), part(event_id, 2, 3)
    await save(driver, first)
    await save(driver, second)
    assert await queries.log(event_id) == EventLog(event_id, ORGANIZER.user_id, LogMode.RECEIPTS, 1, 3)
    assert await queries.checkpoint(event_id) == second.checkpoint
    assert (await queries.bundle(event_id, 0), await queries.bundle(event_id, 1)) == (second.bundles[0], b"")
    narrow, absent = Tile(0, 0, 1), [Tile(0, 0, 4), Tile(0, 1, 1), Tile(2, 0, 1)]
    found = await queries.tiles(event_id, [*second.tiles, narrow, *absent])
    assert found == {**second.tiles, narrow: second.tiles[Tile(0, 0, 3)][:32]}
    assert await queries.log(new_id()) is None
    assert (await queries.checkpoint(new_id()), await queries.tiles(new_id(), [narrow])) == (None, {})


@pytest.mark.parametrize("late", [(0, 2), (1, 2), (3, 4)])
async def test_a_log_grows_only_from_the_size_that_it_has(driver: StorageDriver, late: tuple[int, int]) -> None:
    event_id = (await driver.initialize(5)).event.id
    first = part(event_id, 0, 2)
    await save(driver, first)
    with pytest.raises(Conflict):
        await save(driver, part(event_id, *late))
    queries = driver.storage.log_queries
    assert await queries.checkpoint(event_id) == first.checkpoint
    assert await queries.bundle(event_id, 0) == first.bundles[0]
    assert await queries.tiles(event_id, first.tiles) == first.tiles


async def test_of_two_that_let_it_grow_at_once_one_does(driver: StorageDriver) -> None:
    event_id = (await driver.initialize(5)).event.id
    for size in (1, 2):
        parts = [part(event_id, size - 1, size) for _ in range(3)]
        results = await asyncio.gather(*(save(driver, each) for each in parts), return_exceptions=True)
        assert [isinstance(each, Conflict) for each in results].count(True) == 2
        winner = parts[results.index(None)]
        queries = driver.storage.log_queries
        assert await queries.checkpoint(event_id) == winner.checkpoint
        assert await queries.tiles(event_id, winner.tiles) == winner.tiles


async def test_a_part_that_is_rolled_back_is_not_there(driver: StorageDriver) -> None:
    event_id = (await driver.initialize(5)).event.id
    async with driver.storage.begin() as unit:
        await unit.logs.save(part(event_id, 0, 2))
    assert await driver.storage.log_queries.checkpoint(event_id) is None
    assert await driver.storage.log_queries.bundle(event_id, 0) == b""


async def test_a_note_stays_until_as_many_facts_are_sealed(driver: StorageDriver) -> None:
    noted, events = driver.storage.log_queries.noted, [new_id(), new_id()]

    async def are_noted() -> list[bool]:
        found = await noted(10_000)
        return [each in found for each in events]

    await driver.do(lambda unit: unit.logs.note({events[1]: 3, events[0]: 7}))
    await driver.do(lambda unit: unit.logs.note({events[0]: 5}))
    await driver.do(lambda unit: unit.logs.forget_note(events[0], 6))
    assert await are_noted() == [True, True]
    assert len(await noted(1)) == 1
    await driver.do(lambda unit: unit.logs.forget_note(events[0], 7))
    assert await are_noted() == [False, True]
    await driver.do(lambda unit: unit.logs.forget_note(events[1], 9))
    assert await are_noted() == [False, False]


async def test_logs_are_found_newest_first(driver: StorageDriver) -> None:
    states = [await driver.initialize(5, log=mode) for mode in (LogMode.PUBLIC, LogMode.OFF)]
    logs = [EventLog(state.event.id, ORGANIZER.user_id, state.event.log, 1, 0) for state in reversed(states)]
    assert (await driver.storage.log_queries.logs(None, 2)) == logs
    assert (await driver.storage.log_queries.logs(logs[0].event_id, 1)) == logs[1:]
    assert [each.is_behind for each in logs] == [False, True]


async def test_facts_come_with_their_customers_and_keys(driver: StorageDriver) -> None:
    state = await driver.initialize(5)
    bookings = [await driver.book(state) for _ in range(2)]
    event_id, queries = state.event.id, driver.storage.log_queries
    key = token_bytes(31) + b" "
    await driver.do(lambda unit: unit.logs.add_keys({bookings[1].customer_id: key}))
    facts = await queries.facts(event_id, 0, 10)
    assert [(each.seq, each.kind, each.occurred_at) for each in facts] == [
        (1, "EventInitialized", NOW),
        (2, "TicketsBooked", NOW),
        (3, "TicketsBooked", NOW),
    ]
    ids = [(None, None), *((each.id, each.customer_id) for each in bookings)]
    assert [(each.booking_id, each.customer_id) for each in facts] == ids
    assert [each.key for each in facts] == [None, None, key]
    assert bookings[0].customer_id.hex in facts[1].data.replace("-", "")
    assert await queries.facts(event_id, 1, 1) == facts[1:2]


async def test_keys_stay_and_an_erased_account_gets_none(driver: StorageDriver) -> None:
    user, gone, embedded = new_user(f"{new_id()}@example.org"), new_user(f"{new_id()}@example.org"), new_id()
    for each in (user, replace(gone, email=None, name="", erased_at=NOW)):
        await driver.do(partial(_add_user, each))
    keys = {each: token_bytes(31) + b"'" for each in (user.id, gone.id, embedded)}
    await driver.do(lambda unit: unit.logs.add_keys(keys))
    del keys[gone.id]
    queries = driver.storage.log_queries
    assert await queries.keys([user.id, gone.id, embedded]) == keys
    await driver.do(lambda unit: unit.logs.add_keys({each: token_bytes(32) for each in keys}))
    assert await queries.keys(list(keys)) == keys
    await driver.do(lambda unit: unit.erasures.erase(user))
    assert await queries.keys(list(keys)) == {embedded: keys[embedded]}


async def _add_user(user: User, unit: UnitOfWork) -> None:
    await unit.users.add(user)


VAULT = Ed25519CodeSigner("a secret of the tests " * 2)
"""The key is one of the whole database, which tests share."""


async def test_processes_that_need_the_key_of_logs_at_once_agree_on_one(driver: StorageDriver) -> None:
    processes = [LogKey(driver.storage, VAULT, FORMATS, f"host-{number}.example") for number in range(3)]
    signers = await asyncio.gather(*(each() for each in processes))
    assert len({each.key_text for each in signers}) == 1
    assert (await LogKey(driver.storage, VAULT, FORMATS, "later.example")()).key_text == signers[0].key_text


async def test_sealers_at_once_make_one_log(driver: StorageDriver) -> None:
    state = await driver.initialize(1_000)
    event_id, queries = state.event.id, driver.storage.log_queries
    sealers = [
        SealLog(driver.storage, FORMATS, LogKey(driver.storage, VAULT, FORMATS, "example.org")) for _ in range(3)
    ]
    earlier: list[bytes] = []
    for size in (3, 5):
        for _ in range(2):
            await driver.book(state)
        steps = await asyncio.gather(*(seal(event_id) for seal in sealers))
        assert any(step.is_done for step in steps)
        entries = list(FORMATS.entries(await queries.bundle(event_id, 0)))
        assert len(entries) == size
        assert entries[: len(earlier)] == earlier
        hashes = [leaf_hash(entry) for entry in entries]
        assert await queries.tiles(event_id, [Tile(0, 0, size)]) == {Tile(0, 0, size): b"".join(hashes)}
        key_text = (await LogKey(driver.storage, VAULT, FORMATS, "example.org")()).key_text
        note = await queries.checkpoint(event_id)
        assert note is not None
        checkpoint = Checkpoint.opened(note, [VerifierKey.parse(key_text)])
        assert checkpoint.origin.endswith(f"/events/{event_id}/log")
        assert (checkpoint.size, checkpoint.root) == (size, Edge().extended(hashes).root)
        earlier = entries


async def test_the_latest_fact_of_a_booking_is_found(driver: StorageDriver) -> None:
    state = await driver.initialize(5)
    first, second = [await driver.book(state) for _ in range(2)]
    event_id, queries = state.event.id, driver.storage.log_queries
    key = token_bytes(32)
    await driver.do(lambda unit: unit.logs.add_keys({first.customer_id: key}))
    await driver.cancel(first)
    facts = {each.seq: each for each in await queries.facts(event_id, 0, 10)}
    assert await queries.latest_fact(first.id) == facts[4]
    assert (facts[4].kind, facts[4].customer_id, facts[4].key) == ("BookingCancelled", first.customer_id, key)
    assert await queries.latest_fact(second.id) == facts[3]
    assert await queries.latest_fact(new_id()) is None
