"""Check-ins in memory, and what the door sees of tickets."""

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Collection, Iterable
from itertools import islice
from uuid import UUID

from ...application.ports.check_ins import Conflict, ConflictPage, ScannedTickets, TicketHolder, VoidTickets
from ...application.ports.loading import DoorSpec
from ...domain.booking import Booking, BookingStatus
from ...domain.tickets.check_in import CheckIn
from .draft import Draft
from .queries import customer_of
from .tables import Tables


class MemoryCheckInQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def check_ins(self, event_id: UUID, check_in_ids: Collection[UUID]) -> dict[UUID, CheckIn]:
        """See the port."""
        await self._before_read()
        of_event = self._tables.check_ins.get(event_id, {})
        return {each: of_event[each] for each in check_in_ids if each in of_event}

    async def holders(self, event_id: UUID, numbers: Collection[int]) -> dict[int, TicketHolder]:
        """See the port."""
        await self._before_read()
        tables = self._tables
        numbered = tables.numbered.get(event_id, {})
        firsts = sorted(numbered)
        found = {}
        for number in numbers:
            place = bisect_right(firsts, number)
            booking = tables.bookings[numbered[firsts[place - 1]]] if place else None
            if booking is not None and number in booking.ticket_numbers:
                found[number] = TicketHolder(booking_id=booking.id, number=number, name=self._name(booking, number))
        return found

    def _name(self, booking: Booking, number: int) -> str | None:
        ticket = self._tables.tickets.get(booking.id, {}).get(number)
        if ticket is not None and ticket.holder_name is not None:
            return ticket.holder_name
        customer = customer_of(self._tables, booking.customer_id)
        return None if customer is None else customer.name

    async def conflicts(self, event_id: UUID, after: int, limit: int, most_entries: int) -> ConflictPage:
        """See the port."""
        await self._before_read()
        of_tickets: dict[int, list[CheckIn]] = {}
        for each in sorted(self._tables.check_ins.get(event_id, {}).values(), key=_by_time):
            if each.stands and each.number > after:
                of_tickets.setdefault(each.number, []).append(each)
        found = [
            Conflict(entries[0].booking_id, number, tuple(entries))
            for number, entries in sorted(of_tickets.items())
            if len(entries) > 1
        ]
        page: list[Conflict] = []
        for conflict in found[:limit]:
            if page and sum(len(each.entries) for each in (*page, conflict)) > most_entries:
                break
            page.append(conflict)
        return ConflictPage(page, page[-1].number if len(found) > len(page) else None)

    async def void_tickets(self, event_id: UUID, after: UUID | None, limit: int) -> list[VoidTickets]:
        """See the port."""
        await self._before_read()
        tables = self._tables
        cancelled = (
            booking
            for booking_id in sorted(tables.of_event.get(event_id, ()))
            if (booking := tables.bookings[booking_id]).status is BookingStatus.CANCELLED
            and (after is None or booking_id > after)
        )
        return [VoidTickets(each.id, each.ticket_numbers) for each in islice(cancelled, limit)]


def scanned_tickets(tables: Tables, needs: Collection[tuple[UUID, DoorSpec]]) -> dict[UUID, ScannedTickets]:
    """See `EventRepository.scanned_tickets`."""
    found = {}
    for event_id in {event_id for event_id, _ in needs}:
        doors = [door for of_event, door in needs if of_event == event_id]
        keys = {key for door in doors for key in door.tickets}
        entries = tables.check_ins.get(event_id, {})
        booking_ids = {booking_id for booking_id, _ in keys}
        bookings = [tables.bookings[each] for each in booking_ids if each in tables.bookings]
        tickets = [tables.tickets.get(booking_id, {}).get(number) for booking_id, number in keys]
        found[event_id] = ScannedTickets(
            bookings=tuple(each for each in bookings if each.event_id == event_id),
            tickets=tuple(each for each in tickets if each is not None and each.event_id == event_id),
            check_ins=tuple(
                entries[each] for each in {id_ for door in doors for id_ in door.check_in_ids} if each in entries
            ),
        )
    return found


def other_check_in(draft: Draft, entry: CheckIn) -> CheckIn | None:
    """See `EventRepository.other_check_in`."""
    saved = {**draft.tables.check_ins.get(entry.event_id, {}), **draft.check_ins.get(entry.event_id, {})}
    others: Iterable[CheckIn] = (each for each in saved.values() if each.is_beside(entry) and each.counts)
    return min(others, key=_by_time, default=None)


def _by_time(entry: CheckIn) -> tuple[object, UUID]:
    return entry.at, entry.id
