"""Single tickets: their numbers and ids, and what happened to one of them.

A booking that is confirmed has one ticket for each of its places. Tickets have no rows, because all of them follow from
the booking. Those of an event are numbered from 1 under its lock, in the order in which their bookings were confirmed.
A booking keeps its numbers, so none is ever used again. What happens to a single ticket is an exception to what follows
from its booking, and has a row: a `Ticket`.
"""

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from msgspec import Struct

from ..booking import Booking, BookingStatus
from ..values.fields import Rules, text

MOST_TICKETS: Final = 2**32
"""Ticket numbers of an event are smaller."""


class TicketStatus(StrEnum):
    """The status of a ticket. `used`: somebody came in with it. `void`: it was given back, or its booking cancelled."""

    VALID = "valid"
    USED = "used"
    VOID = "void"


class Ticket(Struct, frozen=True, gc=False, kw_only=True):
    """One ticket, as far as it differs from what follows from its booking; the defaults are what follows.

    `serial` is that of the code that counts; `holder_name` None: the customer. `is_returned`: it was given back while
    its booking was confirmed. `checked_in_at` is when somebody came in with it.
    """

    booking_id: UUID
    event_id: UUID
    number: int
    serial: int = 1
    holder_name: str | None = None
    is_returned: bool = False
    checked_in_at: datetime | None = None


def ticket_status(booking: BookingStatus, ticket: Ticket | None) -> TicketStatus:
    """Return the status of a ticket, given its booking's; None: nothing happened to it.

    The booking has tickets, so it was confirmed.
    """
    if booking is not BookingStatus.CONFIRMED or (ticket is not None and ticket.is_returned):
        return TicketStatus.VOID
    return TicketStatus.VALID if ticket is None or ticket.checked_in_at is None else TicketStatus.USED


def ticket_id(booking_id: UUID, number: int) -> UUID:
    """Return the id of a booking's ticket, which follows from these two and so never changes.

    Its first 6 bytes are the booking's, its last 4 are the number (big-endian). The 6 between are the first of the
    SHA-256 digest of the booking's id and the number (20 bytes), with version 7 and the variant of RFC 9562. Tickets of
    an event differ in their numbers. Raises: OverflowError for a number of 2**32 or more.
    """
    last = number.to_bytes(4)
    between = int.from_bytes(sha256(booking_id.bytes + last).digest()[:6])
    between = (between & _FREE_BITS) | _VERSION_7
    return UUID(bytes=booking_id.bytes[:6] + between.to_bytes(6) + last)


def number_of(ticket_id: UUID) -> int:
    """Return the number of the ticket with this id."""
    return ticket_id.int & 0xFFFF_FFFF


def number_in(booking: Booking, ticket_id_: UUID) -> int | None:
    """Return the number of a booking's ticket with this id, void or not; None: the booking has no such ticket."""
    number = number_of(ticket_id_)
    is_its = number in booking.ticket_numbers and ticket_id(booking.id, number) == ticket_id_
    return number if is_its else None


_FREE_BITS: Final = 0x0FFF_3FFF_FFFF
_VERSION_7: Final = 0x7000_8000_0000

HOLDER_RULES: Rules = {"holder_name": text(1, 200)}
