"""Who comes: customers in the lists of an event, and its tickets with their holders."""

from uuid import UUID

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from boxoffice.application.bookings.attendees import Attendee
from boxoffice.application.ports.queries import Customer
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.decisions.staff import StaffMember
from boxoffice.domain.policy import KeyRole, KeyScope, StaffRole
from boxoffice.domain.refusals import NotAllowed, NotFound
from boxoffice.domain.tickets.ticket import Ticket, TicketStatus, ticket_id
from boxoffice.domain.tickets.ticket_type import TicketTypeSpec
from boxoffice.domain.user import Actor, User
from tests.application.fake_app import ADMIN, ANA, BEN, CLEO, NOW, ORGANIZER, STRANGER, FakeApp, customer

DESK, DOOR = customer(100), customer(101)
VALID, VOID = TicketStatus.VALID, TicketStatus.VOID
AT_ONCE = "boxoffice.application.bookings.attendees.AT_ONCE"


async def account(app: FakeApp, actor: Actor, name: str, email: str | None, *, is_erased: bool = False) -> None:
    """Store an account."""
    user = User(
        id=actor.user_id,
        name=name,
        email=email,
        password_hash=None,
        created_at=NOW,
        erased_at=NOW if is_erased else None,
    )
    async with app.storage.begin() as unit_of_work:
        await unit_of_work.users.add(user)
        await unit_of_work.commit()


async def staffed(app: FakeApp, event_id: UUID) -> None:
    """Let someone work at the desk and someone at the door."""
    async with app.storage.begin() as unit_of_work:
        for actor, role in ((DESK, StaffRole.DESK), (DOOR, StaffRole.DOOR)):
            await unit_of_work.staff.add(
                StaffMember(id=app.ids.new(), event_id=event_id, user_id=actor.user_id, role=role, appointed_at=NOW)
            )
        await unit_of_work.commit()


async def busy_event(app: FakeApp) -> UUID:
    """Ana's tickets 1 and 2 are void, Ben has 3, Cleo, whose account is erased, 4 and 5; another one waits."""
    await account(app, ANA, "Ana", "ana@example.org")
    await account(app, BEN, "Ben", None)
    await account(app, CLEO, "", None, is_erased=True)
    types = [TicketTypeSpec(name="Stalls", total_tickets=3), TicketTypeSpec(name="Balcony", total_tickets=2)]
    event_id = await app.event(types=types)
    await staffed(app, event_id)
    stalls, balcony = await app.type_ids(event_id)
    first = await app.book(event_id, ANA, 2, stalls)
    await app.book(event_id, BEN, 1, stalls)
    await app.book(event_id, CLEO, 2, balcony)
    await app.book(event_id, customer(1), 1, balcony)
    await app.cancel(first)
    return event_id


async def test_attendees_are_listed_by_ticket_number_from_any_of_them(app: FakeApp) -> None:
    event_id = await busy_event(app)
    page = await app.list_attendees(event_id, ORGANIZER)
    assert page.next is None
    assert page.shows_addresses
    shown = [(each.number, each.holder_name, each.email, each.ticket_type_name, each.status) for each in page.attendees]
    assert shown == [
        (1, "Ana", "ana@example.org", "Stalls", VOID),
        (2, "Ana", "ana@example.org", "Stalls", VOID),
        (3, "Ben", None, "Stalls", VALID),
        (4, None, None, "Balcony", VALID),
        (5, None, None, "Balcony", VALID),
    ]
    assert len({each.ticket_id for each in page.attendees}) == 5
    for each in page.attendees:
        booking = await app.booking(each.booking_id)
        assert each.number in booking.ticket_numbers
        assert (each.ticket_id, each.ticket_type_id) == (ticket_id(booking.id, each.number), booking.ticket_type_id)
    for limit in range(1, 6):
        found: list[Attendee] = []
        after: int | None = 0
        while after is not None:
            some = await app.list_attendees(event_id, DESK, after=after, limit=limit)
            assert len(some.attendees) == min(limit, 5 - after)
            found += some.attendees
            after = some.next
        assert found == page.attendees
    assert (await app.list_attendees(await app.event(), ORGANIZER)).attendees == []


async def test_only_the_desk_and_up_see_addresses_and_strangers_see_nothing(app: FakeApp) -> None:
    event_id = await busy_event(app)
    door_key = replace(ORGANIZER, scope=KeyScope(role=KeyRole.DOOR))
    for actor, is_shown in ((ADMIN, True), (DESK, True), (DOOR, False), (door_key, False)):
        page = await app.list_attendees(event_id, actor)
        export = await app.export_attendees(event_id, actor)
        exported = [attendee async for part in export.parts for attendee in part]
        assert page.shows_addresses is export.shows_addresses is is_shown
        for attendees in (page.attendees, exported):
            assert [each.email for each in attendees] == ["ana@example.org" if is_shown else None] * 2 + [None] * 3
            assert [each.holder_name for each in attendees] == ["Ana", "Ana", "Ben", None, None]
    for act in (app.list_attendees, app.export_attendees):
        for actor in (STRANGER, ANA):
            with pytest.raises(NotAllowed):
                await act(event_id, actor)
        with pytest.raises(NotFound):
            await act(UUID(int=77), ADMIN)


@pytest.mark.parametrize("at_once", [1, 2, 500])
async def test_an_export_has_what_was_confirmed_when_it_began(
    app: FakeApp, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if more are confirmed meanwhile, of which one shares a page with the last one of these."""
    monkeypatch.setattr(AT_ONCE, at_once)
    event_id = await app.event(20)
    bookings = await app.crowd(event_id, 5)
    export = await app.export_attendees(event_id, ORGANIZER)
    parts = []
    async for part in export.parts:
        parts.append([each.number for each in part])
        await app.crowd(event_id, 2, first=10 * len(parts))
    assert [number for part in parts for number in part] == [1, 2, 3, 4, 5]
    assert len(parts) == -(-len(bookings) // at_once)


@pytest.mark.parametrize("rows_at_once", [1, 2, 5_000])
async def test_what_happened_to_single_tickets_is_shown(
    app: FakeApp, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boxoffice.application.bookings.attendees.ROWS_AT_ONCE", rows_at_once)
    event_id = await busy_event(app)
    tickets = [(each.number, each.booking_id) for each in (await app.list_attendees(event_id, ORGANIZER)).attendees]
    for number, booking_id in tickets:
        ticket = Ticket(booking_id=booking_id, event_id=event_id, number=number, checked_in_at=NOW)
        app.tables.tickets.setdefault(booking_id, {})[number] = ticket
    last = app.tables.tickets[tickets[4][1]]
    last[4] = replace(last[4], holder_name="Dora", checked_in_at=None)
    last[5] = replace(last[5], is_returned=True)
    expected = [
        (1, "Ana", VOID, NOW),
        (2, "Ana", VOID, NOW),
        (3, "Ben", TicketStatus.USED, NOW),
        (4, "Dora", VALID, None),
        (5, None, VOID, NOW),
    ]
    exported = [each async for part in (await app.export_attendees(event_id, ORGANIZER)).parts for each in part]
    listed = [
        each
        for after in range(0, 6, 2)
        for each in (await app.list_attendees(event_id, ORGANIZER, after=after, limit=2)).attendees
    ]
    for found in (exported, listed):
        assert [(each.number, each.holder_name, each.status, each.checked_in_at) for each in found] == expected


async def test_an_export_ends_where_tickets_have_no_numbers_yet(app: FakeApp) -> None:
    event_id = await app.event(1)
    event = app.tables.events[event_id]
    app.tables.events[event_id] = replace(event, last_ticket_number=3)
    assert [part async for part in (await app.export_attendees(event_id, ORGANIZER)).parts] == []


async def test_customers_are_shown_in_an_events_lists_and_not_in_ones_own(app: FakeApp) -> None:
    event_id = await busy_event(app)
    ana, ben = Customer(ANA.user_id, "Ana", "ana@example.org"), Customer(BEN.user_id, "Ben", None)
    listed = (await app.list_event_bookings(event_id, DESK)).items
    assert [each.customer for each in listed] == [None, None, ben, ana], "the first has no account here"
    for each, shown in ((listed[3], ana), (listed[1], None)):
        for actor in (ORGANIZER, DESK, ADMIN):
            assert (await app.read_booking(each.booking.id, actor)).customer == shown
    assert (await app.read_booking(listed[3].booking.id, ANA)).customer is UNSET
    with pytest.raises(NotFound):
        await app.read_booking(listed[3].booking.id, DOOR)
    assert [each.customer for each in (await app.read_waiting_list(event_id, DESK)).items] == [None]


async def test_customers_are_found_by_name_and_address(app: FakeApp) -> None:
    event_id = await busy_event(app)

    async def found(q: str, status: BookingStatus | None = None) -> list[str]:
        page = await app.list_event_bookings(event_id, DESK, q=q, status=status)
        assert page.next is None
        return [each.customer.name for each in page.items if each.customer]

    assert await found("n") == ["Ben", "Ana"]
    assert await found("AN") == await found("@EXAMPLE") == ["Ana"]
    assert await found("n", BookingStatus.CANCELLED) == ["Ana"]
    assert await found("x%") == []
    first = await app.list_event_bookings(event_id, DESK, q="n", limit=1)
    rest = await app.list_event_bookings(event_id, DESK, q="n", limit=1, before=first.next)
    assert [each.customer for each in (*first.items, *rest.items)] == [
        Customer(BEN.user_id, "Ben", None),
        Customer(ANA.user_id, "Ana", "ana@example.org"),
    ]
    assert rest.next is None
