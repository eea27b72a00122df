"""What a storage tells whoever looks after it."""

from datetime import timedelta

from boxoffice.application.observing import Verified, WaitingLine

from .box_office import NOW, BoxOffice


async def test_the_longest_lines_come_first(office: BoxOffice) -> None:
    one, two, nobody = [await office.initialize(1, 1) for _ in range(3)]
    await office.book_many(one, [1, 1, 1])
    await office.book_many(two, [1, 1])
    await office.book_many(two, [1, 1, 1], kind=1)
    await office.book_many(nobody, [1])
    lines = [WaitingLine(two.event.id, 3), WaitingLine(one.event.id, 2)]
    assert await office.storage.figures.longest_lines(10) == lines
    assert await office.storage.figures.longest_lines(1) == lines[:1]


async def test_where_nobody_waits_there_is_no_line(office: BoxOffice) -> None:
    await office.initialize(5)
    assert await office.storage.figures.longest_lines(10) == []


async def test_what_was_noted_last_counts(office: BoxOffice) -> None:
    figures = office.storage.figures
    assert await figures.verified() == []
    await figures.note_verified([Verified(8, 0, NOW), Verified(1, 3, NOW), Verified(5, 0, NOW)])
    assert await figures.verified() == [Verified(1, 3, NOW), Verified(5, 0, NOW), Verified(8, 0, NOW)]
    later = NOW + timedelta(microseconds=1)
    await figures.note_verified([Verified(1, 0, later)])
    assert await figures.verified() == [Verified(1, 0, later)]


async def test_connections_that_work_are_counted(office: BoxOffice) -> None:
    async with office.storage.begin() as unit_of_work:
        await unit_of_work.inventories.lock([])
        busy = office.storage.figures.connections()
    idle = office.storage.figures.connections()
    assert busy.keys() == idle.keys()
    for pool, connections in busy.items():
        assert connections.in_use == (pool == "writing")
        assert idle[pool].in_use == 0
        assert connections.kept > 0
