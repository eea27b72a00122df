"""What a storage tells whoever looks after it."""

from datetime import timedelta

from boxoffice.application.ports.observability import Backlog, Verified, WaitingListLength

from .box_office import NOW, BoxOffice, new_id
from .test_telling import add, looked_through, new_mail, put_cursor


async def test_the_longest_lines_come_first(office: BoxOffice) -> None:
    one, two, nobody = [await office.initialize(1, 1) for _ in range(3)]
    await office.book_many(one, [1, 1, 1])
    await office.book_many(two, [1, 1])
    await office.book_many(two, [1, 1, 1], kind=1)
    await office.book_many(nobody, [1])
    lines = [WaitingListLength(two.event.id, 3), WaitingListLength(one.event.id, 2)]
    assert await office.storage.statistics.longest_waiting_lists(10) == lines
    assert await office.storage.statistics.longest_waiting_lists(1) == lines[:1]


async def test_where_nobody_waits_there_is_no_line(office: BoxOffice) -> None:
    await office.initialize(5)
    assert await office.storage.statistics.longest_waiting_lists(10) == []


async def test_what_was_noted_last_counts(office: BoxOffice) -> None:
    figures = office.storage.statistics
    assert await figures.verified() == []
    await figures.note_verified([Verified(8, 0, NOW), Verified(1, 3, NOW), Verified(5, 0, NOW)])
    assert await figures.verified() == [Verified(1, 3, NOW), Verified(5, 0, NOW), Verified(8, 0, NOW)]
    later = NOW + timedelta(microseconds=1)
    await figures.note_verified([Verified(1, 0, later)])
    assert await figures.verified() == [Verified(1, 0, later)]


async def test_connections_that_work_are_counted(office: BoxOffice) -> None:
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.events.lock([])
        busy = office.storage.statistics.connections()
    idle = office.storage.statistics.connections()
    assert busy.keys() == idle.keys()
    for pool, connections in busy.items():
        assert connections.in_use == (pool == "writing")
        assert idle[pool].in_use == 0
        assert connections.kept > 0


async def test_what_webhooks_are_to_be_told(office: BoxOffice) -> None:
    figures = office.storage.statistics
    nothing = {"webhooks": Backlog(0, None), "mails": Backlog(0, None)}
    assert await figures.backlogs(NOW) == nothing
    old = await office.initialize(3)
    webhook = await add(office)
    assert await figures.backlogs(NOW) == nothing, "what happened before it was there"
    await office.book(old)
    new = await office.initialize(1)
    narrow = await add(office, event_id=new.event.id)
    await add(office, organizer_id=new_id())
    await office.book(new)
    found = (await figures.backlogs(NOW))["webhooks"]
    first = (await office.storage.event_queries.facts(old.event.id, 1, 1))[0].occurred_at
    second = (await office.storage.event_queries.facts(new.event.id, 0, 1))[0].occurred_at
    assert found == Backlog(3, min(first, second))
    later = NOW + timedelta(hours=1)
    for each, event_id in ((webhook, old.event.id), (webhook, new.event.id), (narrow, new.event.id)):
        await put_cursor(office, each, event_id, 0, due_at=later)
    assert await figures.backlogs(later - timedelta(microseconds=1)) == nothing, "none of it is due"
    assert (await figures.backlogs(later))["webhooks"] == Backlog(3, later)
    for each, event_id in ((webhook, old.event.id), (webhook, new.event.id), (narrow, new.event.id)):
        await put_cursor(office, each, event_id, 9)
    assert await figures.backlogs(later) == nothing


async def test_mails_that_are_due(office: BoxOffice) -> None:
    figures = office.storage.statistics
    state = await office.initialize(1)
    later = NOW + timedelta(minutes=1)
    mails = [new_mail(state.event.id, due_at=at) for at in (later, NOW, NOW + timedelta(seconds=1))]
    await looked_through(office, state, 0, 1, *mails)
    assert (await figures.backlogs(NOW - timedelta(microseconds=1)))["mails"] == Backlog(0, None)
    assert (await figures.backlogs(NOW + timedelta(seconds=1)))["mails"] == Backlog(2, NOW)
    assert (await figures.backlogs(later))["mails"] == Backlog(3, NOW)
