"""The committed rows, as dictionaries. A commit changes them without awaiting, so readers see all of it or nothing."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from ...application.ports.idempotency import Key, StoredResponse
from ...application.ports.repositories import AccountReview, Failures
from ...application.ports.security import RefreshDigests, ReplacedToken
from ...application.ports.ticket_codes import CodeKey
from ...domain.booking import Booking, Place
from ...domain.decisions.erase import Erasure
from ...domain.decisions.staff import StaffMember
from ...domain.event import Event
from ...domain.facts import Fact
from ...domain.payment import Payment
from ...domain.tickets.check_in import CheckIn
from ...domain.tickets.ticket import Ticket
from ...domain.tickets.ticket_type import EventState, TicketType
from ...domain.user import ApiKey, Session, User
from .log.tables import LogTables
from .notifications.tables import NotificationTables

NO_BOOKINGS: Final[Mapping[UUID, UUID]] = {}
"""The live bookings of a ticket type that has none."""


class Tables(Struct):
    """The committed rows and their indexes.

    Per ticket type `waiting_lists` maps queue numbers to bookings, in order; `live` maps customers to live bookings.
    Per event `numbered` maps first ticket numbers to bookings. Per booking `tickets` maps numbers to tickets.
    Per event `check_ins` maps ids to entries.
    """

    events: dict[UUID, Event] = field(default_factory=dict)
    ticket_types: dict[UUID, dict[UUID, TicketType]] = field(default_factory=dict)
    bookings: dict[UUID, Booking] = field(default_factory=dict)
    live: dict[UUID, dict[UUID, UUID]] = field(default_factory=dict)
    of_customer: dict[UUID, list[UUID]] = field(default_factory=dict)
    of_event: dict[UUID, list[UUID]] = field(default_factory=dict)
    waiting_lists: dict[UUID, dict[int, UUID]] = field(default_factory=dict)
    numbered: dict[UUID, dict[int, UUID]] = field(default_factory=dict)
    facts: dict[UUID, list[Fact]] = field(default_factory=dict)
    batch_ids: set[tuple[UUID, int, UUID]] = field(default_factory=set)
    unsettled: dict[UUID, None] = field(default_factory=dict)
    payments: dict[UUID, dict[UUID, Payment]] = field(default_factory=dict)
    responses: dict[Key, tuple[datetime, StoredResponse]] = field(default_factory=dict)
    leases: dict[str, tuple[UUID, datetime]] = field(default_factory=dict)
    counts: dict[tuple[int, UUID, UUID], int] = field(default_factory=dict)
    failures: dict[UUID, tuple[Failures, ...]] = field(default_factory=dict)
    users: dict[UUID, User] = field(default_factory=dict)
    emails: dict[str, UUID] = field(default_factory=dict)
    sessions: dict[UUID, Session] = field(default_factory=dict)
    notifications: NotificationTables = field(default_factory=NotificationTables)
    digests: dict[UUID, RefreshDigests] = field(default_factory=dict)
    replaced: dict[UUID, ReplacedToken | None] = field(default_factory=dict)
    families: dict[bytes, UUID] = field(default_factory=dict)
    sessions_of: dict[UUID, dict[UUID, None]] = field(default_factory=dict)
    ended: dict[UUID, datetime] = field(default_factory=dict)
    standings_changed: dict[UUID, datetime] = field(default_factory=dict)
    api_keys: dict[UUID, ApiKey] = field(default_factory=dict)
    key_digests: dict[bytes, UUID] = field(default_factory=dict)
    reviews: dict[UUID, AccountReview] = field(default_factory=dict)
    staff: dict[UUID, dict[UUID, StaffMember]] = field(default_factory=dict)
    code_keys: dict[UUID, CodeKey] = field(default_factory=dict)
    logs: LogTables = field(default_factory=LogTables)
    erasures: dict[UUID, Erasure] = field(default_factory=dict)
    tickets: dict[UUID, dict[int, Ticket]] = field(default_factory=dict)
    check_ins: dict[UUID, dict[UUID, CheckIn]] = field(default_factory=dict)

    def copy(self) -> "Tables":
        """Return a copy for a snapshot. Rows never change in place, so copying the dictionaries is enough."""
        return Tables(
            events=dict(self.events),
            ticket_types={event_id: dict(types) for event_id, types in self.ticket_types.items()},
            bookings=dict(self.bookings),
            waiting_lists={type_id: dict(entries) for type_id, entries in self.waiting_lists.items()},
            facts={event_id: list(facts) for event_id, facts in self.facts.items()},
            payments={booking_id: dict(payments) for booking_id, payments in self.payments.items()},
            responses=dict(self.responses),
            users=dict(self.users),
            reviews=dict(self.reviews),
            sessions=dict(self.sessions),
            api_keys=dict(self.api_keys),
            staff={event_id: dict(members) for event_id, members in self.staff.items()},
            erasures=dict(self.erasures),
            logs=LogTables(keys=dict(self.logs.keys)),
            notifications=NotificationTables(
                webhooks=dict(self.notifications.webhooks), links=dict(self.notifications.links)
            ),
            tickets={booking_id: dict(tickets) for booking_id, tickets in self.tickets.items()},
            check_ins={event_id: dict(entries) for event_id, entries in self.check_ins.items()},
        )

    def state(self, event_id: UUID) -> EventState:
        """Return an event with its ticket types."""
        ticket_types = tuple(self.ticket_types[event_id].values())
        smallest = {
            each.id: min(self.bookings[booking_id].quantity for booking_id in self.waiting_lists[each.id].values())
            for each in ticket_types
            if self.waiting_lists.get(each.id)
        }
        return EventState(event=self.events[event_id], ticket_types=ticket_types, smallest_waiting=smallest)

    def placed(self, booking: Booking) -> Booking:
        """Return the booking, with its place if it is on a waiting list."""
        if not booking.is_waiting or self.events[booking.event_id].awaits_draw:
            return booking
        position, ahead = 1, 0
        for booking_id in self.waiting_lists[booking.ticket_type_id].values():
            if booking_id == booking.id:
                break
            position += 1
            ahead += self.bookings[booking_id].quantity
        return replace(booking, place=Place(position, ahead))


def live_by_type(tables: Tables, event_id: UUID) -> list[Mapping[UUID, UUID]]:
    """Return the ids of live bookings by customer, for each ticket type of an event that has some."""
    of_types = [tables.live.get(ticket_type_id) for ticket_type_id in tables.ticket_types.get(event_id, ())]
    return [of_type for of_type in of_types if of_type]


def live_of(tables: Tables, by_type: Iterable[Mapping[UUID, UUID]], customer_id: UUID) -> Iterable[Booking]:
    """Yield a customer's live bookings of an event, from its `live_by_type`."""
    for of_type in by_type:
        booking_id = of_type.get(customer_id)
        if booking_id is not None:
            yield tables.bookings[booking_id]
