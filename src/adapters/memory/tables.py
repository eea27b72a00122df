"""What is committed, as dictionaries. It is changed by `commit` alone, in one go, so no reader sees half of it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby, islice
from typing import Final
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from ...application.ports.errors import Conflict
from ...application.ports.idempotency import Key, StoredResponse
from ...application.ports.loading import ClosingQuery, ExpiredHoldsQuery, OverlongHoldsQuery, WaitingListQuery
from ...application.ports.repositories import Failures
from ...application.ports.security import RefreshDigests
from ...domain.booking import Booking, BookingStatus, Place
from ...domain.event import MOST_LIVE_EVENTS, Event, EventState, TicketType
from ...domain.facts import Fact
from ...domain.inventory import ExpiredHolds, OverlongHolds, WaitingList
from ...domain.payment import Payment
from ...domain.user import Session, User
from .notification_tables import NotificationDraft, NotificationTables


class Tables(Struct):
    """The committed rows and the indexes over them.

    `lines` holds queue number → booking per ticket type, in order, and `live` customer → live booking per ticket type.
    """

    events: dict[UUID, Event] = field(default_factory=dict)
    ticket_types: dict[UUID, dict[UUID, TicketType]] = field(default_factory=dict)
    bookings: dict[UUID, Booking] = field(default_factory=dict)
    live: dict[UUID, dict[UUID, UUID]] = field(default_factory=dict)
    of_customer: dict[UUID, list[UUID]] = field(default_factory=dict)
    of_event: dict[UUID, list[UUID]] = field(default_factory=dict)
    lines: dict[UUID, dict[int, UUID]] = field(default_factory=dict)
    facts: dict[UUID, list[Fact]] = field(default_factory=dict)
    batch_ids: set[tuple[UUID, int, UUID]] = field(default_factory=set)
    unsettled: dict[UUID, None] = field(default_factory=dict)
    payments: dict[UUID, dict[UUID, Payment]] = field(default_factory=dict)
    responses: dict[Key, tuple[datetime, StoredResponse]] = field(default_factory=dict)
    turns: dict[str, tuple[UUID, datetime]] = field(default_factory=dict)
    counts: dict[tuple[int, UUID, UUID], int] = field(default_factory=dict)
    failures: dict[UUID, tuple[Failures, ...]] = field(default_factory=dict)
    users: dict[UUID, User] = field(default_factory=dict)
    emails: dict[str, UUID] = field(default_factory=dict)
    sessions: dict[UUID, Session] = field(default_factory=dict)
    notifications: NotificationTables = field(default_factory=NotificationTables)
    digests: dict[UUID, RefreshDigests] = field(default_factory=dict)
    families: dict[bytes, UUID] = field(default_factory=dict)
    sessions_of: dict[UUID, dict[UUID, None]] = field(default_factory=dict)
    ended: dict[UUID, datetime] = field(default_factory=dict)
    standings_changed: dict[UUID, datetime] = field(default_factory=dict)

    def copy(self) -> "Tables":
        """The rows of this moment. Rows never change in place, so copying the dictionaries is enough."""
        return Tables(
            events=dict(self.events),
            ticket_types={event_id: dict(types) for event_id, types in self.ticket_types.items()},
            bookings=dict(self.bookings),
            lines={type_id: dict(line) for type_id, line in self.lines.items()},
            facts={event_id: list(facts) for event_id, facts in self.facts.items()},
            payments={booking_id: dict(payments) for booking_id, payments in self.payments.items()},
            responses=dict(self.responses),
        )

    def state(self, event_id: UUID) -> EventState:
        """An event with its ticket types."""
        ticket_types = tuple(self.ticket_types[event_id].values())
        smallest = {
            each.id: min(self.bookings[booking_id].quantity for booking_id in self.lines[each.id].values())
            for each in ticket_types
            if self.lines.get(each.id)
        }
        return EventState(event=self.events[event_id], ticket_types=ticket_types, smallest_waiting=smallest)

    def placed(self, booking: Booking) -> Booking:
        """The booking with its place while it waits."""
        if booking.status is not BookingStatus.WAITLISTED:
            return booking
        position, ahead = 1, 0
        for booking_id in self.lines[booking.ticket_type_id].values():
            if booking_id == booking.id:
                break
            position += 1
            ahead += self.bookings[booking_id].quantity
        return replace(booking, place=Place(position, ahead))


class Draft(Struct):
    """What one unit of work has saved and not committed: rows that are new or different, over the committed ones."""

    tables: Tables
    events: dict[UUID, Event] = field(default_factory=dict)
    ticket_types: dict[UUID, dict[UUID, TicketType]] = field(default_factory=dict)
    bookings: dict[UUID, Booking] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    batch_ids: set[tuple[UUID, int, UUID]] = field(default_factory=set)
    new_events: set[UUID] = field(default_factory=set)
    new_bookings: set[UUID] = field(default_factory=set)
    payments: dict[UUID, Payment] = field(default_factory=dict)
    new_payments: set[UUID] = field(default_factory=set)
    responses: dict[Key, tuple[datetime, StoredResponse]] = field(default_factory=dict)
    forgotten: set[Key] = field(default_factory=set)
    turns: dict[str, tuple[UUID, datetime]] = field(default_factory=dict)
    counts: dict[tuple[int, UUID, UUID], int] = field(default_factory=dict)
    forgets_counts_before: int | None = None
    failures: dict[UUID, tuple[Failures, ...]] = field(default_factory=dict)
    forgets_failures_before: datetime | None = None
    users: dict[UUID, User] = field(default_factory=dict)
    new_users: set[UUID] = field(default_factory=set)
    sessions: dict[UUID, Session | None] = field(default_factory=dict)
    notifications: NotificationDraft = field(default_factory=NotificationDraft)
    digests: dict[UUID, RefreshDigests] = field(default_factory=dict)

    def put_payments(self, new: Iterable[Payment], changed: Iterable[Payment]) -> None:
        """Charges and refunds that are new, or different from now on."""
        for payment in new:
            self.new_payments.add(payment.id)
            self.payments[payment.id] = payment
        for payment in changed:
            self.payments[payment.id] = payment

    def booking(self, booking_id: UUID) -> Booking | None:
        """The booking as saved by now."""
        return self.bookings.get(booking_id) or self.tables.bookings.get(booking_id)

    def sessions_of(self, user_id: UUID) -> list[Session]:
        """A user's sessions as committed."""
        return [self.tables.sessions[session_id] for session_id in self.tables.sessions_of.get(user_id, ())]

    def session(self, family: bytes) -> tuple[Session, bytes] | None:
        """The session of a family of refresh tokens as saved by now, and the digest of its newest one."""
        session_id = self.tables.families.get(family)
        if session_id is None:
            return None
        session = self.sessions.get(session_id, self.tables.sessions[session_id])
        digests = self.digests.get(session_id, self.tables.digests[session_id])
        return None if session is None else (session, digests.token)

    def line(self, ask: WaitingListQuery) -> WaitingList:
        """The head of a line as saved by now."""
        waiting = self._waiting(ask.ticket_type_id)
        if ask.fitting is not None:
            fitting = ask.fitting
            waiting = (booking for booking in waiting if booking.quantity <= fitting)
        head = tuple(islice(waiting, ask.limit))
        return WaitingList(head, ask.fitting, len(head) < ask.limit)

    def sizes(self, ticket_type_id: UUID) -> list[int]:
        """What those in a line ask for, as saved by now."""
        return [booking.quantity for booking in self._waiting(ticket_type_id)]

    def closing(self, ask: ClosingQuery) -> tuple[Booking, ...]:
        """Live bookings of a closed event, as saved by now."""
        live = (
            booking
            for booking in self._of_event(ask.event_id)
            if (booking.status is BookingStatus.WAITLISTED if ask.waiting_only else booking.status.is_live)
        )
        return tuple(islice(live, ask.limit))

    def expired_holds(self, ask: ExpiredHoldsQuery) -> ExpiredHolds:
        """Holds that have lapsed, as saved by now."""
        held = [(each.expires_at, each) for each in self._of_event(ask.event_id) if each.status is BookingStatus.HELD]
        ordered = sorted(((at, each) for at, each in held if at is not None), key=lambda pair: (pair[0], pair[1].id))
        due = [each for at, each in ordered if at <= ask.until][: ask.limit]
        after = ordered[len(due) :]
        return ExpiredHolds(tuple(due), after[0][0] if after else None)

    def overlong_holds(self, ask: OverlongHoldsQuery) -> OverlongHolds:
        """Holds that outlive the start, as saved by now."""
        held = (each for each in self._of_event(ask.event_id) if each.status is BookingStatus.HELD)
        overlong = (each for each in held if each.expires_at is not None and each.expires_at > ask.starts_at)
        return OverlongHolds(ask.starts_at, tuple(islice(overlong, ask.limit)))

    def live_events(self, organizer_id: UUID) -> int:
        """How many live events an organizer has as saved by now, as far as they are counted."""
        events = {**self.tables.events, **self.events}.values()
        live = (each for each in events if each.organizer_id == organizer_id and not each.status.is_closed)
        return sum(1 for _ in islice(live, MOST_LIVE_EVENTS))

    def _of_event(self, event_id: UUID) -> Iterator[Booking]:
        for booking_id in self.tables.of_event.get(event_id, ()):
            booking = self.booking(booking_id)
            if booking is not None:
                yield booking
        for booking_id in self.new_bookings:
            if self.bookings[booking_id].event_id == event_id:
                yield self.bookings[booking_id]

    def _waiting(self, ticket_type_id: UUID) -> Iterator[Booking]:
        tables = self.tables
        for booking_id in tables.lines.get(ticket_type_id, {}).values():
            booking = self.bookings.get(booking_id) or tables.bookings[booking_id]
            if booking.status is BookingStatus.WAITLISTED:
                yield booking
        # Queue numbers only grow, so whoever joined in this unit of work stands behind all the others.
        for booking in self.bookings.values():
            is_here = booking.id in self.new_bookings and booking.ticket_type_id == ticket_type_id
            if is_here and booking.status is BookingStatus.WAITLISTED:
                yield booking

    def check(self) -> None:
        """What a schema would refuse. Raises: Conflict."""
        self._check_events()
        self._check_bookings()
        self._check_users()
        self.notifications.check(self.tables.notifications)
        for payment_id in self.new_payments:
            if payment_id in self.tables.payments.get(self.payments[payment_id].booking_id, {}):
                raise Conflict("a payment with this id exists")
        if any(key in self.tables.responses and key not in self.forgotten for key in self.responses):
            raise Conflict("the key has an answer already")

    def _check_events(self) -> None:
        for event_id in self.new_events:
            if event_id in self.tables.events:
                raise Conflict("an event with this id exists")
        for types in self.ticket_types.values():
            for each in types.values():
                if not 0 <= each.taken <= each.total_tickets or each.waiting < 0 or each.waiting_tickets < 0:
                    raise Conflict("more tickets are taken than there are, or less than nothing")
        numbers = {event_id: len(facts) for event_id, facts in self.tables.facts.items()}
        for fact in self.facts:
            if fact.seq <= numbers.get(fact.event_id, 0):
                raise Conflict("a fact with this number exists")

    def _check_bookings(self) -> None:
        known, live = self.tables.bookings, self.tables.live
        for booking_id in self.new_bookings:
            if booking_id in known:
                raise Conflict("a booking with this id exists")
        # By their numbers, which have their hashes at hand.
        seen: dict[int, tuple[Mapping[UUID, UUID], set[int]]] = {}
        for booking in self.bookings.values():
            if booking.status.is_live:
                of_type = seen.get(booking.ticket_type_id.int)
                if of_type is None:
                    of_type = live.get(booking.ticket_type_id, _NONE), set()
                    seen[booking.ticket_type_id.int] = of_type
                before, here = of_type
                customer = booking.customer_id.int
                other = before.get(booking.customer_id)
                # The other one may end with this very transaction.
                is_in_the_way = other is not None and other != booking.id and self._stays_live(other)
                if is_in_the_way or customer in here:
                    raise Conflict("the customer has a live booking of this ticket type")
                here.add(customer)

    def _stays_live(self, booking_id: UUID) -> bool:
        booking = self.booking(booking_id)
        return booking is not None and booking.status.is_live

    def _check_users(self) -> None:
        for user in self.users.values():
            if user.id in self.new_users and user.id in self.tables.users:
                raise Conflict("an account with this id exists")
            if self.tables.emails.get(user.email, user.id) != user.id:
                raise Conflict("an account with this e-mail exists")
        for session_id, digests in self.digests.items():
            if self.tables.families.get(digests.family, session_id) != session_id:
                raise Conflict("a session with this family of refresh tokens exists")

    def apply(self) -> None:
        """Make it the committed state, in one go."""
        tables = self.tables
        tables.events.update(self.events)
        for event_id, types in self.ticket_types.items():
            tables.ticket_types.setdefault(event_id, {}).update(types)
        for event in self.events.values():
            if event.is_unsettled:
                tables.unsettled[event.id] = None
            else:
                tables.unsettled.pop(event.id, None)
        self._put_bookings()
        for event_id, facts in groupby(self.facts, key=lambda fact: fact.event_id):
            tables.facts.setdefault(event_id, []).extend(facts)
        tables.batch_ids |= self.batch_ids
        self._put_users()
        for payment in self.payments.values():
            tables.payments.setdefault(payment.booking_id, {})[payment.id] = payment
        for key in self.forgotten:
            tables.responses.pop(key, None)
        tables.responses.update(self.responses)
        tables.turns.update(self.turns)
        self.notifications.apply(tables.notifications)
        self._put_limits()

    def _put_limits(self) -> None:
        counts, failures = self.tables.counts, self.tables.failures
        if self.forgets_counts_before is not None:
            for key in [key for key in counts if key[0] < self.forgets_counts_before]:
                del counts[key]
        if self.forgets_failures_before is not None:
            for subject in [each for each, times in failures.items() if times[-1].at < self.forgets_failures_before]:
                del failures[subject]
        counts.update(self.counts)
        failures.update(self.failures)

    def _put_users(self) -> None:
        tables = self.tables
        for user in self.users.values():
            before = tables.users.get(user.id)
            if before is not None:
                del tables.emails[before.email]
            tables.users[user.id] = user
            tables.emails[user.email] = user.id
            if user.standing_changed_at is not None:
                tables.standings_changed[user.id] = user.standing_changed_at
        for session_id, session in self.sessions.items():
            if session is not None:
                tables.sessions[session_id] = session
                tables.sessions_of.setdefault(session.user_id, {})[session_id] = None
                if session.ended_at is not None:
                    tables.ended[session_id] = session.ended_at
            elif (gone := tables.sessions.pop(session_id, None)) is not None:
                del tables.sessions_of[gone.user_id][session_id]
                tables.ended.pop(session_id, None)
                del tables.families[tables.digests.pop(session_id).family]
        for session_id, digests in self.digests.items():
            tables.digests[session_id] = digests
            tables.families[digests.family] = session_id

    def _put_bookings(self) -> None:
        tables = self.tables
        size = len(tables.bookings)
        # By their numbers, which have their hashes at hand: most bookings are of few events.
        of_events: dict[int, list[UUID]] = {}
        live_of_types: dict[int, dict[UUID, UUID]] = {}
        for booking in self.bookings.values():
            tables.bookings[booking.id] = booking
            if len(tables.bookings) > size:
                size += 1
                of_event = of_events.get(booking.event_id.int)
                if of_event is None:
                    of_event = of_events[booking.event_id.int] = tables.of_event.setdefault(booking.event_id, [])
                of_event.append(booking.id)
                tables.of_customer.setdefault(booking.customer_id, []).append(booking.id)
            live = live_of_types.get(booking.ticket_type_id.int)
            if live is None:
                live = tables.live.setdefault(booking.ticket_type_id, {})
                live_of_types[booking.ticket_type_id.int] = live
            if booking.status.is_live:
                live[booking.customer_id] = booking.id
            elif live.get(booking.customer_id) == booking.id:
                del live[booking.customer_id]
            if booking.queue_number is not None:
                line = tables.lines.setdefault(booking.ticket_type_id, {})
                if booking.status is BookingStatus.WAITLISTED:
                    line[booking.queue_number] = booking.id
                else:
                    line.pop(booking.queue_number, None)


_NONE: Final[Mapping[UUID, UUID]] = {}


def live_of(tables: Tables, event_id: UUID, customer_id: UUID) -> Iterable[Booking]:
    """A customer's live bookings of an event."""
    for ticket_type_id in tables.ticket_types.get(event_id, ()):
        booking_id = tables.live.get(ticket_type_id, _NONE).get(customer_id)
        if booking_id is not None:
            yield tables.bookings[booking_id]
