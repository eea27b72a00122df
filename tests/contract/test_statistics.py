"""Statistics of a storage for its operators."""

from datetime import timedelta

from boxoffice.application.ports.observability import Backlog, Verified, WaitingListLength
from boxoffice.domain.explanations.chance_record import NO_BANDS, Band

from .storage_driver import NOW, StorageDriver, new_id
from .test_links import add as add_link
from .test_links import new_link
from .test_notifications import add, looked_through, new_mail, put_cursor

MICROSECOND = timedelta(microseconds=1)


async def test_the_longest_waiting_lists_come_first(driver: StorageDriver) -> None:
    one, two, without = [await driver.initialize(1, 1) for _ in range(3)]
    await driver.book_many(one, [1, 1, 1])
    await driver.book_many(two, [1, 1])
    await driver.book_many(two, [1, 1, 1], kind=1)
    await driver.book_many(without, [1])
    lists = [WaitingListLength(two.event.id, 3), WaitingListLength(one.event.id, 2)]
    assert await driver.storage.statistics.longest_waiting_lists(10) == lists
    assert await driver.storage.statistics.longest_waiting_lists(1) == lists[:1]


async def test_the_last_note_of_a_verification_counts(driver: StorageDriver) -> None:
    figures = driver.storage.statistics
    assert await figures.verified() == []
    assert list(await figures.chances()) == []
    await figures.note_verified([Verified(8, 0, NOW), Verified(1, 3, NOW), Verified(5, 0, NOW)], NO_BANDS)
    assert await figures.verified() == [Verified(1, 3, NOW), Verified(5, 0, NOW), Verified(8, 0, NOW)]
    assert list(await figures.chances()) == list(NO_BANDS)
    bands = [Band(0, 3, 1), Band(90, 2, 2)]
    await figures.note_verified([Verified(1, 0, NOW + MICROSECOND)], bands)
    assert list(await figures.chances()) == bands
    assert await figures.verified() == [Verified(1, 0, NOW + MICROSECOND)]


async def test_connections_in_use_are_counted(driver: StorageDriver) -> None:
    async with driver.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([])
        busy = driver.storage.statistics.connections()
    idle = driver.storage.statistics.connections()
    assert busy.keys() == idle.keys()
    for pool, connections in busy.items():
        assert connections.in_use == (pool == "writing")
        assert idle[pool].in_use == 0
        assert connections.kept > 0


async def test_deliveries_that_are_due_are_counted(driver: StorageDriver) -> None:
    figures = driver.storage.statistics
    nothing = {"webhooks": Backlog(0, None), "mails": Backlog(0, None)}
    old = await driver.initialize(3)
    webhook = await add(driver)
    assert await figures.backlogs(NOW) == nothing, "what happened before it was there"
    await driver.book(old)
    new = await driver.initialize(1)
    narrow = await add(driver, event_id=new.event.id)
    await add(driver, organizer_id=new_id())
    await driver.book(new)
    first = (await driver.storage.event_queries.facts(old.event.id, 1, 1))[0].occurred_at
    second = (await driver.storage.event_queries.facts(new.event.id, 0, 1))[0].occurred_at
    assert (await figures.backlogs(NOW))["webhooks"] == Backlog(3, min(first, second))
    later = NOW + timedelta(hours=1)
    pending = [(webhook, old.event.id), (webhook, new.event.id), (narrow, new.event.id)]
    for each, event_id in pending:
        await put_cursor(driver, each, event_id, 0, due_at=later)
    assert await figures.backlogs(later - MICROSECOND) == nothing, "none of it is due"
    assert (await figures.backlogs(later))["webhooks"] == Backlog(3, later)
    for each, event_id in pending:
        await put_cursor(driver, each, event_id, 9)
    assert await figures.backlogs(later) == nothing


async def test_mails_that_are_due_are_counted(driver: StorageDriver) -> None:
    state = await driver.initialize(1)
    later = NOW + timedelta(minutes=1)
    mails = [new_mail(state.event.id, due_at=at) for at in (later, NOW, NOW + timedelta(seconds=1))]
    await looked_through(driver, state, 0, 1, *mails)
    for now, expected in [
        (NOW - MICROSECOND, Backlog(0, None)),
        (NOW + timedelta(seconds=1), Backlog(2, NOW)),
        (later, Backlog(3, NOW)),
    ]:
        assert (await driver.storage.statistics.backlogs(now))["mails"] == expected
    for due_at in (None, NOW - MICROSECOND):
        await add_link(driver, new_link(due_at=due_at))
    assert (await driver.storage.statistics.backlogs(later))["mails"] == Backlog(4, NOW - MICROSECOND)
