"""What a million bookings and 100,000 events cost those who look for a few of them: no statement walks over a table.

Costs are counted in rows, not in seconds: by MariaDB's counters, and by the steps of SQLite's virtual machine.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from boxoffice.adapters.sql.queries.events import SECOND_LOOK
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.queries import EventFilter, EventKey, WaitingKey
from boxoffice.application.ports.security import AccountKey
from boxoffice.domain.booking import BookingStatus, Place
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.cancel import Cancel
from boxoffice.domain.decisions.organize import Edit, Initialize, general_admission
from boxoffice.domain.event import EventChanges, EventDetails, EventStatus
from boxoffice.domain.user import Actor, Role
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.contract.box_office import NOW, new_id
from tests.databases import migrated

from . import crowded
from .recorded import Sent, cost, recording, walked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PUBLIC: Final = frozenset({EventStatus.ON_SALE, EventStatus.PAUSED})
CANCELLED: Final = EventFilter(statuses=frozenset({EventStatus.CANCELLED}), hides_unpublished=True)
FIRST, FIRST_TYPE = crowded.event_id(1), crowded.ticket_type_id(1)
LAST_IN_FIRST: Final = crowded.booking_id(crowded.CONFIRMED_FIRST + crowded.WAITING_FIRST)
IN_NO_EVENT: Final = "hohohoho"
"""Every three letters of it are in two sevenths of all names, and it is in none."""
TEXTS: Final = ("o", "zz", "jazz", crowded.name(77_777), IN_NO_EVENT, "q" * 200)
A_PAGE: Final = 51


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mysql)])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A crowded database, one for all tests here; they leave little behind."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("crowded") / "boxoffice.db"
        url = migrated(f"sqlite+aiosqlite:///{path}")
        crowded.fill_sqlite(url)
        yield url
        path.unlink()
        return
    template: Path = request.getfixturevalue("mariadb_template")
    with mariadb.MariaDB(template) as server, mariadb.fresh_database(server.admin_url) as url:
        migrated(url)
        crowded.fill_mariadb(url)
        yield url


@pytest.fixture
async def container(url: str) -> AsyncIterator[Container]:
    """The use cases on it."""
    container = make_container(Settings(database_url=url))
    yield container
    await container.turnstile().close()
    await container.storage().close()


@pytest.fixture
def storage(container: Container) -> SqlStorage:
    """Its storage."""
    storage = container.storage()
    assert isinstance(storage, SqlStorage)
    return storage


async def read_everything(storage: SqlStorage) -> None:
    """Every read, with all that it may be asked for."""
    reads = storage
    place = EventKey(crowded.starts_at(40_001), crowded.event_id(40_001))
    without_start = EventKey(None, crowded.event_id(60_000))
    await reads.event_queries.events_by_id([crowded.event_id(number) for number in range(1, 100)])
    for after in (None, place, without_start):
        for wanted in (
            EventFilter(statuses=PUBLIC),
            EventFilter(statuses=frozenset({EventStatus.COMPLETED})),
            CANCELLED,
            replace(CANCELLED, viewer_id=crowded.organizer_id(1)),
            replace(CANCELLED, q="jazz"),
            replace(CANCELLED, q="jazz", viewer_id=crowded.organizer_id(1)),
            EventFilter(statuses=frozenset({EventStatus.DRAFT}), organizer_id=new_id()),
            EventFilter(statuses=frozenset({EventStatus.DRAFT}), organizer_id=new_id(), q="jazz"),
            *(
                EventFilter(statuses=PUBLIC, q=q)
                for q in ("o", "zz", "jazz", crowded.name(77_777), IN_NO_EVENT, "q" * 200)
            ),
        ):
            await reads.event_queries.events(wanted, after, 50)
    await reads.booking_queries.event_of(LAST_IN_FIRST)
    await reads.booking_queries.booking(LAST_IN_FIRST)
    for status in (None, BookingStatus.WAITLISTED, BookingStatus.CONFIRMED):
        for before in (None, LAST_IN_FIRST):
            await reads.booking_queries.bookings_of_customer(crowded.CUSTOMER, status, before, A_PAGE)
            await reads.booking_queries.bookings_of_event(FIRST, status, before, A_PAGE)
    for type_id in (None, FIRST_TYPE):
        for key in (None, WaitingKey(0, crowded.WAITING_FIRST - 5_000)):
            await reads.booking_queries.waiting_list(FIRST, type_id, key, A_PAGE)
    await reads.event_queries.facts(FIRST, 0, A_PAGE)
    await reads.payment_queries.payments(LAST_IN_FIRST)
    await reads.payment_queries.open_payments(NOW, 10)
    await reads.event_queries.lapsing_events(NOW, 10)
    await reads.account_queries.user_by_email("ann@example.org")
    for user in (None, new_id()):
        await reads.account_queries.users(user, A_PAGE)
        await reads.event_queries.unsettled_events(user, A_PAGE)
    await reads.account_queries.revocations(NOW - timedelta(minutes=15))
    await reads.account_queries.accounts([AccountKey(new_id(), new_id()), AccountKey(new_id())])


async def take_the_booking_path(container: Container) -> None:
    """Initialize, book, join a waiting list, cancel, promote, edit."""
    organizer = Actor(new_id(), Role.ORGANIZER)
    state = await container.initialize_event()(
        Initialize(
            event_id=new_id(),
            actor=organizer,
            details=EventDetails(name="A new one"),
            ticket_types=((new_id(), general_admission(1)),),
            currency="EUR",
        )
    )
    book, cancel = container.book_ticket(), container.cancel_booking()
    for event_id in (state.event.id, state.event.id):
        await book(Book(booking_id=new_id(), event_id=event_id, actor=Actor(new_id())))
    booking = await book(Book(booking_id=new_id(), event_id=FIRST, actor=Actor(new_id())))
    await cancel(Cancel(event_id=FIRST, booking_id=booking.id, actor=Actor(booking.customer_id)))
    confirmed = await container.storage().booking_queries.booking(crowded.booking_id(1))
    assert confirmed is not None
    await cancel(Cancel(event_id=FIRST, booking_id=confirmed.booking.id, actor=Actor(confirmed.booking.customer_id)))
    await container.promote_from_waitlist()(FIRST)
    for changes in (
        EventChanges(name="Another name"),
        EventChanges(total_tickets=5),
        EventChanges(status=EventStatus.PAUSED),
    ):
        await container.change_event()(Edit(event_id=state.event.id, actor=organizer, changes=changes))


def is_a_page_of_everything(sent: Sent) -> bool:
    """The first accounts by their ids: their index, from its beginning."""
    return "FROM users ORDER BY users.id" in " ".join(sent.text.split())


async def test_no_statement_looks_through_a_table(container: Container, storage: SqlStorage, url: str) -> None:
    with recording(storage) as sent:
        await read_everything(storage)
        await take_the_booking_path(container)
    of_rows = list({each.text: each for each in sent if each.is_of_rows and not is_a_page_of_everything(each)}.values())
    assert len(of_rows) > 40
    found = {each.text: plan for each in of_rows if (plan := await walked(storage, url, each))}
    assert not found


async def costs(storage: SqlStorage, url: str, sent: list[Sent]) -> int:
    """What all of it costs that was sent to read."""
    return sum([await cost(storage, url, each) for each in sent if each.pool != "writing"])


@pytest.mark.parametrize("after", [None, EventKey(None, crowded.event_id(60_000))], ids=["first", "without a start"])
@pytest.mark.parametrize("q", [None, "o", "zz", "jazz", crowded.name(77_777), "absent"])
async def test_a_page_of_events_costs_what_it_shows(
    storage: SqlStorage, url: str, q: str | None, after: EventKey | None
) -> None:
    with recording(storage) as sent:
        await storage.event_queries.events(EventFilter(statuses=PUBLIC, q=q), after, 50)
    assert await costs(storage, url, sent) < 4_000


async def test_cancelled_events_that_are_hidden_cost_nothing(storage: SqlStorage, url: str) -> None:
    for viewer_id in (None, new_id(), crowded.organizer_id(1)):
        with recording(storage) as sent:
            page = await storage.event_queries.events(replace(CANCELLED, viewer_id=viewer_id), None, 50)
        assert len(page.events) == 50
        assert await costs(storage, url, sent) < 4_000
    with recording(storage) as sent:
        page = await storage.event_queries.events(replace(CANCELLED, q="o"), None, 50)
    assert page.next is not None
    assert await costs(storage, url, sent) < 12 * SECOND_LOOK


async def test_a_text_that_is_nowhere_costs_a_bounded_number_of_rows(storage: SqlStorage, url: str) -> None:
    wanted = EventFilter(statuses=PUBLIC, q=IN_NO_EVENT)
    with recording(storage) as sent:
        page = await storage.event_queries.events(wanted, None, 50)
    assert page.events == []
    assert page.next is not None
    assert await costs(storage, url, sent) < 12 * SECOND_LOOK


async def test_a_search_that_goes_on_comes_to_the_end(storage: SqlStorage) -> None:
    wanted = EventFilter(statuses=PUBLIC, q=IN_NO_EVENT)
    page = await storage.event_queries.events(wanted, None, 50)
    pages = 1
    while page.next is not None:
        page = await storage.event_queries.events(wanted, page.next, 50)
        pages += 1
        assert page.events == []
    assert 1 < pages < crowded.EVENTS / SECOND_LOOK


async def test_a_place_costs_the_same_behind_hundreds_of_thousands(storage: SqlStorage, url: str) -> None:
    with recording(storage) as sent:
        found = await storage.booking_queries.booking(LAST_IN_FIRST)
    assert found is not None
    assert found.booking.place is not None
    assert crowded.WAITING_FIRST - found.booking.place.position <= 1, "one more may have been promoted"
    assert await costs(storage, url, sent) < 500


async def test_places_at_the_end_of_many_lists_cost_a_few_rows_each(storage: SqlStorage, url: str) -> None:
    with recording(storage) as sent:
        found = await storage.booking_queries.bookings_of_customer(crowded.CUSTOMER, None, None, A_PAGE)
    places = [each.place for each in found if each.place is not None]
    assert places.count(Place(crowded.WAITING, crowded.WAITING - 1)) == crowded.LISTS
    assert await costs(storage, url, sent) < 500 * (crowded.LISTS + 1)


async def test_a_page_deep_in_a_waiting_list_costs_what_it_shows(storage: SqlStorage, url: str) -> None:
    with recording(storage) as sent:
        found = await storage.booking_queries.waiting_list(
            FIRST, None, WaitingKey(0, crowded.WAITING_FIRST - 5_000), A_PAGE
        )
    assert len(found) == A_PAGE
    assert await costs(storage, url, sent) < 1_500
