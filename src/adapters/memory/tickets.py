"""The rows of single tickets, in memory."""

from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

from ...domain.tickets.ticket import Ticket
from .tables import Tables


class MemoryTicketQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def of_bookings(self, booking_ids: Collection[UUID]) -> list[Ticket]:
        """See the port."""
        await self._before_read()
        tickets = self._tables.tickets
        return [tickets[each][number] for each in sorted(booking_ids) for number in sorted(tickets.get(each, ()))]

    async def of_event(self, event_id: UUID, after: int, limit: int) -> list[Ticket]:
        """See the port."""
        await self._before_read()
        found = [
            ticket
            for of_booking in self._tables.tickets.values()
            for ticket in of_booking.values()
            if ticket.event_id == event_id and ticket.number > after
        ]
        return sorted(found, key=lambda each: each.number)[:limit]
