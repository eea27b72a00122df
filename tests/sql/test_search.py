"""The search index of events: kept with them, and complete however little a search looks at."""

from random import Random
from typing import Final

import pytest
from sqlalchemy import text

from boxoffice.adapters.sql.indexes import search_grams
from boxoffice.adapters.sql.queries import events as event_queries
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.queries import EventFilter, EventPage
from boxoffice.domain.event import EventState, EventStatus
from boxoffice.domain.values.characters import folded
from tests.contract.box_office import STARTS_AT, BoxOffice

PUBLIC: Final = frozenset({EventStatus.ON_SALE, EventStatus.PAUSED})


async def pages(storage: SqlStorage, wanted: EventFilter, limit: int) -> list[EventPage]:
    """The whole list, page by page."""
    found = [await storage.event_queries.events(wanted, None, limit)]
    while found[-1].next is not None:
        found.append(await storage.event_queries.events(wanted, found[-1].next, limit))
    return found


def order(state: EventState) -> tuple[bool, object, object]:
    """Where an event stands in lists."""
    return (state.event.starts_at is None, state.event.starts_at or 0, state.event.id)


async def test_a_search_finds_what_a_look_at_every_event_finds(
    any_storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With looks so small that most searches have to go on."""
    monkeypatch.setattr(event_queries, "FIRST_LOOK", 1)
    monkeypatch.setattr(event_queries, "SECOND_LOOK", 2)
    monkeypatch.setattr(event_queries, "SAMPLE", 2)
    office, random = BoxOffice(any_storage), Random(1)
    for _ in range(60):
        name, venue = ("".join(random.choices("abß\u0390 ", k=random.randint(1, 12))).strip() or "a" for _ in range(2))
        starts_at = random.choice([None, STARTS_AT])
        state = await office.initialize(1, name=name, venue=venue, starts_at=starts_at)
        if random.random() < 0.5:
            await office.edit(
                state, name="ba" + name, status=random.choice([EventStatus.PAUSED, EventStatus.CANCELLED])
            )
    everything = [
        state
        for page in await pages(any_storage, EventFilter(statuses=frozenset(EventStatus)), 7)
        for state in page.events
    ]
    assert len(everything) == 60
    assert everything == sorted(everything, key=order)
    went_on = 0
    for _ in range(150):
        q = "".join(random.choices("aBßb\u0390 ", k=random.randint(1, 7)))
        limit = random.randint(1, 5)
        found = await pages(any_storage, EventFilter(statuses=PUBLIC, q=q), limit)
        assert all(len(page.events) <= limit for page in found)
        assert [state for page in found for state in page.events] == [
            state
            for state in everything
            if state.event.status in PUBLIC
            and any(folded(q) in folded(where) for where in (state.event.name, state.event.venue))
        ], q
        went_on += any(len(page.events) < limit and page.next for page in found)
    assert went_on > 10, "or no search had to go on"


async def test_the_rarest_three_characters_are_looked_for(any_storage: SqlStorage) -> None:
    office = BoxOffice(any_storage)
    for number in range(30):
        await office.initialize(1, name=f"Concert {number}")
    await office.initialize(1, name="Concert with zither")
    queries = event_queries.EventQueries(any_storage._listing, any_storage._database.diagnose)
    grams = search_grams.looked_up("concert with")
    assert await queries._rarest(grams, sorted(PUBLIC), None) in (b" wi", b"wit", b"ith", b"t w")


@pytest.mark.parametrize("length", [4, 5, 9, 10, 11, 50, 200])
def test_a_long_text_is_looked_up_by_a_few_of_its_grams(length: int) -> None:
    written = "".join(chr(0x4E00 + place) for place in range(length))
    grams = search_grams.looked_up(written)
    assert len(grams) == min(length - 2, search_grams.MOST_LOOKED_UP)
    assert set(grams) <= search_grams.grams_of(written)
    assert grams[0] == written[:3].encode()
    assert grams[-1] == written[-3:].encode()


async def test_the_index_holds_no_more_than_the_events(any_storage: SqlStorage) -> None:
    """Edits remove what is no longer so; spaces at an end count."""
    office = BoxOffice(any_storage)
    state = await office.initialize(1, name="a  b", venue="a")
    await office.edit(state, name="b  c", status=EventStatus.PAUSED)
    async with any_storage._reading.engine.connect() as connection:
        rows = (await connection.execute(text("SELECT status, gram FROM event_grams ORDER BY gram"))).all()
    assert [(status, bytes(gram)) for status, gram in rows] == [
        ("paused", gram) for gram in sorted({b"b", b" ", b"c", b"b ", b"  ", b" c", b"b  ", b"  c", b"a"})
    ]
    async with any_storage.snapshot() as snapshot:
        assert await snapshot.strays() == {}


@pytest.mark.parametrize(
    ("change", "stray"),
    [
        ("DELETE FROM event_grams WHERE gram = x'6a'", "search entries are missing"),
        ("UPDATE event_grams SET status = 'paused' WHERE gram = x'6a'", "search entries tell of no event"),
        ("UPDATE event_grams SET gram = x'71' WHERE gram = x'6a'", "search entries tell of no event"),
        ("UPDATE event_grams SET start_order = 5 WHERE gram = x'6a'", "search entries tell of no event"),
    ],
)
async def test_a_wrong_index_is_noticed(any_storage: SqlStorage, change: str, stray: str) -> None:
    await BoxOffice(any_storage).initialize(1, name="Jazz")
    async with any_storage._writing.engine.connect() as connection:
        await connection.execute(text(change))
        await connection.commit()
    async with any_storage.snapshot() as snapshot:
        assert await snapshot.strays() == {stray: 1}
