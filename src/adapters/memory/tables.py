"""The committed rows, as dictionaries. A commit changes them without awaiting, so readers see all of it or nothing."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from heapq import merge
from itertools import groupby, islice
from typing import Final
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from ...application.ports.errors import Conflict
from ...application.ports.idempotency import Key, StoredResponse
from ...application.ports.loading import ClosingQuery, ExpiredHoldsQuery, OverlongHoldsQuery, WaitingListQuery
from ...application.ports.repositories import AccountReview, Failures
from ...application.ports.security import RefreshDigests, ReplacedToken
from ...domain.booking import Booking, BookingStatus, Place
from ...domain.decisions.erase import Erasure
from ...domain.decisions.staff import StaffMember
from ...domain.event import MOST_LIVE_EVENTS, Event
from ...domain.facts import Fact
from ...domain.inventory import ExpiredHolds, OverlongHolds, WaitingList
from ...domain.payment import Payment
from ...domain.tickets.ticket_type import EventState, TicketType
from ...domain.user import ApiKey, Session, User
from .notifications.tables import NotificationDraft, NotificationTables


class Tables(Struct):
    """The committed rows and their indexes.

    Per ticket type `waiting_lists` maps queue numbers to bookings, in order; `live` maps customers to live bookings.
    Per event `numbered` maps first ticket numbers to bookings.
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
    erasures: dict[UUID, Erasure] = field(default_factory=dict)

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
        if not booking.is_waiting:
            return booking
        position, ahead = 1, 0
        for booking_id in self.waiting_lists[booking.ticket_type_id].values():
            if booking_id == booking.id:
                break
            position += 1
            ahead += self.bookings[booking_id].quantity
        return replace(booking, place=Place(position, ahead))


class Draft(Struct):
    """The uncommitted changes of one unit of work, over the committed rows."""

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

    def put_payments(self, new: Iterable[Payment], changed: Iterable[Payment]) -> None:
        """Save new and changed charges and refunds."""
        for payment in new:
            self.new_payments.add(payment.id)
            self.payments[payment.id] = payment
        for payment in changed:
            self.payments[payment.id] = payment

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
        waiting = self._waiting(query.ticket_type_id)
        if query.fitting is not None:
            fitting = query.fitting
            waiting = (booking for booking in waiting if booking.quantity <= fitting)
        head = tuple(islice(waiting, query.limit))
        return WaitingList(head, query.fitting, len(head) < query.limit)

    def sizes(self, ticket_type_id: UUID) -> list[int]:
        """Return the quantities of the bookings on a waiting list."""
        return [booking.quantity for booking in self._waiting(ticket_type_id)]

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
        for booking_id in self.new_bookings:
            if self.bookings[booking_id].event_id == event_id:
                yield self.bookings[booking_id]

    def _waiting(self, ticket_type_id: UUID) -> Iterator[Booking]:
        committed = self.tables.waiting_lists.get(ticket_type_id, {}).values()
        unchanged = (self.tables.bookings[each] for each in committed if each not in self.bookings)
        changed = (each for each in self.bookings.values() if each.is_waiting and each.ticket_type_id == ticket_type_id)
        return merge(unchanged, sorted(changed, key=_queue_number), key=_queue_number)

    def check(self) -> None:
        """Check what a schema would enforce. Raises: Conflict."""
        self._check_events()
        self._check_bookings()
        self._check_numbers()
        self._check_users()
        self.notifications.check(self.tables.notifications)
        for payment_id in self.new_payments:
            if payment_id in self.tables.payments.get(self.payments[payment_id].booking_id, {}):
                raise Conflict("a payment with this id exists")
        if any(user_id in self.tables.staff.get(event_id, {}) for event_id, user_id in self.new_staff):
            raise Conflict("the person works for the event")
        if any(key in self.tables.responses and key not in self.deleted_responses for key in self.responses):
            raise Conflict("the key already has a stored response")

    def _check_events(self) -> None:
        for event_id in self.new_events:
            if event_id in self.tables.events:
                raise Conflict("an event with this id exists")
        for types in self.ticket_types.values():
            for each in types.values():
                if not 0 <= each.taken <= each.total_tickets or each.waiting < 0 or each.waiting_tickets < 0:
                    raise Conflict("a counter of a ticket type is out of range")
        last_seqs = {event_id: len(facts) for event_id, facts in self.tables.facts.items()}
        for fact in self.facts:
            if fact.seq <= last_seqs.get(fact.event_id, 0):
                raise Conflict("a fact with this number exists")

    def _check_bookings(self) -> None:
        committed, live = self.tables.bookings, self.tables.live
        for booking_id in self.new_bookings:
            if booking_id in committed:
                raise Conflict("a booking with this id exists")
        # Keyed by integers, which hash faster than UUIDs.
        seen: dict[int, tuple[Mapping[UUID, UUID], set[int]]] = {}
        for booking in self.bookings.values():
            if booking.status.is_live:
                of_type = seen.get(booking.ticket_type_id.int)
                if of_type is None:
                    of_type = live.get(booking.ticket_type_id, _NONE), set()
                    seen[booking.ticket_type_id.int] = of_type
                before, customers = of_type
                customer = booking.customer_id.int
                other = before.get(booking.customer_id)
                # The other booking may end in this transaction.
                is_duplicate = other is not None and other != booking.id and self._stays_live(other)
                if is_duplicate or customer in customers:
                    raise Conflict("the customer has a live booking of this ticket type")
                customers.add(customer)

    def _check_numbers(self) -> None:
        seen: set[tuple[int, int]] = set()
        for booking in self.bookings.values():
            number = booking.first_ticket_number
            if number is not None:
                holder = self.tables.numbered.get(booking.event_id, {}).get(number, booking.id)
                if holder != booking.id or (booking.event_id.int, number) in seen:
                    raise Conflict("another booking has this first ticket number")
                seen.add((booking.event_id.int, number))

    def _stays_live(self, booking_id: UUID) -> bool:
        booking = self.booking(booking_id)
        return booking is not None and booking.status.is_live

    def _check_users(self) -> None:
        for user in self.users.values():
            if user.id in self.new_users and user.id in self.tables.users:
                raise Conflict("an account with this id exists")
            if user.email is not None and self._holder_of(user.email) not in (None, user.id):
                raise Conflict("an account with this e-mail exists")
        for session_id, digests in self.digests.items():
            if self.tables.families.get(digests.family, session_id) != session_id:
                raise Conflict("a session with this family of refresh tokens exists")
        for digest, key_id in self.new_key_digests.items():
            if key_id in self.tables.api_keys or digest in self.tables.key_digests:
                raise Conflict("an API key with this id or digest exists")

    def _holder_of(self, email: str) -> UUID | None:
        """Return the account that holds an address after this unit of work; it may lose it in this one."""
        holder = self.tables.emails.get(email)
        if holder is not None and self.users.get(holder, self.tables.users[holder]).email == email:
            return holder
        return next((each.id for each in self.users.values() if each.email == email), None)

    def apply(self) -> None:
        """Apply the changes to the committed rows."""
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
        self._put_numbers()
        for event_id, facts in groupby(self.facts, key=lambda fact: fact.event_id):
            tables.facts.setdefault(event_id, []).extend(facts)
        tables.batch_ids |= self.batch_ids
        self._put_users()
        self._put_staff()
        for payment in self.payments.values():
            tables.payments.setdefault(payment.booking_id, {})[payment.id] = payment
        for key in self.deleted_responses:
            tables.responses.pop(key, None)
        tables.responses.update(self.responses)
        tables.leases.update(self.leases)
        self.notifications.apply(tables.notifications)
        self._put_limits()

    def _put_staff(self) -> None:
        for (event_id, user_id), member in self.staff.items():
            members = self.tables.staff.setdefault(event_id, {})
            if member is None:
                members.pop(user_id, None)
            else:
                members[user_id] = member

    def _put_limits(self) -> None:
        counts, failures = self.tables.counts, self.tables.failures
        if self.deletes_counts_before is not None:
            for key in [key for key in counts if key[0] < self.deletes_counts_before]:
                del counts[key]
        if self.deletes_failures_before is not None:
            for subject in [each for each, times in failures.items() if times[-1].at < self.deletes_failures_before]:
                del failures[subject]
        counts.update(self.counts)
        failures.update(self.failures)

    def _put_users(self) -> None:
        tables = self.tables
        # First, because another account may get an address in the same unit of work.
        for user in self.users.values():
            before = tables.users.get(user.id)
            if before is not None and before.email is not None:
                del tables.emails[before.email]
        for user in self.users.values():
            tables.users[user.id] = user
            if user.email is not None:
                tables.emails[user.email] = user.id
            if user.standing_changed_at is not None:
                tables.standings_changed[user.id] = user.standing_changed_at
        for user_id, review in self.reviews.items():
            if review is None:
                tables.reviews.pop(user_id, None)
            else:
                tables.reviews[user_id] = review
        for user_id, erasure in self.erasures.items():
            if erasure is None:
                tables.erasures.pop(user_id, None)
            else:
                tables.erasures[user_id] = erasure
        self._put_sessions()
        self._put_api_keys()

    def _put_sessions(self) -> None:
        tables = self.tables
        for session_id, session in self.sessions.items():
            if session is not None:
                tables.sessions[session_id] = session
                tables.sessions_of.setdefault(session.user_id, {})[session_id] = None
                if session.ended_at is not None:
                    tables.ended[session_id] = session.ended_at
            elif (removed := tables.sessions.pop(session_id, None)) is not None:
                del tables.sessions_of[removed.user_id][session_id]
                tables.ended.pop(session_id, None)
                del tables.families[tables.digests.pop(session_id).family]
                tables.replaced.pop(session_id, None)
        for session_id, digests in self.digests.items():
            tables.digests[session_id] = digests
            tables.families[digests.family] = session_id
        tables.replaced.update(self.replaced)

    def _put_api_keys(self) -> None:
        tables = self.tables
        new = set(self.new_key_digests.values())
        for key_id, key in self.api_keys.items():
            # A key that another unit of work has removed meanwhile does not come back.
            if key is not None and (key_id in new or key_id in tables.api_keys):
                tables.api_keys[key_id] = key
            elif key is None:
                tables.api_keys.pop(key_id, None)
        if self.api_keys:
            digests = {**tables.key_digests, **self.new_key_digests}
            tables.key_digests = {digest: key_id for digest, key_id in digests.items() if key_id in tables.api_keys}

    def _put_bookings(self) -> None:
        tables = self.tables
        size = len(tables.bookings)
        # Keyed by integers, which hash faster than UUIDs: most bookings belong to few events.
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
                waiting_list = tables.waiting_lists.setdefault(booking.ticket_type_id, {})
                if booking.is_waiting:
                    is_last = booking.queue_number >= next(reversed(waiting_list), 0)
                    waiting_list[booking.queue_number] = booking.id
                    if not is_last:
                        tables.waiting_lists[booking.ticket_type_id] = dict(sorted(waiting_list.items()))
                else:
                    waiting_list.pop(booking.queue_number, None)

    def _put_numbers(self) -> None:
        of_events: dict[int, dict[int, UUID]] = {}
        for booking in self.bookings.values():
            if booking.first_ticket_number is not None:
                of_event = of_events.get(booking.event_id.int)
                if of_event is None:
                    of_event = of_events[booking.event_id.int] = self.tables.numbered.setdefault(booking.event_id, {})
                of_event[booking.first_ticket_number] = booking.id


_NONE: Final[Mapping[UUID, UUID]] = {}


def _queue_number(booking: Booking) -> int:
    return booking.queue_number or 0


def live_of(tables: Tables, event_id: UUID, customer_id: UUID) -> Iterable[Booking]:
    """Yield a customer's live bookings of an event."""
    for ticket_type_id in tables.ticket_types.get(event_id, ()):
        booking_id = tables.live.get(ticket_type_id, _NONE).get(customer_id)
        if booking_id is not None:
            yield tables.bookings[booking_id]
