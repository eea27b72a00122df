"""What looking for a few rows costs among 250,000 bookings and 50,000 events: no statement walks over a table.

With `--long` it is a million bookings and 100,000 events.

Costs are counted in rows, not in seconds: by the servers' counters, and by the steps of SQLite's virtual machine.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.sql.queries.bookings import SECOND_READ as BOOKINGS_READ
from boxoffice.adapters.sql.queries.event_lists import SECOND_READ
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.queries import EventFilter, EventKey, WaitingKey
from boxoffice.application.ports.security import AccountKey
from boxoffice.domain.booking import BookingStatus, Place
from boxoffice.domain.event import EventStatus, When
from boxoffice.domain.payment import ChargeStatus, Need
from tests import mariadb, servers
from tests.adapters.sql import crowded
from tests.adapters.sql.recorded import Sent, cost, is_sqlite, measuring, recording, walked
from tests.contract.storage_driver import NOW, StorageDriver, new_id
from tests.databases import migrated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PUBLIC: Final = frozenset({EventStatus.ON_SALE, EventStatus.PAUSED})
CANCELLED: Final = EventFilter(now=NOW, statuses=frozenset({EventStatus.CANCELLED}), hides_unpublished=True)
FIRST, FIRST_TYPE = crowded.event_id(1), crowded.ticket_type_id(1)
LAST_IN_FIRST: Final = crowded.booking_id(crowded.CONFIRMED_FIRST + crowded.WAITING_FIRST)
MIDWAY: Final = crowded.STARTS_AT + timedelta(hours=crowded.EVENTS // 16)
"""When half of the events that have a start have begun: most are over, and a hundredth of them is not for years."""
TIMED: Final = [EventFilter(now=MIDWAY, statuses=PUBLIC, when=when) for when in (When.UPCOMING, When.PAST)]
IN_NO_EVENT: Final = "hohohoho"
"""Every three letters of it are in two sevenths of all names, and it is in none."""
TEXTS: Final = ("o", "zz", "jazz", crowded.name(38_857), IN_NO_EVENT, "q" * 200)
A_PAGE: Final = 51

CONSTANT: Final = 100
"""Reads of any statement, such as those of its tables' statistics."""


@pytest.fixture(scope="module", params=["sqlite", pytest.param(servers.KIND, marks=pytest.mark.mysql)])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A crowded database, one for all tests here; they leave little behind."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("crowded") / "boxoffice.db"
        url = migrated(f"sqlite+aiosqlite:///{path}")
        crowded.fill_sqlite(url)
        yield url
        path.unlink()
        return
    template: Path = request.getfixturevalue("server_template")
    with servers.server(template) as server, mariadb.fresh_database(server.admin_url) as url:
        migrated(url)
        crowded.fill_server(url, servers.KIND)
        yield url


@pytest.fixture
async def storage(url: str) -> AsyncIterator[SqlStorage]:
    """A storage on it."""
    storage = SqlStorage.from_url(url)
    yield storage
    await storage.close()


async def read_payments(storage: SqlStorage) -> None:
    """Every read of charges and refunds."""
    await storage.payment_queries.payments(LAST_IN_FIRST)
    await storage.payment_queries.open_payments(NOW, 10)
    for payment_status in (None, ChargeStatus.PENDING):
        for before in (None, LAST_IN_FIRST):
            await storage.payment_queries.payments_of_event(FIRST, payment_status, before, A_PAGE)
    for need in Need:
        await storage.payment_queries.needing_payments(need, NOW, LAST_IN_FIRST, A_PAGE)
    await storage.statistics.payments_due(NOW)


async def read_who_comes(storage: SqlStorage) -> None:
    """Every read of attendees, of customers, and of the events that a person organizes or works for."""
    for after in (0, crowded.CONFIRMED_FIRST // 2, crowded.CONFIRMED_FIRST):
        await storage.booking_queries.attending_bookings(FIRST, after, A_PAGE)
    for status in (None, BookingStatus.WAITLISTED):
        for before in (None, LAST_IN_FIRST):
            await storage.booking_queries.search_bookings(FIRST, IN_NO_EVENT, status, before, 50)
    await storage.account_queries.customers([crowded.customer_id(number) for number in range(A_PAGE)])
    mine = EventFilter(now=MIDWAY, statuses=frozenset(EventStatus), member_id=crowded.organizer_id(1))
    for key in (None, EventKey(crowded.starts_at(20_001), crowded.event_id(20_001))):
        for when in When:
            for q in (None, "jazz"):
                await storage.event_queries.events(replace(mine, when=when, q=q), key, 50)
    await storage.event_queries.unnumbered_events(10)


async def read_everything(storage: SqlStorage) -> None:
    """Every read, with all that it may be asked for."""
    place = EventKey(crowded.starts_at(20_001), crowded.event_id(20_001))
    without_start = EventKey(None, crowded.event_id(30_000))
    await storage.event_queries.events_by_id([crowded.event_id(number) for number in range(1, 100)])
    for after in (None, place, without_start):
        for wanted in (
            EventFilter(now=NOW, statuses=PUBLIC),
            EventFilter(now=NOW, statuses=frozenset({EventStatus.COMPLETED})),
            CANCELLED,
            replace(CANCELLED, viewer_id=crowded.organizer_id(1)),
            replace(CANCELLED, q="jazz"),
            replace(CANCELLED, q="jazz", viewer_id=crowded.organizer_id(1)),
            EventFilter(now=NOW, statuses=frozenset({EventStatus.DRAFT}), organizer_id=new_id()),
            EventFilter(now=NOW, statuses=frozenset({EventStatus.DRAFT}), organizer_id=new_id(), q="jazz"),
            *(EventFilter(now=NOW, statuses=PUBLIC, q=q) for q in TEXTS),
            *(replace(each, q=q) for each in TIMED for q in (None, *TEXTS)),
            *(replace(CANCELLED, now=MIDWAY, when=each.when, viewer_id=crowded.organizer_id(1)) for each in TIMED),
            *(replace(each, organizer_id=crowded.organizer_id(1)) for each in TIMED),
        ):
            await storage.event_queries.events(wanted, after, 50)
    await storage.booking_queries.owner_of(LAST_IN_FIRST)
    await storage.booking_queries.booking(LAST_IN_FIRST)
    for status in (None, BookingStatus.WAITLISTED, BookingStatus.CONFIRMED):
        for before in (None, LAST_IN_FIRST):
            await storage.booking_queries.bookings_of_customer(crowded.CUSTOMER, status, before, A_PAGE)
            await storage.booking_queries.bookings_of_event(FIRST, status, before, A_PAGE)
    for type_id in (None, FIRST_TYPE):
        for key in (None, WaitingKey(0, crowded.WAITING_FIRST - 5_000)):
            await storage.booking_queries.waiting_list(FIRST, type_id, key, A_PAGE)
    await storage.event_queries.facts(FIRST, 0, A_PAGE)
    await read_payments(storage)
    await read_who_comes(storage)
    await storage.event_queries.lapsing_events(NOW, 10)
    await storage.account_queries.user_by_email("ann@example.org")
    for user in (None, new_id()):
        await storage.account_queries.users(user, A_PAGE)
        await storage.event_queries.unsettled_events(user, A_PAGE)
    await storage.account_queries.revocations(NOW - timedelta(minutes=15))
    await storage.account_queries.accounts([AccountKey(new_id(), new_id()), AccountKey(new_id())])
    await storage.staff_queries.role(FIRST, new_id())
    for after_user in (None, new_id()):
        await storage.staff_queries.staff(FIRST, after_user, A_PAGE)


async def take_the_booking_path(storage: SqlStorage, confirmed_id: UUID) -> None:
    """Initialize, book, join a waiting list, cancel, promote, edit."""
    driver = StorageDriver(storage)
    state = await driver.initialize(1)
    for _ in range(2):
        await driver.book(state)
    first = (await storage.event_queries.events_by_id([FIRST]))[FIRST]
    await driver.cancel(await driver.book(first))
    confirmed = await storage.booking_queries.booking(confirmed_id)
    assert confirmed is not None
    await driver.cancel(confirmed.booking)
    await driver.settle(first, now=NOW)
    for changes in ({"name": "Another name"}, {"total_tickets": 5}, {"status": EventStatus.PAUSED}):
        await driver.edit(state, **changes)


def is_a_page_of_everything(sent: Sent) -> bool:
    """The first accounts by their ids: their index, from its beginning."""
    return "FROM users ORDER BY users.id" in " ".join(sent.text.split())


async def test_no_statement_looks_through_a_table_or_reads_more_than_it_is_about(storage: SqlStorage, url: str) -> None:
    with recording(storage) as sent:
        await read_everything(storage)
        await take_the_booking_path(storage, crowded.booking_id(1))
    of_rows = list({each.text: each for each in sent if each.is_of_rows and not is_a_page_of_everything(each)}.values())
    assert len(of_rows) > 40
    found = {each.text: plan for each in of_rows if (plan := await walked(url, each))}
    assert not found
    if is_sqlite(url):
        return
    with measuring(storage) as measured:
        await take_the_booking_path(storage, crowded.booking_id(2))
    assert len(measured) > 40
    assert [each for each in measured if each.reads > 4 * each.rows + CONSTANT] == []


async def costs(url: str, sent: list[Sent]) -> int:
    """Sum what the reads among it cost."""
    return sum([await cost(url, each) for each in sent if each.pool != "writing"])


@pytest.mark.parametrize("after", [None, EventKey(None, crowded.event_id(30_000))], ids=["first", "without a start"])
@pytest.mark.parametrize("q", [None, *TEXTS[:4], "absent"])
async def test_a_page_of_events_costs_what_it_shows(
    storage: SqlStorage, url: str, q: str | None, after: EventKey | None
) -> None:
    with recording(storage) as sent:
        await storage.event_queries.events(EventFilter(now=NOW, statuses=PUBLIC, q=q), after, 50)
    assert await costs(url, sent) < 4_000


@pytest.mark.parametrize("when", [When.UPCOMING, When.PAST])
@pytest.mark.parametrize("q", [None, "o", "jazz", crowded.name(38_857)])
async def test_a_page_of_events_that_are_over_or_are_not_costs_what_it_shows(
    storage: SqlStorage, url: str, q: str | None, when: When
) -> None:
    """The first page, the ones after it, and one far behind."""
    wanted = EventFilter(now=MIDWAY, statuses=PUBLIC, when=when, q=q)
    after, shown = None, 0
    for place in (None, None, None, EventKey(crowded.starts_at(20_001), crowded.event_id(20_001))):
        with recording(storage) as sent:
            page = await storage.event_queries.events(wanted, place or after, 50)
        assert await costs(url, sent) < 8_000
        assert all(each.event.is_over(MIDWAY) is (when is When.PAST) for each in page.events)
        after, shown = page.next, shown + len(page.events)
    assert shown > 150 or q == crowded.name(38_857)


async def test_cancelled_events_that_are_hidden_cost_nothing(storage: SqlStorage, url: str) -> None:
    for viewer_id in (None, new_id(), crowded.organizer_id(1)):
        with recording(storage) as sent:
            page = await storage.event_queries.events(replace(CANCELLED, viewer_id=viewer_id), None, 50)
        assert len(page.events) == 50
        assert await costs(url, sent) < 4_000
    with recording(storage) as sent:
        page = await storage.event_queries.events(replace(CANCELLED, q="o"), None, 50)
    assert page.next is not None
    assert await costs(url, sent) < 12 * SECOND_READ


async def test_a_text_in_no_event_costs_a_bounded_number_of_rows_and_comes_to_its_end(
    storage: SqlStorage, url: str
) -> None:
    wanted = EventFilter(now=NOW, statuses=PUBLIC, q=IN_NO_EVENT)
    with recording(storage) as sent:
        page = await storage.event_queries.events(wanted, None, 50)
    assert await costs(url, sent) < 12 * SECOND_READ
    pages = 1
    while page.next is not None:
        assert page.events == []
        page = await storage.event_queries.events(wanted, page.next, 50)
        pages += 1
    assert 1 < pages < crowded.EVENTS / SECOND_READ


async def test_a_place_costs_the_same_behind_a_hundred_thousand(storage: SqlStorage, url: str) -> None:
    with recording(storage) as sent:
        found = await storage.booking_queries.booking(LAST_IN_FIRST)
    assert found is not None
    assert found.booking.place is not None
    assert crowded.WAITING_FIRST - found.booking.place.position <= 2, "up to two may have been promoted"
    assert await costs(url, sent) < 500


async def test_places_at_the_end_of_many_lists_cost_a_few_rows_each(storage: SqlStorage, url: str) -> None:
    with recording(storage) as sent:
        found = await storage.booking_queries.bookings_of_customer(crowded.CUSTOMER, None, None, A_PAGE)
    places = [each.place for each in found if each.place is not None]
    assert places.count(Place(crowded.WAITING, crowded.WAITING - 1)) == crowded.LISTS
    assert await costs(url, sent) < 500 * (crowded.LISTS + 1)


async def test_a_page_deep_in_a_waiting_list_costs_what_it_shows(storage: SqlStorage, url: str) -> None:
    with recording(storage) as sent:
        found = await storage.booking_queries.waiting_list(
            FIRST, None, WaitingKey(0, crowded.WAITING_FIRST - 5_000), A_PAGE
        )
    assert len(found) == A_PAGE
    assert await costs(url, sent) < 1_500


@pytest.mark.parametrize("after", [0, crowded.CONFIRMED_FIRST - 1_000])
async def test_a_page_of_attendees_costs_what_it_shows(storage: SqlStorage, url: str, after: int) -> None:
    with recording(storage) as sent:
        found = await storage.booking_queries.attending_bookings(FIRST, after, A_PAGE)
    assert [each.first_ticket_number for each in found] == list(range(after + 1, after + 1 + A_PAGE))
    assert await costs(url, sent) < 1_500


@pytest.mark.parametrize("status", [None, BookingStatus.CONFIRMED])
async def test_a_search_of_customers_costs_a_bounded_number_of_rows(
    storage: SqlStorage, url: str, status: BookingStatus | None
) -> None:
    """Among 150,000 bookings, nearly all of which it leaves for the next page."""
    with recording(storage) as sent:
        page = await storage.booking_queries.search_bookings(FIRST, IN_NO_EVENT, status, None, 50)
    assert (page.bookings, page.next is None) == ([], False)
    assert await costs(url, sent) < 20 * (BOOKINGS_READ + 4 * A_PAGE)
