"""Logs of events: what is sealed, by whom, and after which failures."""

import asyncio
import json
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory.steps import Step
from boxoffice.application.background import seal_logs
from boxoffice.application.background.seal_logs import LEASE, SealingRound, SealLogs
from boxoffice.application.log.seal_log import SealedStep
from boxoffice.application.ports.errors import Conflict, OutcomeUnknown, Retryable, Unavailable
from boxoffice.domain.decisions.organize import Edit, EventChanges
from boxoffice.domain.event import LogMode
from boxoffice.domain.log.tiles import tiles_of
from boxoffice.domain.user import Actor, User
from tests.application.fake_app import NOW, ORGANIZER

from .log_process import LogProcess

OURS = SealingRound(is_ours=True)


async def book(process: LogProcess, event_id: UUID, bookings: int = 1, first: int = 1_000) -> list[UUID]:
    """Book one ticket each for new customers, and return the bookings."""
    customers = [UUID(int=first + number) for number in range(bookings)]
    made = await asyncio.gather(*(process.app.book(event_id, Actor(each)) for each in customers))
    return [each.id for each in made]


async def change_log(process: LogProcess, event_id: UUID, mode: LogMode) -> None:
    """Say who may read the event's log."""
    await process.app.change_event(Edit(event_id=event_id, actor=ORGANIZER, changes=EventChanges(log=mode)))


async def test_every_fact_becomes_an_entry_in_order_and_what_is_sealed_stays() -> None:
    process = LogProcess()
    event_id = await process.app.event(2_000)
    assert await process.seal_logs() == SealingRound(is_ours=True, facts=1)
    entries: list[bytes] = []
    for first, bookings in ((1_000, 3), (2_000, 600), (3_000, 165)):
        before = await process.entries(event_id)
        await book(process, event_id, bookings, first)
        assert await process.seal_logs() == SealingRound(is_ours=True, facts=bookings)
        entries = await process.entries(event_id)
        assert entries[: len(before)] == before
        assert [json.loads(each)["seq"] for each in entries] == list(range(1, len(before) + bookings + 1))
    size = len(entries)
    assert size == 769
    tiles = await process.storage.log_queries.tiles(event_id, list(tiles_of(size)))
    assert set(tiles) == set(tiles_of(size))
    assert await process.seal_logs() == OURS


async def test_an_entry_opens_with_the_customers_key_until_the_account_is_erased() -> None:
    process = LogProcess()
    event_id = await process.app.event(10)
    ada, ben = (
        User(id=UUID(int=number), name="A", email=f"{number}@example.org", password_hash="x", created_at=NOW)
        for number in (1_000, 1_001)
    )
    async with process.storage.begin() as unit:
        for user in (ada, replace(ben, erased_at=NOW)):
            await unit.users.add(user)
        await unit.commit()
    await book(process, event_id, 2)
    await process.seal_logs()
    entries = await process.entries(event_id)
    facts = await process.storage.log_queries.facts(event_id, 0, 10)
    assert [each.key is None for each in facts] == [True, False, True]
    organizers = (await process.storage.log_queries.keys([ORGANIZER.user_id]))[ORGANIZER.user_id]
    opening = process.formats.opening(event_id, replace(facts[0], key=organizers))
    assert opening is not None
    assert process.formats.opens(entries[0], opening)
    opening = process.formats.opening(event_id, facts[1])
    assert opening is not None
    assert process.formats.opens(entries[1], opening)
    async with process.storage.begin() as unit:
        await unit.erasures.erase(ada)
        await unit.users.save(replace(ada, erased_at=NOW))
        await unit.commit()
    assert await process.entries(event_id) == entries
    assert (await process.storage.log_queries.facts(event_id, 1, 1))[0].key is None
    assert set(process.app.tables.logs.keys) == {ORGANIZER.user_id}


async def test_an_event_without_a_log_has_none_until_it_gets_one_from_its_first_fact() -> None:
    process = LogProcess()
    event_id = await process.app.event(10, log=LogMode.OFF)
    await book(process, event_id)
    assert await process.seal_logs() == OURS
    assert process.new_facts.take() == {}
    await change_log(process, event_id, LogMode.PUBLIC)
    assert await process.seal_logs() == SealingRound(is_ours=True, facts=3)
    before = await process.entries(event_id)
    await change_log(process, event_id, LogMode.OFF)
    await book(process, event_id, first=2_000)
    process.new_facts.put_back({event_id: 5})
    assert await process.seal_logs() == OURS
    assert await process.entries(event_id) == before


async def test_one_process_seals_what_the_others_have_committed() -> None:
    first = LogProcess()
    second = first.beside()
    event_id = await first.app.event(10)
    assert (await first.seal_logs()).is_ours
    await book(second, event_id, 2)
    assert await second.seal_logs() == SealingRound(is_ours=False)
    assert first.app.tables.logs.notes == {event_id: 3}
    assert await first.seal_logs() == SealingRound(is_ours=True, facts=2)
    assert first.app.tables.logs.notes == {}
    assert len(await second.entries(event_id)) == 3


async def test_another_process_takes_over_when_the_lease_ends_and_finds_what_nobody_noted() -> None:
    first = LogProcess()
    second = first.beside()
    assert (await first.seal_logs()).is_ours
    assert not (await second.seal_logs()).is_ours
    event_id = await first.app.event(10)
    second.clock.travel(seconds=LEASE.total_seconds())
    assert await second.seal_logs() == SealingRound(is_ours=True, facts=1)
    assert len(await second.entries(event_id)) == 1
    first.clock.travel(seconds=LEASE.total_seconds())
    assert await first.seal_logs() == SealingRound(is_ours=False)
    assert await second.seal_logs() == OURS


async def test_a_lease_is_renewed_once_a_second() -> None:
    process = LogProcess()
    await process.seal_logs()
    commits = process.app.faults.count(Step.COMMIT)
    for _ in range(3):
        await process.seal_logs()
    assert process.app.faults.count(Step.COMMIT) == commits
    process.clock.travel(seconds=1)
    await process.seal_logs()
    assert process.app.faults.count(Step.COMMIT) == commits + 1


async def test_all_events_are_gone_through_in_windows_and_then_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal_logs, "WINDOW", 2)
    first = LogProcess()
    events = [await first.app.event(10) for _ in range(5)]
    first.new_facts.take()
    assert [(await first.seal_logs()).facts for _ in range(4)] == [2, 2, 1, 0]
    for event_id in events:
        assert len(await first.entries(event_id)) == 1
    await book(first, events[0])
    first.new_facts.take()
    assert (await first.seal_logs()).facts == 0
    first.clock.travel(seconds=seal_logs.REST.total_seconds())
    assert [(await first.seal_logs()).facts for _ in range(3)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("step", "failure", "sealed"),
    [
        (Step.COMMIT, Retryable(), 1),
        (Step.COMMITTED, OutcomeUnknown(), 0),
        (Step.COMMITTED, Conflict(), 0),
        (Step.SAVE, Retryable(), 1),
    ],
)
async def test_a_failure_makes_no_second_history(step: Step, failure: Exception, sealed: int) -> None:
    process = LogProcess()
    event_id = await process.app.event(10)
    await process.seal_logs()
    before = await process.entries(event_id)
    await book(process, event_id)
    # The customer's key is made first.
    process.app.faults.plan(step, None, failure)
    assert await process.seal_logs() == SealingRound(is_ours=True, facts=sealed)
    entries = await process.entries(event_id)
    assert (len(entries), entries[:1]) == (2, before)
    assert process.app.tables.logs.notes == {}


async def test_what_a_failure_prevented_is_done_by_the_next_round() -> None:
    process = LogProcess()
    event_id = await process.app.event(10)
    for reads in range(6):
        process.app.faults.plan(Step.READ, *[None] * reads, Unavailable())
        with pytest.raises(Unavailable):
            await process.seal_logs()
    process.app.faults.plan(Step.READ)
    assert await process.seal_logs() == SealingRound(is_ours=True, facts=1)
    assert len(await process.entries(event_id)) == 1


async def test_an_event_that_cannot_be_sealed_does_not_delay_others() -> None:
    process = LogProcess()
    broken, other = await process.app.event(10), await process.app.event(10)
    await book(process, broken)
    del process.app.tables.facts[broken][0]
    with pytest.raises(RuntimeError, match="stands where 1 should"):
        await process.seal_logs()
    with pytest.raises(RuntimeError):
        await process.seal_logs()
    assert await process.entries(broken) == []
    assert len(await process.entries(other)) == 1


async def test_long_work_looks_for_new_facts_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal_logs, "LOOK_EVERY", 0.0)
    process = LogProcess(step=1)
    late = await process.app.event(10)
    await process.seal_logs()
    long = await process.app.event(10)
    await book(process, long, 3)
    order: list[UUID] = []

    async def seal_log(event_id: UUID) -> SealedStep:
        order.append(event_id)
        if len(order) == 2:
            process.new_facts.put_back({late: 1})
        return await process.seal_log(event_id)

    seal_logs_of = SealLogs(process.storage, seal_log, process.new_facts, process.clock, process.app.ids)
    process.clock.travel(seconds=LEASE.total_seconds())
    assert (await seal_logs_of()).facts == 4
    assert order == [long, long, late, long, long]


async def test_an_unknown_event_is_done() -> None:
    assert await LogProcess().seal_log(UUID(int=1)) == SealedStep(0, is_done=True)
