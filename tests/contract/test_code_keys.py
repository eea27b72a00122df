"""The keys of tickets' codes as every storage keeps them."""

import asyncio
from functools import partial
from secrets import token_bytes
from uuid import UUID

from msgspec.structs import replace

from boxoffice.adapters.security import Ed25519CodeSigner
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.application.ports.ticket_codes import CodeKey, TicketRef
from boxoffice.application.tickets.ticket_codes import TicketCodes

from .storage_driver import StorageDriver, new_id


def new_key(event_id: UUID, sealed_by: str = "0123456789abcdef") -> CodeKey:
    """A key that is not stored yet."""
    return CodeKey(event_id, token_bytes(31) + b"\0", token_bytes(59) + b" ", sealed_by)


async def add(driver: StorageDriver, *keys: CodeKey) -> None:
    """Add keys, each in a transaction of its own."""
    for key in keys:
        await driver.do(partial(_add, key))


async def _add(key: CodeKey, unit: UnitOfWork) -> None:
    await unit.code_keys.add(key)


async def test_keys_come_back_as_they_were_added_and_the_first_of_an_event_stays(driver: StorageDriver) -> None:
    first, second, other = new_key(new_id()), new_key(new_id(), "b"), new_id()
    await add(driver, first, second, new_key(first.event_id, "c"))
    queries = driver.storage.code_key_queries
    assert await queries.keys([first.event_id, second.event_id, other]) == {
        first.event_id: first,
        second.event_id: second,
    }
    assert await queries.keys([other]) == {}


async def test_a_key_that_is_rolled_back_is_not_there(driver: StorageDriver) -> None:
    key = new_key(new_id())
    async with driver.storage.begin() as unit:
        await unit.code_keys.add(key)
    assert await driver.storage.code_key_queries.keys([key.event_id]) == {}


async def test_only_the_encryption_of_a_key_is_replaced(driver: StorageDriver) -> None:
    # Names that no other test uses, because databases are shared.
    older, oldest, newest = (token_bytes(8).hex() for _ in range(3))
    keys = [new_key(new_id(), name) for name in (older, oldest, newest, older)]
    await add(driver, *keys)
    queries = driver.storage.code_key_queries
    found = await queries.sealed_by([older, oldest], 9)
    assert {each.event_id: each for each in found} == {each.event_id: each for each in (*keys[:2], keys[3])}
    assert len(await queries.sealed_by([older, oldest], 2)) == 2
    anew = replace(keys[0], sealed=token_bytes(60), sealed_by=newest)
    await driver.do(lambda unit: unit.code_keys.seal(replace(anew, public=token_bytes(32))))
    found = await queries.sealed_by([older], 9)
    assert found == [keys[3]]
    assert await queries.keys([anew.event_id]) == {anew.event_id: anew}


async def test_processes_that_need_a_key_at_once_agree_on_one(driver: StorageDriver) -> None:
    event_id, ticket_id = new_id(), new_id()
    signer = Ed25519CodeSigner("a secret of the tests " * 2)
    processes = [TicketCodes(driver.storage, signer) for _ in range(4)]
    keys = await asyncio.gather(*(each.public_key(event_id) for each in processes))
    assert len(set(keys)) == 1
    codes = await asyncio.gather(*(each.code(TicketRef(event_id, ticket_id, 1)) for each in processes))
    assert len(set(codes)) == 1
    read = signer.read(codes[0])
    assert read is not None
    assert signer.holds(read, keys[0])
