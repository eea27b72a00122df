"""The export of everything that is kept of an account, read page by page."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from boxoffice.application.accounts.change_profile import ReadProfile
from boxoffice.application.personal_data import export_account
from boxoffice.application.personal_data.export_account import AccountExport, ExportAccount
from boxoffice.application.tickets.name_ticket import TicketChanges
from boxoffice.domain.decisions.staff import StaffMember
from boxoffice.domain.event import EventStatus
from boxoffice.domain.policy import KeyRole, KeyScope, StaffRole
from boxoffice.domain.refusals import InvalidToken, NotAllowed
from boxoffice.domain.tickets.ticket import TicketStatus, ticket_id
from boxoffice.domain.user import Actor, Session, User
from boxoffice.domain.values.money import Money
from tests.application.fake_app import ANA, BEN, NOW, ORGANIZER, FakeApp

USER = User(id=ANA.user_id, name="Ana", email="ana@example.org", password_hash="hash", created_at=NOW)


@pytest.fixture
def export(app: FakeApp) -> ExportAccount:
    app.tables.users[USER.id] = USER
    return ExportAccount(app.storage, ReadProfile(app.storage.account_queries), app.clock)


async def read(found: AccountExport) -> dict[str, list[Any]]:
    return {name: [item async for page in pages for item in page] for name, pages in found.sections.items()}


@pytest.mark.parametrize("at_once", [1, 100])
async def test_all_that_is_the_accounts_is_exported_and_nothing_else(
    app: FakeApp, export: ExportAccount, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(export_account, "AT_ONCE", at_once)
    session = Session(id=app.ids.new(), user_id=USER.id, created_at=NOW, expires_at=NOW + timedelta(days=30))
    app.tables.sessions[session.id] = session
    app.tables.sessions_of[USER.id] = {session.id: None}
    own = [await app.event(actor=ANA), await app.event(actor=ANA, status=EventStatus.DRAFT)]
    other = await app.event(price=Money(500, "EUR"))
    member = StaffMember(id=app.ids.new(), event_id=other, user_id=USER.id, role=StaffRole.DESK, appointed_at=NOW)
    app.tables.staff[other] = {USER.id: member}
    cancelled = (await app.cancel(await app.book(other, ANA))).booking
    booking = await app.pay(await app.book(other, ANA, 2))
    grace = TicketChanges(booking_id=booking.id, ticket_id=ticket_id(booking.id, 3), actor=ANA, holder_name="Grace")
    await app.name_ticket(grace)
    of_ben = await app.pay(await app.book(other, BEN))
    waiting = await app.book(other, ORGANIZER)
    assert (of_ben.first_ticket_number, waiting.first_ticket_number) == (4, None)
    found = await export(ANA)
    assert found.user == USER
    kept = await read(found)
    assert list(kept) == [
        *("sessions", "bookings", "tickets", "payments", "events", "staff", "api_keys", "webhooks", "links"),
    ]
    assert kept["sessions"] == [session]
    assert [each.id for each in kept["bookings"]] == [booking.id, cancelled.id]
    tickets = [(each.number, each.booking_id, each.status, each.holder_name) for each in kept["tickets"]]
    assert tickets == [
        (2, booking.id, TicketStatus.VALID, None),
        (3, booking.id, TicketStatus.VALID, "Grace"),
        (1, cancelled.id, TicketStatus.VOID, None),
    ]
    assert [each.booking_id for each in kept["payments"]] == [booking.id]
    assert sorted(each.event.id for each in kept["events"]) == sorted(own)
    assert kept["staff"] == [(other, StaffRole.DESK)]
    assert (kept["api_keys"], kept["webhooks"], kept["links"]) == ([], [], [])


async def test_neither_a_key_nor_an_erased_account_exports(app: FakeApp, export: ExportAccount) -> None:
    with pytest.raises(NotAllowed):
        await export(Actor(USER.id, scope=KeyScope(KeyRole.READ)))
    app.tables.users[USER.id] = replace(USER, erased_at=NOW)
    with pytest.raises(InvalidToken):
        await export(ANA)


async def test_tickets_come_in_pages_of_bounded_size(
    app: FakeApp, export: ExportAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_account, "TICKETS_AT_ONCE", 3)
    for _ in range(2):
        await app.book(await app.event(5), ANA, 4)
    pages = [page async for page in (await export(ANA)).sections["tickets"]]
    assert [[each.number for each in page] for page in pages] == [[1, 2, 3], [4, 1, 2], [3, 4]]
