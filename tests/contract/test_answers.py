"""Remembered answers: one per user and key, exactly as given, with their transaction or not at all."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.application.ports.errors import Conflict
from boxoffice.application.ports.idempotency import Key, Response, StoredResponse
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.domain.decisions.book import book

from .box_office import NOW, BoxOffice, booking_command, new_id, take

SECOND = timedelta(seconds=1)
PLAIN = Answer(status=201, body=b'{"id": 1}')


def answer(text: str = "key", *, user_id: UUID | None = None, given: Response = PLAIN) -> StoredResponse:
    return StoredResponse(key=Key(user_id or new_id(), text), fingerprint=bytes(range(0, 256, 8)), answer=given)


async def remember(office: BoxOffice, *answers: StoredResponse, now: datetime = NOW, commits: bool = True) -> None:
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.events.store_responses(answers, now)
        if commits:
            await unit_of_work.commit()


async def remembered(office: BoxOffice, *keys: Key) -> dict[Key, StoredResponse]:
    async with office.storage.begin() as unit_of_work:
        return await unit_of_work.events.stored_responses(keys)


async def forget(office: BoxOffice, before: datetime, limit: int, *, commits: bool = True) -> int:
    async with office.storage.begin() as unit_of_work:
        count = await unit_of_work.leases.forget_answers(before, limit)
        if commits:
            await unit_of_work.commit()
    return count


@pytest.mark.parametrize(
    "given",
    [
        Response(b""),
        Answer(status=201, body=bytes(range(256)) * 2, location="/bookings/1", etag='"1"', subject_id=new_id()),
        Answer(status=200, body='{"name": "日本 🎷 N\'ight \\ \\\\ %s %(x)s \x00 :y ?"}'.encode(), etag='W/"é%"'),
        Answer(status=402, body=b"\\'\"\x1a\n\r\x00%%" * 20_000, location="/é/" + "x" * 2_000),
    ],
    ids=["empty", "every byte", "text", "long"],
)
async def test_an_answer_comes_back_byte_for_byte(office: BoxOffice, given: Response) -> None:
    kept = answer("!\"'\\%s:x?~" + "z" * 244, given=given)
    await remember(office, kept)
    assert await remembered(office, kept.key) == {kept.key: kept}


async def test_keys_are_the_users_and_compared_exactly(office: BoxOffice) -> None:
    user_id, other_id = new_id(), new_id()
    kept = [answer(text, user_id=user_id) for text in ("Key", "key", "KEY", "key ", "kéy", "0", "00")]
    kept.append(answer("key", user_id=other_id, given=replace(PLAIN, status=202)))
    await remember(office, *kept)
    assert await remembered(office, *(each.key for each in kept)) == {each.key: each for each in kept}
    assert await remembered(office, Key(user_id, "kEy"), Key(user_id, "key  "), Key(other_id, "Key")) == {}
    assert await remembered(office, Key(user_id, "key"), Key(user_id, "key")) == {kept[1].key: kept[1]}
    assert await remembered(office) == {}


async def test_hundreds_at_once(office: BoxOffice) -> None:
    kept = [answer(f"key {number}", given=replace(PLAIN, body=bytes(2_000))) for number in range(700)]
    await remember(office, *kept)
    assert await remembered(office, *(each.key for each in kept)) == {each.key: each for each in kept}


async def test_a_second_answer_to_a_key_conflicts(office: BoxOffice) -> None:
    first = answer()
    await remember(office, first)
    with pytest.raises(Conflict):
        await remember(office, answer("other"), replace(first, answer=replace(PLAIN, status=409)))
    with pytest.raises(Conflict):
        await remember(office, first)
    twice = answer("twice")
    with pytest.raises(Conflict):
        await remember(office, twice, twice)
    assert await remembered(office, first.key, twice.key) == {first.key: first}


async def test_of_many_at_once_one_is_kept(office: BoxOffice) -> None:
    answers = [answer(user_id=UUID(int=1), given=replace(PLAIN, status=200 + number)) for number in range(5)]
    results = await asyncio.gather(*(remember(office, each) for each in answers), return_exceptions=True)
    kept = [each for each, result in zip(answers, results, strict=True) if result is None]
    assert [type(each) for each in results if each is not None] == [Conflict] * 4
    assert await remembered(office, kept[0].key) == {kept[0].key: kept[0]}


async def test_a_rollback_forgets(office: BoxOffice) -> None:
    kept = answer()
    await remember(office, kept, commits=False)
    assert await remembered(office, kept.key) == {}
    await remember(office, kept)
    assert await remembered(office, kept.key) == {kept.key: kept}


async def test_effect_and_answer_stand_or_fall_together(office: BoxOffice) -> None:
    state = await office.initialize(3)
    kept = answer()
    await remember(office, kept)

    async def book_with_key() -> None:
        async with office.storage.begin() as unit_of_work:
            command = booking_command(state)
            await take(unit_of_work, LoadSpec(event_id=state.event.id), lambda inventory: book(inventory, command, NOW))
            await unit_of_work.events.store_responses([kept], NOW)
            await unit_of_work.commit()

    with pytest.raises(Conflict):
        await book_with_key()
    assert await office.read(state) == state


async def test_old_answers_are_forgotten_so_many_at_a_time(office: BoxOffice) -> None:
    old = [answer(f"old {number}") for number in range(7)]
    for number, each in enumerate(old):
        await remember(office, each, now=NOW - number * SECOND)
    new = answer("new")
    await remember(office, new, now=NOW + SECOND)
    every = [each.key for each in (*old, new)]
    before = NOW + timedelta(microseconds=1)
    assert await forget(office, before, 3, commits=False) == 3
    assert len(await remembered(office, *every)) == 8
    assert await forget(office, before, 3) == 3
    assert len(await remembered(office, *every)) == 5
    assert await forget(office, NOW, 3) == 3
    assert await forget(office, before, 3) == 1
    assert await forget(office, NOW + SECOND, 3) == 0
    assert await remembered(office, *every) == {new.key: new}
    # A key that was forgotten is free again.
    again = replace(old[0], answer=replace(PLAIN, status=202))
    await remember(office, again)
    assert await remembered(office, old[0].key) == {old[0].key: again}


async def test_many_old_answers_are_forgotten_at_once(office: BoxOffice) -> None:
    await remember(office, *(answer(f"key {number}") for number in range(1_300)))
    assert await forget(office, NOW + SECOND, 1_200) == 1_200
    assert await forget(office, NOW + SECOND, 1_200) == 100
