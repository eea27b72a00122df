"""A consistent copy of all rows, for the verification of the promises."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from ...application.ports.loading import WaitingListQuery
from ...application.ports.queries import BookingHistory
from ...domain.booking import Booking, BookingStatus
from ...domain.decisions.erase import UNFINISHED_EVENTS
from ...domain.facts import Fact
from ...domain.inventory import WaitingList
from ...domain.tickets.ticket_type import EventState
from .draft import Draft
from .tables import Tables


class MemorySnapshot:
    """See the port."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._facts: dict[UUID, list[Fact]] = {}
        for facts in tables.facts.values():
            for fact in facts:
                if fact.booking_id is not None:
                    self._facts.setdefault(fact.booking_id, []).append(fact)

    async def events(self, after: UUID | None, limit: int) -> list[EventState]:
        """See the port."""
        ids = sorted(event_id for event_id in self._tables.events if after is None or event_id > after)
        return [self._tables.state(event_id) for event_id in ids[:limit]]

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """See the port."""
        return [fact for fact in self._tables.facts.get(event_id, []) if fact.seq > after][:limit]

    async def bookings(self, after: UUID | None, limit: int) -> list[BookingHistory]:
        """See the port."""
        ids = sorted(booking_id for booking_id in self._tables.bookings if after is None or booking_id > after)
        tables = self._tables
        return [
            BookingHistory(
                tables.bookings[each],
                self._facts.get(each, []),
                list(tables.payments.get(each, {}).values()),
                list(tables.tickets.get(each, {}).values()),
            )
            for each in ids[:limit]
        ]

    async def first_ticket_numbers(self, event_id: UUID, after: int, limit: int) -> list[tuple[int, UUID]]:
        """See the port."""
        return sorted(
            (each.first_ticket_number, each.id)
            for each in self._tables.bookings.values()
            if each.event_id == event_id and each.first_ticket_number is not None and each.first_ticket_number > after
        )[:limit]

    async def counts(self, event_ids: Sequence[UUID]) -> dict[UUID, tuple[int, int, int]]:
        """See the port."""
        counts = {type_id: (0, 0, 0) for event_id in event_ids for type_id in self._tables.ticket_types[event_id]}
        for booking in self._tables.bookings.values():
            if booking.ticket_type_id in counts:
                taken, waiting, waiting_tickets = counts[booking.ticket_type_id]
                if booking.status.takes_tickets:
                    taken += booking.quantity
                elif booking.is_waiting:
                    waiting += 1
                    waiting_tickets += booking.quantity
                counts[booking.ticket_type_id] = (taken, waiting, waiting_tickets)
        return counts

    async def waiting_lists(self, queries: Sequence[WaitingListQuery]) -> dict[UUID, WaitingList]:
        """See the port."""
        draft = Draft(self._tables)
        return {query.ticket_type_id: draft.waiting_list(query) for query in queries}

    async def strays(self) -> Mapping[str, int]:
        """See the port."""
        tables = self._tables
        live = Counter(
            (each.ticket_type_id, each.customer_id) for each in tables.bookings.values() if each.status.is_live
        )
        listed = {booking_id for entries in tables.waiting_lists.values() for booking_id in entries.values()}
        waiting = {each.id for each in tables.bookings.values() if each.is_waiting}
        found = {
            "customers with several live bookings of one ticket type": sum(count > 1 for count in live.values()),
            "waiting bookings without a place on the waiting list": len(waiting - listed),
            "places on a waiting list without a waiting booking": len(listed - waiting),
            "bookings whose suspension contradicts their accounts": sum(
                self._contradicts_account(each) for each in tables.bookings.values()
            ),
            "facts of no booking": sum(booking_id not in tables.bookings for booking_id in self._facts),
            "facts of no event": sum(event_id not in tables.events for event_id in tables.facts),
            "stored responses whose subject does not exist": sum(
                each.response.subject_id is not None
                and each.response.subject_id not in tables.bookings
                and each.response.subject_id not in tables.events
                for _, each in tables.responses.values()
            ),
            **self._strays_of_the_door(),
            "bookings of no event": sum(each.event_id not in tables.events for each in tables.bookings.values()),
        }
        return {what: count for what, count in {**found, **self._left_of_erased()}.items() if count}

    def _left_of_erased(self) -> Mapping[str, int]:
        tables = self._tables
        users = [each for each in tables.users.values() if each.erased_at is not None]
        erased = {each.id for each in users}
        finished = erased - tables.erasures.keys()
        return {
            "erased accounts with a name, an address or a password": sum(
                any((each.name, each.email, each.pending_email, each.password_hash)) for each in users
            ),
            "sessions of erased accounts": sum(each.user_id in erased for each in tables.sessions.values()),
            "links to erased accounts": sum(each.user_id in erased for each in tables.notifications.links.values()),
            "duties of erased accounts": sum(len(erased & members.keys()) for members in tables.staff.values()),
            "keys of erased accounts in logs": sum(each in erased for each in tables.logs.keys),
            "API keys of erased accounts": sum(each.user_id in finished for each in tables.api_keys.values()),
            "webhooks of erased accounts": sum(
                each.organizer_id in finished for each in tables.notifications.webhooks.values()
            ),
            "stored responses to erased accounts": sum(key.user_id in finished for key in tables.responses),
            "waiting or held bookings of erased accounts": sum(
                each.customer_id in finished
                and each.status in (BookingStatus.WAITLISTED, BookingStatus.HELD)
                and not tables.events[each.event_id].status.is_closed
                for each in tables.bookings.values()
            ),
            # The staff may name the holders of confirmed ones again.
            "named tickets of ended bookings of erased accounts": sum(
                ticket.holder_name is not None
                for each in tables.bookings.values()
                if each.customer_id in finished and each.status is not BookingStatus.CONFIRMED
                for ticket in tables.tickets.get(each.id, {}).values()
            ),
            "unfinished events of erased accounts": sum(
                each.organizer_id in finished and each.status in UNFINISHED_EVENTS for each in tables.events.values()
            ),
        }

    def _strays_of_the_door(self) -> dict[str, int]:
        tables = self._tables
        entries = [each for of_event in tables.check_ins.values() for each in of_event.values() if each.counts]
        times: dict[tuple[UUID, int], datetime] = {}
        for each in entries:
            key = (each.booking_id, each.number)
            times[key] = min(each.at, times.get(key, each.at))
        rows = [ticket for of_booking in tables.tickets.values() for ticket in of_booking.values()]
        used = {(each.booking_id, each.number): each for each in rows if each.checked_in_at is not None}
        live = Counter(each.booking_id for each in used.values() if not each.is_returned)
        confirmed = [each for each in tables.bookings.values() if each.status is BookingStatus.CONFIRMED]
        return {
            "used tickets whose time is not that of their first entry": sum(
                each.checked_in_at != times.get(key) for key, each in used.items()
            ),
            "tickets that their entries use": len(times.keys() - used.keys()),
            "confirmed bookings that count other used tickets than they have": sum(
                each.used != live[each.id] for each in confirmed
            ),
        }

    def _contradicts_account(self, booking: Booking) -> bool:
        tables = self._tables
        user = tables.users.get(booking.customer_id)
        if user is None or user.id in tables.reviews or booking.status is not BookingStatus.WAITLISTED:
            return False
        is_open = not tables.events[booking.event_id].status.is_closed
        return is_open and booking.is_suspended is (user.disabled_at is None)
