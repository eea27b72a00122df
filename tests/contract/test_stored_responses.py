"""Stored responses: one per user and key, exactly as given, kept with their transaction or not at all."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.idempotency import Key, Response, StoredResponse
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.domain.decisions.book import book

from .storage_driver import NOW, StorageDriver, booking_command, new_id, take

SECOND = timedelta(seconds=1)
PLAIN = Response(b'{"id": 1}')


def response(text: str = "key", *, user_id: UUID | None = None, given: Response = PLAIN) -> StoredResponse:
    return StoredResponse(key=Key(user_id or new_id(), text), fingerprint=bytes(range(0, 256, 8)), response=given)


async def remember(
    driver: StorageDriver, *responses: StoredResponse, now: datetime = NOW, commits: bool = True
) -> None:
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.events.store_responses(responses, now)
        if commits:
            await unit_of_work.commit()


async def remembered(driver: StorageDriver, *keys: Key) -> dict[Key, StoredResponse]:
    return await driver.do(lambda unit: unit.events.stored_responses(keys))


@pytest.mark.parametrize(
    "given",
    [
        Response(b""),
        Response(bytes(range(256)) * 2, new_id()),
        Response('{"name": "日本 🎷 N\'ight \\ \\\\ %s %(x)s \x00 :y ?"}'.encode()),
        Response(b"\\'\"\x1a\n\r\x00%%" * 20_000),
    ],
    ids=["empty", "every byte", "text", "long"],
)
async def test_an_answer_comes_back_byte_for_byte(driver: StorageDriver, given: Response) -> None:
    kept = response("!\"'\\%s:x?~" + "z" * 244, given=given)
    await remember(driver, kept)
    assert await remembered(driver, kept.key) == {kept.key: kept}


async def test_keys_belong_to_users_and_are_compared_exactly(driver: StorageDriver) -> None:
    user_id, other_id = new_id(), new_id()
    kept = [response(text, user_id=user_id) for text in ("Key", "key", "KEY", "key ", "kéy", "0", "00")]
    kept.append(response("key", user_id=other_id, given=replace(PLAIN, payload=b"202")))
    await remember(driver, *kept)
    assert await remembered(driver, *(each.key for each in kept)) == {each.key: each for each in kept}
    assert await remembered(driver, Key(user_id, "kEy"), Key(user_id, "key  "), Key(other_id, "Key")) == {}
    assert await remembered(driver, Key(user_id, "key"), Key(user_id, "key")) == {kept[1].key: kept[1]}
    assert await remembered(driver) == {}


async def test_hundreds_at_once(driver: StorageDriver) -> None:
    kept = [response(f"key {number}", given=replace(PLAIN, payload=bytes(2_000))) for number in range(700)]
    await remember(driver, *kept)
    assert await remembered(driver, *(each.key for each in kept)) == {each.key: each for each in kept}


async def test_a_second_answer_to_a_key_conflicts(driver: StorageDriver) -> None:
    first, twice = response(), response("twice")
    await remember(driver, first)
    other = replace(first, response=replace(PLAIN, payload=b"409"))
    for again in ([response("other"), other], [first], [twice, twice]):
        with pytest.raises(Conflict):
            await remember(driver, *again)
    assert await remembered(driver, first.key, twice.key) == {first.key: first}


async def test_of_many_at_once_one_is_kept(driver: StorageDriver) -> None:
    responses = [response(user_id=UUID(int=1), given=replace(PLAIN, payload=b"%d" % number)) for number in range(5)]
    results = await asyncio.gather(*(remember(driver, each) for each in responses), return_exceptions=True)
    (kept,) = [each for each, result in zip(responses, results, strict=True) if result is None]
    assert [type(each) for each in results if each is not None] == [Conflict] * 4
    assert await remembered(driver, kept.key) == {kept.key: kept}


async def test_effect_and_answer_stand_or_fall_together(driver: StorageDriver) -> None:
    state = await driver.initialize(3)
    kept = response()
    await remember(driver, kept, commits=False)
    assert await remembered(driver, kept.key) == {}
    await remember(driver, kept)

    async def book_with_key() -> None:
        async with driver.storage.begin() as unit_of_work:
            command = booking_command(state)
            await take(unit_of_work, LoadSpec(event_id=state.event.id), lambda inventory: book(inventory, command, NOW))
            await unit_of_work.events.store_responses([kept], NOW)
            await unit_of_work.commit()

    with pytest.raises(Conflict):
        await book_with_key()
    assert await driver.read(state) == state


async def test_old_answers_are_forgotten_so_many_at_a_time(driver: StorageDriver) -> None:
    async def forget(before: datetime, limit: int = 3) -> int:
        return await driver.do(lambda unit: unit.leases.delete_stored_responses(before, limit))

    old = [response(f"old {number}") for number in range(7)]
    for number, each in enumerate(old):
        await remember(driver, each, now=NOW - number * SECOND)
    new = response("new")
    await remember(driver, new, now=NOW + SECOND)
    every = [each.key for each in (*old, new)]
    before = NOW + timedelta(microseconds=1)
    assert await forget(before) == 3
    assert len(await remembered(driver, *every)) == 5
    assert await forget(NOW) == 3
    assert await forget(before) == 1
    assert await forget(NOW + SECOND) == 0
    assert await remembered(driver, *every) == {new.key: new}
    # A forgotten key is free again.
    again = replace(old[0], response=replace(PLAIN, payload=b"202"))
    await remember(driver, again)
    assert await remembered(driver, old[0].key) == {old[0].key: again}
