"""The search index of events: kept with them, and complete however little a search looks at."""

from datetime import timedelta
from random import Random
from typing import Final

import pytest

from boxoffice.adapters.sql.queries import event_lists
from boxoffice.adapters.sql.schema.mappers import DURATIONS
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.queries import EventFilter, EventPage
from boxoffice.domain.event import EventStatus, When
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.values.characters import folded
from tests.adapters.sql.recorded import by_hand
from tests.contract.storage_driver import NOW, ORGANIZER, STARTS_AT, StorageDriver

TICK: Final = timedelta(microseconds=1)
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
        for page in await pages(any_storage, EventFilter(now=NOW, statuses=frozenset(EventStatus)), 7)
        for state in page.events
    ]
    assert len(everything) == 60
    assert everything == sorted(everything, key=order)
    went_on = 0
    for _ in range(150):
        q = "".join(random.choices("aBßb\u0390 ", k=random.randint(1, 7)))
        limit = random.randint(1, 5)
        found = await pages(any_storage, EventFilter(now=NOW, statuses=PUBLIC, q=q), limit)
        assert all(len(page.events) <= limit for page in found)
        assert [state for page in found for state in page.events] == [
            state
            for state in everything
            if state.event.status in PUBLIC
            and any(folded(q) in folded(where) for where in (state.event.name, state.event.venue))
        ], q
        went_on += any(len(page.events) < limit and page.next for page in found)
    assert went_on > 10, "or no search had to go on"


async def test_events_that_are_over_or_are_not_are_found_as_by_a_look_at_every_event(
    any_storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they last, also for someone who may see more, and page by page."""
    monkeypatch.setattr(event_lists, "FIRST_READ", 1)
    monkeypatch.setattr(event_lists, "SECOND_READ", 2)
    driver, random = StorageDriver(any_storage), Random(2)
    durations = [timedelta(microseconds=1), *(each + more for each in DURATIONS for more in (timedelta(0), TICK))]
    starts = sorted({STARTS_AT + sign * each for each in durations for sign in (-1, 1)} | {STARTS_AT})
    for number in range(70):
        starts_at = random.choice([None, *(each for each in starts if each > NOW), *[STARTS_AT] * 5])
        ends_at = starts_at and random.choice([None, starts_at + random.choice(durations)])
        name = random.choice(["a", "ab", "abcd"])
        status = random.choice([EventStatus.DRAFT, EventStatus.ON_SALE])
        state = await driver.initialize(1, name=name, starts_at=starts_at, ends_at=ends_at, status=status)
        if number % 3:
            cancelled_or_moved: dict[str, object] = (
                {"status": EventStatus.CANCELLED} if number % 2 else {"ends_at": None}
            )
            await driver.edit(state, **cancelled_or_moved)
    everything = [
        state
        for page in await pages(any_storage, EventFilter(now=NOW, statuses=frozenset(EventStatus)), 7)
        for state in page.events
    ]
    times = {
        STARTS_AT,
        *(each.event.starts_at for each in everything if each.event.starts_at),
        *(each.event.ends_at + shift for each in everything if each.event.ends_at for shift in (timedelta(0), -TICK)),
    }
    counts = dict.fromkeys(When, 0)
    for now in random.sample(sorted(times), 12):
        for when in When:
            for hides in (False, True):
                for q in (None, "a", "abcd"):
                    wanted = EventFilter(
                        now=now,
                        when=when,
                        statuses=frozenset({EventStatus.CANCELLED} if hides else PUBLIC),
                        q=q,
                        hides_unpublished=hides,
                        viewer_id=random.choice([ORGANIZER.user_id, None]) if hides else None,
                    )
                    found = await pages(any_storage, wanted, random.randint(1, 9))
                    shown = [
                        state
                        for state in everything
                        if state.event.status in wanted.statuses
                        and (q is None or q in state.event.name)
                        and (not hides or state.event.was_published or wanted.viewer_id == ORGANIZER.user_id)
                        and (when is When.ALL or state.event.is_over(now) is (when is When.PAST))
                    ]
                    assert [state for page in found for state in page.events] == shown, wanted
                    counts[when] += len(shown)
    assert min(counts.values()) > 100


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
