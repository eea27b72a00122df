"""API keys as every storage keeps them."""

import asyncio
from datetime import timedelta
from secrets import token_bytes
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.application.api_keys.create_api_key import CreateApiKey, NewApiKey
from boxoffice.application.duties import Duties
from boxoffice.application.ports.accounts.api_keys import OwnedKey
from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.domain.policy import KeyRole
from boxoffice.domain.user import MOST_API_KEYS, Actor, ApiKey, Role, User
from tests.application.fake_app import PlainKeyTexts
from tests.settable_clock import SettableClock

from .storage_driver import EMAIL, NOW, StorageDriver, disable_user, new_id, new_user

MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)


class Ids:
    """Ids as everywhere."""

    new = staticmethod(new_id)


def new_key(owner: User, **fields: Any) -> ApiKey:
    """A key that is not stored yet."""
    values = {"name": "Scanner 🎟", "role": KeyRole.DOOR, "created_at": NOW, **fields}
    return ApiKey(id=new_id(), user_id=owner.id, **values)


async def add(driver: StorageDriver, owner: User | None, *keys: tuple[ApiKey, bytes]) -> None:
    """Store the owner, unless there is none to store, and keys with their digests."""

    async def work(unit: UnitOfWork) -> None:
        if owner is not None:
            await unit.users.add(owner)
        for key, digest in keys:
            await unit.api_keys.add(key, digest)

    await driver.do(work)


async def test_keys_come_back_as_they_were_saved_with_their_owners_of_today(driver: StorageDriver) -> None:
    owner, other = new_user(), new_user("ben@example.org")
    full = new_key(owner, event_id=new_id(), expires_at=NOW + MINUTE + MICROSECOND, last_used_at=NOW + MICROSECOND)
    plain, others = new_key(owner, role=KeyRole.ORGANIZER, name="x" * 200), new_key(other)
    digests = [token_bytes(32) for _ in range(4)]
    await add(driver, owner, (full, digests[0]), (plain, digests[1]))
    await add(driver, other, (others, digests[2]))
    reads = driver.storage.api_key_queries
    assert await reads.keys_of(owner.id) == [full, plain]
    assert await reads.keys_of(new_id()) == []
    assert await reads.by_digest(digests) == {
        digests[0]: OwnedKey(full, Role.ORGANIZER),
        digests[1]: OwnedKey(plain, Role.ORGANIZER),
        digests[2]: OwnedKey(others, Role.ORGANIZER),
    }
    await disable_user(driver.storage, SettableClock(NOW))(EMAIL)
    assert (await reads.by_digest(digests[1:3])) == {
        digests[1]: OwnedKey(plain, None),
        digests[2]: OwnedKey(others, Role.ORGANIZER),
    }
    await driver.do(lambda unit: unit.users.save(replace(other, erased_at=NOW)))
    assert await reads.by_digest(digests[2:]) == {digests[2]: OwnedKey(others, None)}


async def test_removed_keys_are_gone_and_others_stay(driver: StorageDriver) -> None:
    owner, other = new_user(), new_user("ben@example.org")
    keys = [new_key(owner) for _ in range(4)]
    others, digest = new_key(other), token_bytes(32)
    await add(driver, owner, *((key, token_bytes(32)) for key in keys))
    await add(driver, other, (others, digest))

    async def remove(unit: UnitOfWork) -> list[ApiKey]:
        await unit.api_keys.remove([keys[0].id, keys[2].id, new_id()])
        await unit.api_keys.remove([])
        return await unit.api_keys.of_user(owner.id)

    assert await driver.do(remove) == [keys[1], keys[3]]
    assert await driver.storage.api_key_queries.keys_of(owner.id) == [keys[1], keys[3]]
    await driver.do(lambda unit: unit.api_keys.remove_of(owner.id))
    assert await driver.storage.api_key_queries.keys_of(owner.id) == []
    assert await driver.storage.api_key_queries.by_digest([digest]) == {digest: OwnedKey(others, other.role)}


async def test_an_id_and_a_digest_are_there_once(driver: StorageDriver) -> None:
    owner, digest = new_user(), token_bytes(32)
    key = new_key(owner)
    await add(driver, owner, (key, digest))
    for again in ((key, token_bytes(32)), (new_key(owner), digest)):
        with pytest.raises(Conflict):
            await add(driver, None, again)
    assert await driver.storage.api_key_queries.keys_of(owner.id) == [key]


async def test_a_use_is_stored_once_a_minute_and_never_for_a_key_that_is_gone(driver: StorageDriver) -> None:
    owner = new_user()
    key, other, gone = (new_key(owner) for _ in range(3))
    await add(driver, owner, (key, token_bytes(32)), (other, token_bytes(32)))
    for used_at, stored in ((NOW, NOW), (NOW + MINUTE - MICROSECOND, NOW), (NOW + MINUTE, NOW + MINUTE)):
        uses = {key.id: used_at, gone.id: used_at}
        await driver.do(lambda unit, uses=uses: unit.api_keys.record_uses(uses, MINUTE))  # type: ignore[misc]
        assert await driver.storage.api_key_queries.keys_of(owner.id) == [replace(key, last_used_at=stored), other]


async def test_concurrent_requests_make_no_more_keys_than_a_user_may_have(driver: StorageDriver) -> None:
    owner = new_user()
    await add(driver, owner, *((new_key(owner), token_bytes(32)) for _ in range(MOST_API_KEYS - 1)))
    create = CreateApiKey(
        driver.storage, PlainKeyTexts(), Duties(driver.storage.staff_queries), SettableClock(NOW), Ids()
    )
    command = NewApiKey(actor=Actor(owner.id), name="Another", role=KeyRole.READ)
    results = await asyncio.gather(*(create(command) for _ in range(3)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["CreatedKey", "TooManyApiKeys", "TooManyApiKeys"]
    assert len(await driver.storage.api_key_queries.keys_of(owner.id)) == MOST_API_KEYS
