"""The search index of events: kept with them, and complete however little a search looks at."""

from random import Random
from typing import Final

import pytest

from boxoffice.adapters.sql.queries import event_lists
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.queries import EventFilter, EventPage
from boxoffice.domain.event import EventState, EventStatus
from boxoffice.domain.values.characters import folded
from tests.adapters.sql.recorded import by_hand
from tests.contract.storage_driver import STARTS_AT, StorageDriver

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
    monkeypatch.setattr(event_lists, "FIRST_READ", 1)
    monkeypatch.setattr(event_lists, "SECOND_READ", 2)
    monkeypatch.setattr(event_lists, "SAMPLE", 2)
    driver, random = StorageDriver(any_storage), Random(1)
    for _ in range(60):
        name, venue = ("".join(random.choices("abß\u0390 ", k=random.randint(1, 12))).strip() or "a" for _ in range(2))
        starts_at = random.choice([None, STARTS_AT])
        state = await driver.initialize(1, name=name, venue=venue, starts_at=starts_at)
        if random.random() < 0.5:
            await driver.edit(
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


async def test_the_index_holds_no_more_than_the_events(any_storage: SqlStorage, migrated_url: str) -> None:
    """An edit removes what no longer holds; spaces at an end count."""
    driver = StorageDriver(any_storage)
    state = await driver.initialize(1, name="a  b", venue="a")
    await driver.edit(state, name="b  c", status=EventStatus.PAUSED)
    rows = await by_hand(migrated_url, "SELECT status, gram FROM event_grams ORDER BY gram")
    assert [(row["status"], bytes(row["gram"])) for row in rows] == [
        ("paused", gram) for gram in sorted({b"b", b" ", b"c", b"b ", b"  ", b" c", b"b  ", b"  c", b"a"})
    ]
    async with any_storage.snapshot() as snapshot:
        assert await snapshot.strays() == {}


@pytest.mark.parametrize(
    ("change", "stray"),
    [
        ("DELETE FROM event_grams", "missing search entries"),
        ("UPDATE event_grams SET status = 'paused'", "search entries that match no event"),
        ("UPDATE event_grams SET gram = x'71'", "search entries that match no event"),
        ("UPDATE event_grams SET start_order = 5", "search entries that match no event"),
    ],
)
async def test_a_wrong_index_is_noticed(any_storage: SqlStorage, migrated_url: str, change: str, stray: str) -> None:
    await StorageDriver(any_storage).initialize(1, name="Jazz")
    await by_hand(migrated_url, f"{change} WHERE gram = x'6a'")
    async with any_storage.snapshot() as snapshot:
        assert await snapshot.strays() == {stray: 1}
