"""The uncommitted changes of one unit of work."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import merge
from itertools import islice
from uuid import UUID

from msgspec import Struct, field

from ...application.ports.idempotency import Key, StoredResponse
from ...application.ports.loading import ClosingQuery, ExpiredHoldsQuery, OverlongHoldsQuery, WaitingListQuery
from ...application.ports.repositories import AccountReview, Failures
from ...application.ports.security import RefreshDigests, ReplacedToken
from ...application.ports.ticket_codes import CodeKey
from ...domain.booking import Booking, BookingStatus, Place
from ...domain.decisions.erase import Erasure
from ...domain.decisions.staff import StaffMember
from ...domain.event import MOST_LIVE_EVENTS, Event
from ...domain.facts import Fact
from ...domain.inventory import ExpiredHolds, OverlongHolds, WaitingList
from ...domain.payment import Payment
from ...domain.tickets.check_in import CheckIn
from ...domain.tickets.ticket import Ticket
from ...domain.tickets.ticket_type import TicketType
from ...domain.user import ApiKey, Session, User
from .log.tables import LogDraft
from .notifications.tables import NotificationDraft
from .tables import Tables


class Draft(Struct):
    """The uncommitted changes of one unit of work, over the committed rows."""

    tables: Tables
    events: dict[UUID, Event] = field(default_factory=dict)
    ticket_types: dict[UUID, dict[UUID, TicketType]] = field(default_factory=dict)
    bookings: dict[UUID, Booking] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    batch_ids: set[tuple[UUID, int, UUID]] = field(default_factory=set)
    new_events: set[UUID] = field(default_factory=set)
    new_bookings: list[Booking] = field(default_factory=list)
    payments: dict[UUID, Payment] = field(default_factory=dict)
    new_payments: set[UUID] = field(default_factory=set)
    responses: dict[Key, tuple[datetime, StoredResponse]] = field(default_factory=dict)
    deleted_responses: set[Key] = field(default_factory=set)
    leases: dict[str, tuple[UUID, datetime]] = field(default_factory=dict)
    counts: dict[tuple[int, UUID, UUID], int] = field(default_factory=dict)
    deletes_counts_before: int | None = None
    failures: dict[UUID, tuple[Failures, ...]] = field(default_factory=dict)
    deletes_failures_before: datetime | None = None
    users: dict[UUID, User] = field(default_factory=dict)
    new_users: set[UUID] = field(default_factory=set)
    erasures: dict[UUID, Erasure | None] = field(default_factory=dict)
    sessions: dict[UUID, Session | None] = field(default_factory=dict)
    notifications: NotificationDraft = field(default_factory=NotificationDraft)
    digests: dict[UUID, RefreshDigests] = field(default_factory=dict)
    replaced: dict[UUID, ReplacedToken | None] = field(default_factory=dict)
    api_keys: dict[UUID, ApiKey | None] = field(default_factory=dict)
    new_key_digests: dict[bytes, UUID] = field(default_factory=dict)
    reviews: dict[UUID, AccountReview | None] = field(default_factory=dict)
    staff: dict[tuple[UUID, UUID], StaffMember | None] = field(default_factory=dict)
    new_staff: set[tuple[UUID, UUID]] = field(default_factory=set)
    tickets: list[Ticket] = field(default_factory=list)
    new_code_keys: dict[UUID, CodeKey] = field(default_factory=dict)
    logs: LogDraft = field(default_factory=LogDraft)
    sealed_code_keys: dict[UUID, CodeKey] = field(default_factory=dict)
    check_ins: dict[UUID, dict[UUID, CheckIn]] = field(default_factory=dict)

    def put_payments(self, new: Iterable[Payment], changed: Iterable[Payment]) -> None:
        """Save new and changed charges and refunds."""
        for payment in new:
            self.new_payments.add(payment.id)
            self.payments[payment.id] = payment
        for payment in changed:
            self.payments[payment.id] = payment

    def put_tickets(self, tickets: Iterable[Ticket], check_ins: Iterable[CheckIn]) -> None:
        """Save what happened to single tickets, and entries of the door."""
        self.tickets += tickets
        for each in check_ins:
            self.check_ins.setdefault(each.event_id, {})[each.id] = each

    def booking(self, booking_id: UUID) -> Booking | None:
        """Return the booking, with this unit of work's changes."""
        return self.bookings.get(booking_id) or self.tables.bookings.get(booking_id)

    def sessions_of(self, user_id: UUID) -> list[Session]:
        """Return a user's committed sessions."""
        return [self.tables.sessions[session_id] for session_id in self.tables.sessions_of.get(user_id, ())]

    def session(self, family: bytes) -> tuple[Session, bytes, ReplacedToken | None] | None:
        """Return the session of a family of refresh tokens, the digest of its newest token, and what was exchanged."""
        session_id = self.tables.families.get(family)
        if session_id is None:
            return None
        session = self.sessions.get(session_id, self.tables.sessions[session_id])
        digests = self.digests.get(session_id, self.tables.digests[session_id])
        replaced = self.replaced.get(session_id, self.tables.replaced.get(session_id))
        return None if session is None else (session, digests.token, replaced)

    def waiting_list(self, query: WaitingListQuery) -> WaitingList:
        """Return the head of a waiting list."""
        fitting = query.fitting
        waiting = (
            (booking, number)
            for number, booking in enumerate(self._waiting(query.ticket_type_id))
            if fitting is None or booking.quantity <= fitting
        )
        found = list(islice(waiting, query.limit))
        skipped = [number - place for place, (_, number) in enumerate(found)]
        return WaitingList(
            tuple([booking for booking, _ in found]),
            fitting,
            len(found) < query.limit,
            tuple(skipped) if any(skipped) else (),
        )

    def sizes(self, ticket_type_id: UUID) -> list[int]:
        """Return the quantities of the bookings on a waiting list."""
        return [booking.quantity for booking in self._waiting(ticket_type_id)]

    def place(self, booking: Booking) -> Place | None:
        """Return the place of a booking on its waiting list, if it is there."""
        ahead = 0
        for position, each in enumerate(self._waiting(booking.ticket_type_id), 1):
            if each.id == booking.id:
                return Place(position, ahead)
            ahead += each.quantity
        return None

    def closing(self, query: ClosingQuery) -> tuple[Booking, ...]:
        """Return live bookings of a closed event."""
        live = (
            booking
            for booking in self._of_event(query.event_id)
            if (booking.status is BookingStatus.WAITLISTED if query.waiting_only else booking.status.is_live)
        )
        return tuple(islice(live, query.limit))

    def expired_holds(self, query: ExpiredHoldsQuery) -> ExpiredHolds:
        """Return the lapsed holds of an event, and when its next hold lapses."""
        held = [(each.expires_at, each) for each in self._of_event(query.event_id) if each.status is BookingStatus.HELD]
        ordered = sorted(((at, each) for at, each in held if at is not None), key=lambda pair: (pair[0], pair[1].id))
        due = [each for at, each in ordered if at <= query.until][: query.limit]
        after = ordered[len(due) :]
        return ExpiredHolds(tuple(due), after[0][0] if after else None)

    def overlong_holds(self, query: OverlongHoldsQuery) -> OverlongHolds:
        """Return the holds that end after the event starts."""
        held = (each for each in self._of_event(query.event_id) if each.status is BookingStatus.HELD)
        overlong = (each for each in held if each.expires_at is not None and each.expires_at > query.starts_at)
        return OverlongHolds(query.starts_at, tuple(islice(overlong, query.limit)))

    def live_events(self, organizer_id: UUID) -> int:
        """Return how many live events an organizer has, at most `MOST_LIVE_EVENTS`."""
        events = {**self.tables.events, **self.events}.values()
        live = (each for each in events if each.organizer_id == organizer_id and not each.status.is_closed)
        return sum(1 for _ in islice(live, MOST_LIVE_EVENTS))

    def _of_event(self, event_id: UUID) -> Iterator[Booking]:
        for booking_id in self.tables.of_event.get(event_id, ()):
            booking = self.booking(booking_id)
            if booking is not None:
                yield booking
        for booking in self.new_bookings:
            if booking.event_id == event_id:
                yield self.bookings[booking.id]

    def _waiting(self, ticket_type_id: UUID) -> Iterator[Booking]:
        committed = self.tables.waiting_lists.get(ticket_type_id, {}).values()
        unchanged = (self.tables.bookings[each] for each in committed if each not in self.bookings)
        changed = (each for each in self.bookings.values() if each.is_waiting and each.ticket_type_id == ticket_type_id)
        return merge(unchanged, sorted(changed, key=_queue_number), key=_queue_number)


def _queue_number(booking: Booking) -> int:
    return booking.queue_number or 0
