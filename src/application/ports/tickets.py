"""Single tickets: those to which something happened."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from ...domain.tickets.ticket import Ticket


class TicketQueries(Protocol):
    """The rows of tickets; one without a row follows from its booking. Each call may raise Unavailable.

    They may be newer than a booking that was read before.
    """

    async def of_bookings(self, booking_ids: Collection[UUID]) -> list[Ticket]:
        """Return those of these bookings, by booking and number."""

    async def of_event(self, event_id: UUID, after: int, limit: int) -> list[Ticket]:
        """Return the first ones of an event with numbers above `after`, by number."""
