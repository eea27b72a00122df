"""Checking in at the door: record scans of tickets, also late ones, and undo entries.

Of the entries that count for a ticket the earliest one gives the time at which it was used. Answers that were given
never change, so the same scan always gets the same one.
"""

from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ..booking import Booking
from ..event import EventStatus
from ..facts import CheckInUndone, TicketCheckedIn
from ..inventory import Decision, Inventory
from ..policy import Right
from ..refusals import NotFound
from ..tickets.check_in import CheckIn, Scan, ScannedTicket, ScanResult
from ..tickets.ticket import TicketStatus, ticket_id, ticket_status
from ..user import Actor
from .decision_builder import DecisionBuilder


class CheckInTickets(Struct, frozen=True, gc=False, kw_only=True):
    """Record these scans, in this order."""

    event_id: UUID
    actor: Actor
    scans: tuple[Scan, ...]


class ScanAnswer(Struct, frozen=True, gc=False, kw_only=True):
    """The answer to a scan. `booking_id` is None where the code is not one of the event's."""

    id: UUID
    result: ScanResult
    booking_id: UUID | None = None
    number: int = 0
    admitted_at: datetime | None = None


def check_in(inventory: Inventory, command: CheckInTickets, now: datetime) -> Decision[tuple[ScanAnswer, ...]]:
    """Answer scans in their order. Any event takes them, also late ones of an event that is over.

    Raises: NotFound, NotAllowed.
    """
    inventory.event.check_may(command.actor, Right.CHECK_IN)
    door = _Door(inventory, now)
    answers = tuple([door.answer(scan) for scan in command.scans])
    return door.builder.decision(answers)


class UndoCheckIn(Struct, frozen=True, gc=False, kw_only=True):
    """Undo an entry, which let in the wrong person or nobody."""

    event_id: UUID
    actor: Actor
    check_in_id: UUID


class UndoneCheckIn(Struct, frozen=True, gc=False):
    """An entry that was undone, and when its ticket counts as used now (None: it is not)."""

    check_in: CheckIn
    checked_in_at: datetime | None


def undo_check_in(inventory: Inventory, command: UndoCheckIn, now: datetime) -> Decision[UndoneCheckIn]:
    """Undo an entry; once more has no effect. The earliest of the others that count gives the ticket's time.

    The inventory has that one, if there is one. Raises: NotFound, NotAllowed.
    """
    inventory.event.check_may(command.actor, Right.CHECK_IN)
    door = _Door(inventory, now)
    undone = door.undo(command.check_in_id)
    return door.builder.decision(undone)


class _Door:
    """The tickets of one decision as its scans leave them."""

    def __init__(self, inventory: Inventory, now: datetime) -> None:
        self.builder = DecisionBuilder(inventory, now)
        self._is_cancelled = inventory.event.status is EventStatus.CANCELLED
        self._check_ins = {each.id: each for each in inventory.check_ins}
        self._bookings = {each.id: each for each in inventory.bookings}

    def answer(self, scan: Scan) -> ScanAnswer:
        entry = self._check_ins.get(scan.id)
        if entry is None:
            if scan.ticket is None:
                result = ScanResult.OTHER_EVENT if scan.is_of_other_event else ScanResult.UNKNOWN
                return ScanAnswer(id=scan.id, result=result)
            entry = self._enter(scan, scan.ticket)
        return ScanAnswer(
            id=scan.id,
            result=entry.result,
            booking_id=entry.booking_id,
            number=entry.number,
            admitted_at=entry.admitted_at,
        )

    def undo(self, check_in_id: UUID) -> UndoneCheckIn:
        entry = self._check_ins.get(check_in_id)
        if entry is None:
            raise NotFound
        booking = self._bookings[entry.booking_id]
        ticket = self.builder.ticket(booking, entry.number)
        if entry.counts:
            others = [each.at for each in self._check_ins.values() if each.is_beside(entry) and each.counts]
            after = replace(ticket, checked_in_at=min(others, default=None))
            if after.checked_in_at is None and ticket_status(booking.status, ticket) is not TicketStatus.VOID:
                self._count(booking, -1)
                self.builder.add_fact(CheckInUndone(ticket_id=ticket_id(booking.id, ticket.number)), booking)
            self.builder.put_ticket(after)
            ticket = after
        if not entry.is_undone:
            entry = replace(entry, is_undone=True)
            self._put(entry)
        return UndoneCheckIn(entry, ticket.checked_in_at)

    def _enter(self, scan: Scan, scanned: ScannedTicket) -> CheckIn:
        booking = self._bookings[scanned.booking_id]
        ticket = self.builder.ticket(booking, scanned.number)
        # The bookings of a cancelled event are cancelled in steps.
        is_void = self._is_cancelled or ticket_status(booking.status, ticket) is TicketStatus.VOID
        if is_void or scanned.serial < ticket.serial:
            result = ScanResult.VOID
        elif ticket.checked_in_at is not None and ticket.checked_in_at <= scan.at:
            result = ScanResult.ALREADY_USED
        else:
            result = ScanResult.ADMITTED
            if ticket.checked_in_at is None:
                self._count(booking, 1)
                fact = TicketCheckedIn(ticket_id=ticket_id(booking.id, ticket.number), at=scan.at, device=scan.device)
                self.builder.add_fact(fact, booking)
            ticket = replace(ticket, checked_in_at=scan.at)
            self.builder.put_ticket(ticket)
        entry = CheckIn(
            id=scan.id,
            event_id=booking.event_id,
            booking_id=booking.id,
            number=scanned.number,
            serial=scanned.serial,
            at=scan.at,
            device=scan.device,
            is_offline=scan.is_offline,
            result=result,
            admitted_at=ticket.checked_in_at,
        )
        self._put(entry)
        return entry

    def _count(self, booking: Booking, difference: int) -> None:
        """Count a ticket of the booking as used, or no longer."""
        self._bookings[booking.id] = self.builder.count_used(booking, booking.used + difference)

    def _put(self, entry: CheckIn) -> None:
        self._check_ins[entry.id] = entry
        self.builder.put_check_in(entry)
