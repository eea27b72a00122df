"""Check-ins on every storage: entries, holders of tickets, conflicts, and two processes at one door."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from boxoffice.application.background.verify_promises import VerifyPromises
from boxoffice.application.ports.check_ins import Conflict, ConflictPage, TicketHolder, VoidTickets
from boxoffice.application.ports.loading import DoorSpec, LoadSpec
from boxoffice.application.turnstile.pending_command import outcome
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.check_in import (
    CheckInTickets,
    ScanAnswer,
    UndoCheckIn,
    UndoneCheckIn,
    check_in,
    undo_check_in,
)
from boxoffice.domain.decisions.decision_builder import DecisionBuilder
from boxoffice.domain.inventory import Decision, Inventory
from boxoffice.domain.tickets.check_in import CheckIn, Scan, ScannedTicket, ScanResult
from boxoffice.domain.tickets.ticket import Ticket
from boxoffice.domain.tickets.ticket_type import EventState
from tests.settable_clock import SettableClock

from .storage_driver import NOW, ORGANIZER, NewIds, StorageDriver, new_id, new_user

ADMITTED, USED, VOID, *_ = ScanResult


def minute(number: float) -> Any:
    """So many minutes after `NOW`."""
    return NOW + timedelta(minutes=number)


def scan(booking: Booking, ticket: int = 0, *, after: float = 0, serial: int = 1, is_offline: bool = False) -> Scan:
    """A new scan of a ticket of the booking, so many minutes after `NOW`."""
    scanned = ScannedTicket(booking.id, booking.ticket_numbers[ticket], serial)
    return Scan(id=new_id(), at=minute(after), device="Tür 1 🎟", is_offline=is_offline, ticket=scanned)


class Door:
    """A process at the door of one event."""

    def __init__(self, driver: StorageDriver, state: EventState) -> None:
        self.turnstile = Turnstile(driver.storage, SettableClock(NOW), NewIds())
        self.queries = driver.storage.check_in_queries
        self.event_id = state.event.id

    async def check_in(self, *scans: Scan) -> tuple[ScanAnswer, ...]:
        """Record scans."""
        tickets = {(each.ticket.booking_id, each.ticket.number) for each in scans if each.ticket is not None}
        door = DoorSpec(tickets=tuple(tickets), check_in_ids=tuple({each.id for each in scans}))
        command = CheckInTickets(event_id=self.event_id, actor=ORGANIZER, scans=scans)
        needs = LoadSpec(event_id=self.event_id, door=door)
        return outcome(await self.turnstile.admit(command, needs, check_in))

    async def undo(self, entry: Scan) -> UndoneCheckIn:
        """Undo an entry."""
        assert entry.ticket is not None
        tickets = ((entry.ticket.booking_id, entry.ticket.number),)
        door = DoorSpec(tickets=tickets, check_in_ids=(entry.id,), undoes=True)
        command = UndoCheckIn(event_id=self.event_id, actor=ORGANIZER, check_in_id=entry.id)
        needs = LoadSpec(event_id=self.event_id, door=door)
        return outcome(await self.turnstile.admit(command, needs, undo_check_in))

    async def entry(self, entry: Scan) -> CheckIn:
        """An entry as it is stored."""
        return (await self.queries.check_ins(self.event_id, [entry.id]))[entry.id]


async def breaches(driver: StorageDriver) -> list[str]:
    return [each.what for each in (await VerifyPromises(driver.storage, SettableClock(NOW))()).breaches]


async def test_entries_and_what_follows_from_them_are_stored(driver: StorageDriver) -> None:
    state, other = await driver.initialize(5), await driver.initialize(1)
    booking = await driver.book(state, quantity=2)
    door, elsewhere = Door(driver, state), Door(driver, other)
    late, early = scan(booking, after=2, is_offline=True), scan(booking, after=1.5)
    second = scan(booking, 1)
    answers = await door.check_in(late, early, second, scan(booking, 1, after=1))
    assert [each.result for each in answers] == [ADMITTED, ADMITTED, ADMITTED, USED]
    assert await door.entry(late) == CheckIn(
        id=late.id,
        event_id=state.event.id,
        booking_id=booking.id,
        number=1,
        serial=1,
        at=minute(2),
        device="Tür 1 🎟",
        is_offline=True,
        result=ADMITTED,
        admitted_at=minute(2),
    )
    assert await elsewhere.queries.check_ins(other.event.id, [late.id]) == {}
    tickets = [
        Ticket(booking_id=booking.id, event_id=state.event.id, number=1, checked_in_at=minute(1.5)),
        Ticket(booking_id=booking.id, event_id=state.event.id, number=2, checked_in_at=NOW),
    ]
    assert await driver.storage.ticket_queries.of_bookings([booking.id]) == tickets
    assert (await driver.stored(booking)).used == 2
    undone = await door.undo(early)
    assert (undone.checked_in_at, await door.entry(early)) == (minute(2), undone.check_in)
    assert undone.check_in.is_undone
    assert await door.check_in(late, early) == answers[:2]
    await door.undo(late)
    await door.undo(late)
    assert (await driver.stored(booking)).used == 1
    facts = await driver.storage.event_queries.facts(state.event.id, 2, 10)
    assert [each.kind for each in facts] == ["TicketCheckedIn", "TicketCheckedIn", "CheckInUndone"]
    assert await breaches(driver) == []


async def test_the_commands_of_one_transaction_see_each_other(driver: StorageDriver) -> None:
    state = await driver.initialize(5)
    booking = await driver.book(state, quantity=2)
    door = Door(driver, state)
    scans = [scan(booking, after=after, is_offline=True) for after in (1, 2, 3, 4)]
    await door.check_in(*scans)
    first, again, last = scan(booking, 1, after=5), scan(booking, 1, after=5), scan(booking, 1, after=4)
    undone_1, undone_2, answers, *_, undone_3, answer = await asyncio.gather(
        door.undo(scans[0]),
        door.undo(scans[1]),
        door.check_in(first, again, last, first),
        door.undo(last),
        door.undo(scans[2]),
        door.check_in(scan(booking, after=3.5)),
    )
    assert [each.checked_in_at for each in (undone_1, undone_2, undone_3)] == [minute(2), minute(3), minute(4)]
    assert [each.result for each in answers] == [ADMITTED, USED, ADMITTED, ADMITTED]
    assert (answer[0].result, answer[0].admitted_at) == (ADMITTED, minute(3.5))
    rows = await driver.storage.ticket_queries.of_event(state.event.id, 0, 9)
    assert [(each.number, each.checked_in_at) for each in rows] == [(1, minute(3.5)), (2, minute(5))]
    assert (await driver.stored(booking)).used == 2
    assert await breaches(driver) == []


async def test_two_processes_check_the_same_tickets_in_and_each_is_admitted_once(driver: StorageDriver) -> None:
    state = await driver.initialize(20, max_tickets_per_customer=12)
    booking = await driver.book(state, quantity=12)
    doors = [Door(driver, state), Door(driver, state)]
    answers = await asyncio.gather(*(door.check_in(scan(booking, ticket)) for ticket in range(12) for door in doors))
    admitted = [each.number for (each,) in answers if each.result is ADMITTED]
    assert sorted(admitted) == list(booking.ticket_numbers)
    entry = scan(booking, after=-1)
    sent = await asyncio.gather(*(door.check_in(entry) for door in doors for _ in range(3)))
    assert len(set(sent)) == 1, "the same entry gets the same answer"
    assert (await driver.stored(booking)).used == 12
    assert await breaches(driver) == []


async def test_a_late_scan_of_a_cancelled_booking_is_kept(driver: StorageDriver) -> None:
    state = await driver.initialize(2)
    booking = await driver.book(state)
    await driver.cancel(booking)
    door, entry = Door(driver, state), scan(booking, is_offline=True)
    assert [each.result for each in await door.check_in(entry)] == [VOID]
    assert (await door.entry(entry)).stands
    assert await driver.storage.ticket_queries.of_bookings([booking.id]) == []
    assert await breaches(driver) == []


async def test_holders_are_found_by_the_numbers_of_their_tickets(driver: StorageDriver) -> None:
    state, other = await driver.initialize(400, max_tickets_per_customer=150), await driver.initialize(9)
    users = [replace(new_user(f"user{number}@example.org"), name=f"User {number}") for number in range(3)]
    users[2] = replace(users[2], name="", email=None, erased_at=NOW)
    async with driver.storage.begin() as unit_of_work:
        for each in users:
            await unit_of_work.users.add(each)
        await unit_of_work.commit()
    first, second, erased = [
        await driver.book(state, customer_id=user.id, quantity=quantity)
        for user, quantity in zip(users, (2, 150, 3), strict=True)
    ]
    await driver.book(other, quantity=9)
    stranger = await driver.book(state)
    queries = driver.storage.check_in_queries
    found = await queries.holders(state.event.id, range(400))
    expected = {
        **{number: TicketHolder(booking_id=first.id, number=number, name="User 0") for number in (1, 2)},
        **{number: TicketHolder(booking_id=second.id, number=number, name="User 1") for number in range(3, 153)},
        **{number: TicketHolder(booking_id=erased.id, number=number, name=None) for number in (153, 154, 155)},
        156: TicketHolder(booking_id=stranger.id, number=156, name=None),
    }
    assert found == expected
    for number in (1, 2, 3, 152, 155):
        assert await queries.holders(state.event.id, [number]) == {number: expected[number]}
    assert await queries.holders(state.event.id, []) == await queries.holders(new_id(), [1]) == {}
    own = Ticket(booking_id=first.id, event_id=state.event.id, number=2, holder_name="Grace")
    await driver.decide(LoadSpec(event_id=state.event.id), lambda inventory: with_ticket(inventory, own))
    assert (await queries.holders(state.event.id, [1, 2]))[2].name == "Grace"


def with_ticket(inventory: Inventory, ticket: Ticket) -> Decision[None]:
    """The decision that something happened to a ticket."""
    builder = DecisionBuilder(inventory, NOW)
    builder.put_ticket(ticket)
    return builder.decision(None)


async def test_conflicts_are_read_in_pages_that_are_bounded_by_their_entries(driver: StorageDriver) -> None:
    state, other = await driver.initialize(9), await driver.initialize(9)
    booking, elsewhere = await driver.book(state, quantity=5), await driver.book(other)
    door = Door(driver, state)
    await Door(driver, other).check_in(*(scan(elsewhere, is_offline=True) for _ in range(2)))
    entries = {
        ticket: [scan(booking, ticket, after=after, is_offline=True) for after in range(count)]
        for ticket, count in enumerate((2, 1, 3, 2, 2))
    }
    await door.check_in(*(each for of_ticket in entries.values() for each in reversed(of_ticket)))
    await door.check_in(*(scan(booking, ticket, after=9) for ticket in range(5)))
    await door.undo(entries[3][0])
    conflicts = {
        ticket: Conflict(booking.id, ticket + 1, tuple([await door.entry(each) for each in entries[ticket]]))
        for ticket in (0, 2, 4)
    }
    event_id, read = state.event.id, door.queries.conflicts
    assert await read(event_id, 0, 9, 99) == ConflictPage(list(conflicts.values()), None)
    assert await read(event_id, 0, 2, 99) == ConflictPage([conflicts[0], conflicts[2]], 3)
    assert await read(event_id, 0, 9, 4) == ConflictPage([conflicts[0]], 1)
    assert await read(event_id, 1, 9, 2) == ConflictPage([conflicts[2]], 3)
    assert await read(event_id, 3, 9, 2) == ConflictPage([conflicts[4]], None)
    assert await read(event_id, 5, 9, 2) == await read(new_id(), 0, 9, 9) == ConflictPage([], None)


async def test_void_tickets_are_those_of_cancelled_bookings(driver: StorageDriver) -> None:
    state, other = await driver.initialize(6), await driver.initialize(3)
    first, kept, second = await driver.book_many(state, [2, 1, 3])
    (waiting,) = await driver.book_many(state, [4])
    await driver.cancel(waiting)
    await driver.cancel(second)
    await driver.cancel(first)
    await driver.cancel(await driver.book(other))
    void = [VoidTickets(first.id, range(1, 3)), VoidTickets(second.id, range(4, 7)), VoidTickets(waiting.id, range(0))]
    assert kept.ticket_numbers == range(3, 4)
    read = driver.storage.check_in_queries.void_tickets
    assert await read(state.event.id, None, 9) == void
    assert await read(state.event.id, None, 1) == void[:1]
    assert await read(state.event.id, first.id, 9) == void[1:]
    assert await read(UUID(int=7), None, 9) == []


async def test_used_tickets_that_contradict_the_entries_are_found(driver: StorageDriver) -> None:
    state = await driver.initialize(4)
    booking = await driver.book(state, quantity=3)
    door = Door(driver, state)
    await door.check_in(scan(booking, 1), scan(booking, 2))
    ticket = Ticket(booking_id=booking.id, event_id=state.event.id, number=1, checked_in_at=NOW)
    needs = LoadSpec(event_id=state.event.id, booking_id=booking.id)
    for tampered in (
        ticket,
        replace(ticket, number=2, checked_in_at=minute(-1)),
        replace(ticket, number=3, checked_in_at=None),
    ):
        await driver.decide(needs, partial(with_ticket, ticket=tampered))
    async with driver.storage.snapshot() as snapshot:
        assert await snapshot.strays() == {
            "used tickets whose time is not that of their first entry": 2,
            "tickets that their entries use": 1,
        }
    await driver.decide(needs, with_another_count)
    async with driver.storage.snapshot() as snapshot:
        assert (await snapshot.strays())["confirmed bookings that count other used tickets than they have"] == 1
    assert f"booking {booking.id} is confirmed, its facts say otherwise" in await breaches(driver)


def with_another_count(inventory: Inventory) -> Decision[None]:
    """The decision that all tickets of a booking are used."""
    builder = DecisionBuilder(inventory, NOW)
    builder.count_used(inventory.bookings[0], 3)
    return builder.decision(None)
