"""The use cases of the door: codes are read and judged, holders are named, and what a scanner needs is read."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step
from boxoffice.application.door.queries import ReissuedTicket, UsedTicket
from boxoffice.application.door.record_check_ins import CodeScan, ScanSeen
from boxoffice.application.ports.errors import OutcomeUnknown
from boxoffice.application.ports.idempotency import Replayed
from boxoffice.application.ports.ticket_codes import TicketRef
from boxoffice.domain.booking import Booking
from boxoffice.domain.policy import StaffRole
from boxoffice.domain.refusals import NotAllowed, NotFound
from boxoffice.domain.tickets.check_in import ScanResult
from boxoffice.domain.tickets.ticket import Ticket, ticket_id
from boxoffice.domain.user import Actor
from tests.application.fake_app import ANA, BEN, NOW, ORGANIZER, STRANGER, FakeApp, once

ADMITTED, USED, VOID, UNKNOWN, OTHER_EVENT = ScanResult
DOOR = StaffRole.DOOR


def at(minute: float) -> Any:
    """So many minutes after `NOW`."""
    return NOW + timedelta(minutes=minute)


class Scanner:
    """A scanner of an event."""

    def __init__(self, app: FakeApp, event_id: UUID, actor: Actor = ORGANIZER) -> None:
        self.app = app
        self.event_id = event_id
        self.actor = actor

    async def scan(self, booking: Booking, ticket: int = 0, *, after: float = 0, **values: Any) -> CodeScan:
        """A new scan of a ticket's code, so many minutes after `NOW`."""
        number = booking.ticket_numbers[ticket]
        ref = TicketRef(booking.event_id, ticket_id(booking.id, number), 1)
        code = await self.app.ticket_codes.code(ref)
        return CodeScan(id=self.app.ids.new(), code=code, at=at(after), device="Gate", **values)

    async def check_in(self, *scans: CodeScan, **options: Any) -> list[ScanSeen]:
        """Record scans."""
        return await self.app.record_check_ins(self.event_id, scans, self.actor, **options)

    async def results(self, *scans: CodeScan) -> list[ScanResult]:
        """What scans are answered."""
        return [each.result for each in await self.check_in(*scans)]


async def test_codes_are_read_and_their_holders_named(app: FakeApp) -> None:
    event_id, other = await app.event(40), await app.event(1)
    booking, foreign = await app.book(event_id, ANA, 40), await app.book(other, BEN)
    scanner = Scanner(app, event_id)
    known = [await scanner.scan(booking, ticket) for ticket in range(40)]
    elsewhere = await scanner.scan(foreign)
    texts = [replace(known[0], id=app.ids.new(), code=text) for text in ("", "BX1", known[0].code.lower())]
    unissued = TicketRef(event_id, ticket_id(foreign.id, 7), 1)
    forged = replace(known[0], id=app.ids.new(), code=await app.ticket_codes.code(unissued))
    no_number = TicketRef(event_id, ticket_id(booking.id, 99), 1)
    unknown = replace(forged, id=app.ids.new(), code=await app.ticket_codes.code(no_number))
    answers = await scanner.check_in(*known, elsewhere, *texts, forged, unknown)
    assert [each.result for each in answers] == [ADMITTED] * 40 + [OTHER_EVENT] + [UNKNOWN] * 5
    assert {each.holder_name for each in answers} == {None}, "there is no account"
    assert answers[3] == ScanSeen(
        id=known[3].id, result=ADMITTED, ticket_id=ticket_id(booking.id, 4), holder_name=None, admitted_at=NOW
    )
    assert {each.ticket_id for each in answers[40:]} == {None}


async def test_a_code_that_a_stranger_signed_is_unknown(app: FakeApp) -> None:
    event_id, stranger = await app.event(1), FakeApp()
    booking, elsewhere = await app.book(event_id, ANA), await stranger.event(1)
    forged = await Scanner(stranger, elsewhere).scan(booking)
    scanner = Scanner(app, event_id)
    assert await scanner.results(forged) == [UNKNOWN]
    await app.ticket_codes.public_key(event_id)
    assert await scanner.results(replace(forged, id=app.ids.new())) == [UNKNOWN]


async def test_an_entry_that_is_sent_again_has_its_ticket_and_holder_with_any_body(app: FakeApp) -> None:
    event_id = await app.event(2)
    first, second = await app.book(event_id, ANA), await app.book(event_id, BEN)
    scanner = Scanner(app, event_id)
    entry = await scanner.scan(first)
    (answer,) = await scanner.check_in(entry)
    other = replace(await scanner.scan(second), id=entry.id)
    unreadable = replace(entry, code="never mind")
    assert await scanner.check_in(other, unreadable) == [answer, answer]


async def test_of_two_bodies_with_one_id_at_once_the_first_counts(app: FakeApp) -> None:
    event_id = await app.event(2)
    first, second = await app.book(event_id, ANA), await app.book(event_id, BEN)
    scanner = Scanner(app, event_id)
    entry = await scanner.scan(first)
    other = replace(await scanner.scan(second), id=entry.id)
    (one,), (again,) = await asyncio.gather(scanner.check_in(entry), scanner.check_in(other))
    assert one == again
    assert one.ticket_id == ticket_id(first.id, 1)


async def test_a_lost_answer_is_given_again(app: FakeApp) -> None:
    event_id = await app.event(2)
    booking = await app.book(event_id, ANA)
    scanner = Scanner(app, event_id)
    entry, late = await scanner.scan(booking), await scanner.scan(booking, after=1)
    app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    assert await scanner.results(entry) == [ADMITTED]
    # No fact tells that this was recorded, so it is repeated.
    app.faults.plan(Step.COMMITTED, OutcomeUnknown())
    assert await scanner.results(late) == [USED]
    assert await scanner.results(late, entry) == [USED, ADMITTED]
    assert (await app.booking(booking.id)).used == 1


async def test_only_who_works_for_the_event_may_use_the_door(app: FakeApp) -> None:
    event_id = await app.event(1)
    booking = await app.book(event_id, ANA)
    entry = await Scanner(app, event_id).scan(booking)
    for actor in (ANA, STRANGER):
        scanner = Scanner(app, event_id, actor)
        with pytest.raises(NotAllowed):
            await scanner.check_in(entry)
        for refused in (
            app.undo_check_in(event_id, entry.id, actor),
            app.list_conflicts(event_id, actor),
            app.read_door_list(event_id, actor),
        ):
            with pytest.raises(NotAllowed):
                await refused
    assert await Scanner(app, event_id, STRANGER.on_duty(event_id, DOOR)).results(entry) == [ADMITTED]
    with pytest.raises(NotFound):
        await Scanner(app, UUID(int=5)).check_in(entry)
    with pytest.raises(NotFound):
        await app.undo_check_in(event_id, UUID(int=5), ORGANIZER)


async def test_undoing_and_conflicts(app: FakeApp) -> None:
    event_id = await app.event(9)
    booking = await app.book(event_id, ANA, 3)
    scanner = Scanner(app, event_id)
    entries = [
        await scanner.scan(booking, ticket, after=after, is_offline=True) for ticket in (0, 2) for after in (2, 1)
    ]
    await scanner.check_in(*entries)
    page = await app.list_conflicts(event_id, ORGANIZER, limit=1)
    assert page.next == 1
    rest = await app.list_conflicts(event_id, ORGANIZER, after=1)
    assert rest.next is None
    seen = [(each.ticket_id, each.number, [one.id for one in each.entries]) for each in page.items + rest.items]
    assert seen == [
        (ticket_id(booking.id, 1), 1, [entries[1].id, entries[0].id]),
        (ticket_id(booking.id, 3), 3, [entries[3].id, entries[2].id]),
    ]
    key = once("undo", actor=ORGANIZER)
    assert (await app.undo_check_in(event_id, entries[1].id, ORGANIZER, key)).checked_in_at == at(2)
    with pytest.raises(Replayed):
        await app.undo_check_in(event_id, entries[1].id, ORGANIZER, key)
    key = once("again", actor=ORGANIZER)
    await scanner.check_in(entries[0], idempotent=key)
    with pytest.raises(Replayed):
        await scanner.check_in(entries[0], idempotent=key)
    assert [each.number for each in (await app.list_conflicts(event_id, ORGANIZER)).items] == [3]


async def test_a_scanner_reads_void_used_and_reissued_tickets_in_pages(
    app: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boxoffice.application.door.queries.AT_ONCE", 2)
    event_id, other = await app.event(20), await app.event(9)
    first, second, third = [await app.book(event_id, actor, 3) for actor in (ANA, BEN, STRANGER)]
    await app.book(other, ANA, 2)
    scanner = Scanner(app, event_id)
    scans = [await scanner.scan(booking, ticket) for booking in (first, second, third) for ticket in (0, 2)]
    await scanner.check_in(*scans)
    rows = app.tables.tickets
    for booking, number in ((first, 1), (first, 2), (second, 5), (third, 9)):
        ticket = rows.setdefault(booking.id, {}).get(number) or Ticket(
            booking_id=booking.id, event_id=event_id, number=number
        )
        rows[booking.id][number] = replace(ticket, serial=number + 1, is_returned=number == 9)
    await app.cancel_booking.by_id(second.id, ORGANIZER)
    door = await app.read_door_list(event_id, ORGANIZER)
    ids = {number: ticket_id(each.id, number) for each in (first, second, third) for number in each.ticket_numbers}
    assert door.void == [ids[4], ids[5], ids[6], ids[9]]
    assert door.used == [UsedTicket(ids[number], NOW) for number in (1, 3, 7)]
    assert door.reissued == [ReissuedTicket(ids[1], 2), ReissuedTicket(ids[2], 3)]
    assert (door.event.id, door.as_of) == (event_id, app.clock.time)
    assert door.public_key == await app.ticket_codes.public_key(event_id)
