"""Check-ins: the recorded scans of events' tickets, and what the door sees of tickets."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking
from ...domain.tickets.check_in import CheckIn
from ...domain.tickets.ticket import Ticket


class ScannedTickets(Struct, frozen=True, gc=False, kw_only=True):
    """What commands of the door need of an event: bookings, the tickets that have rows, and entries."""

    bookings: tuple[Booking, ...]
    tickets: tuple[Ticket, ...]
    check_ins: tuple[CheckIn, ...]


class TicketHolder(Struct, frozen=True, gc=False, kw_only=True):
    """The booking of a ticket, and who has the ticket: its own holder, else the customer; None once erased."""

    booking_id: UUID
    number: int
    name: str | None


class Conflict(Struct, frozen=True, gc=False):
    """A ticket that was let in more than once, with all entries that stand, by time."""

    booking_id: UUID
    number: int
    entries: tuple[CheckIn, ...]


class ConflictPage(Struct, frozen=True):
    """One page of conflicts; `next` is the number to continue above, None at the end."""

    conflicts: list[Conflict]
    next: int | None


class VoidTickets(Struct, frozen=True, gc=False):
    """The tickets of a cancelled booking, which may have none."""

    booking_id: UUID
    numbers: range


class CheckInQueries(Protocol):
    """Committed check-ins. Each call sees one consistent state, and may raise Unavailable."""

    async def check_ins(self, event_id: UUID, check_in_ids: Collection[UUID]) -> dict[UUID, CheckIn]:
        """Return those of these entries that exist."""

    async def holders(self, event_id: UUID, numbers: Collection[int]) -> dict[int, TicketHolder]:
        """Return who has the tickets with these numbers, void ones too."""

    async def conflicts(self, event_id: UUID, after: int, limit: int, most_entries: int) -> ConflictPage:
        """Return the first `limit` tickets with at least two entries that stand, by number, above `after`.

        There are fewer where they have more than `most_entries` entries together, but at least one.
        """

    async def void_tickets(self, event_id: UUID, after: UUID | None, limit: int) -> list[VoidTickets]:
        """Return the tickets of up to `limit` cancelled bookings by their ids, above the id `after`."""
