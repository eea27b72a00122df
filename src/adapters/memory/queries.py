"""The queries of events, bookings, payments and accounts: they read committed rows only."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from ...application.ports.queries import (
    Account,
    AttendingBooking,
    BookingOfEvent,
    BookingOwner,
    BookingPage,
    Customer,
    EventFilter,
    EventKey,
    EventPage,
    Revocations,
    WaitingKey,
)
from ...application.ports.repositories import AccountReview
from ...application.ports.security import AccountKey
from ...domain.booking import Booking, BookingStatus
from ...domain.decisions.erase import Erasure
from ...domain.event import Event, When
from ...domain.explanations.explanation import Explained
from ...domain.explanations.line_history import LineMove, move_of
from ...domain.facts import Fact
from ...domain.payment import ChargeStatus, Need, Payment, PaymentKind, need_of
from ...domain.tickets.ticket_type import EventState
from ...domain.user import Session, User
from ...domain.values.characters import folded
from .tables import Tables

_NEVER = datetime.max.replace(tzinfo=UTC)


class MemoryEventQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def events_by_id(self, event_ids: Sequence[UUID]) -> dict[UUID, EventState]:
        """See the port."""
        await self._before_read()
        return {event_id: self._tables.state(event_id) for event_id in event_ids if event_id in self._tables.events}

    async def events(self, wanted: EventFilter, after: EventKey | None, limit: int) -> EventPage:
        """See the port."""
        await self._before_read()
        from_key = None if after is None else _order(after.starts_at, after.event_id)
        found = sorted(
            (event for event in self._tables.events.values() if _is_wanted(event, wanted, self._tables)),
            key=lambda event: _order(event.starts_at, event.id),
        )
        shown = [event for event in found if from_key is None or _order(event.starts_at, event.id) > from_key]
        page = shown[:limit]
        ends_at = EventKey(page[-1].starts_at, page[-1].id) if len(shown) > limit else None
        return EventPage([self._tables.state(event.id) for event in page], ends_at)

    async def facts(self, event_id: UUID, after: int, limit: int) -> list[Fact]:
        """See the port."""
        await self._before_read()
        return self._tables.facts.get(event_id, [])[after : after + limit]

    async def lapsing_events(self, now: datetime, limit: int) -> list[UUID]:
        """See the port."""
        await self._before_read()
        due = sorted(
            (event.earliest_expiry, event.id)
            for event in self._tables.events.values()
            if event.earliest_expiry is not None and event.earliest_expiry <= now
        )
        return [event_id for _, event_id in due[:limit]]

    async def unnumbered_events(self, limit: int) -> list[UUID]:
        """See the port."""
        await self._before_read()
        events = self._tables.events.values()
        return sorted(each.id for each in events if each.numbered_to is not None)[:limit]

    async def unsettled_events(self, after: UUID | None, limit: int) -> list[UUID]:
        """See the port."""
        await self._before_read()
        return sorted(each for each in self._tables.unsettled if after is None or each > after)[:limit]


class MemoryBookingQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def owner_of(self, booking_id: UUID) -> BookingOwner | None:
        """See the port."""
        await self._before_read()
        booking = self._tables.bookings.get(booking_id)
        return BookingOwner(booking.event_id, booking.customer_id) if booking else None

    async def booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """See the port."""
        await self._before_read()
        booking = self._tables.bookings.get(booking_id)
        if booking is None:
            return None
        return BookingOfEvent(self._tables.placed(booking), self._tables.events[booking.event_id])

    async def bookings_of_customer(
        self, customer_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """See the port."""
        await self._before_read()
        return self._newest(self._tables.of_customer.get(customer_id, ()), status, before, limit)

    async def bookings_with_events(
        self, customer_id: UUID, status: BookingStatus, after: UUID | None, limit: int
    ) -> list[BookingOfEvent]:
        """See the port."""
        await self._before_read()
        found = sorted(
            each
            for each in self._tables.of_customer.get(customer_id, ())
            if self._tables.bookings[each].status is status and (after is None or each > after)
        )
        bookings = [self._tables.bookings[each] for each in found[:limit]]
        return [BookingOfEvent(each, self._tables.events[each.event_id]) for each in bookings]

    async def bookings_of_event(
        self, event_id: UUID, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        """See the port."""
        await self._before_read()
        return self._newest(self._tables.of_event.get(event_id, ()), status, before, limit)

    async def waitlisted_of_customer(self, customer_id: UUID, limit: int, *, suspended: bool) -> list[Booking]:
        """See the port."""
        await self._before_read()
        found = [self._tables.bookings[each] for each in sorted(self._tables.of_customer.get(customer_id, ()))]
        return [each for each in found if each.status is BookingStatus.WAITLISTED and each.is_suspended is suspended][
            :limit
        ]

    async def search_bookings(
        self, event_id: UUID, q: str, status: BookingStatus | None, before: UUID | None, limit: int
    ) -> BookingPage:
        """See the port."""
        await self._before_read()
        tables, text = self._tables, folded(q)
        matching = [
            booking_id
            for booking_id in tables.of_event.get(event_id, ())
            if (user := tables.users.get(tables.bookings[booking_id].customer_id))
            and any(text in folded(each or "") for each in (user.name, user.email))
        ]
        found = self._newest(matching, status, before, limit + 1)
        return BookingPage(found[:limit], found[limit - 1].id if len(found) > limit else None)

    async def attending_bookings(self, event_id: UUID, after: int, limit: int) -> list[AttendingBooking]:
        """See the port."""
        await self._before_read()
        tables = self._tables
        found = [tables.bookings[booking_id] for _, booking_id in sorted(tables.numbered.get(event_id, {}).items())]
        return [
            AttendingBooking(
                id=each.id,
                first_ticket_number=each.ticket_numbers.start,
                tickets=len(each.ticket_numbers),
                status=each.status,
                ticket_type_id=each.ticket_type_id,
                ticket_type_name=tables.ticket_types[event_id][each.ticket_type_id].name,
                customer=customer_of(tables, each.customer_id),
            )
            for each in found
            if each.ticket_numbers.stop > after + 1
        ][:limit]

    async def waiting_list(
        self, event_id: UUID, ticket_type_id: UUID | None, after: WaitingKey | None, limit: int
    ) -> list[Booking]:
        """See the port."""
        await self._before_read()
        found: list[Booking] = []
        for ticket_type in self._tables.ticket_types.get(event_id, {}).values():
            if ticket_type_id in (None, ticket_type.id):
                for number, booking_id in self._tables.waiting_lists.get(ticket_type.id, {}).items():
                    is_after = after is None or (ticket_type.ordinal, number) > (after.ordinal, after.queue_number)
                    if is_after and len(found) < limit:
                        found.append(self._tables.placed(self._tables.bookings[booking_id]))
        return found

    def _newest(
        self, booking_ids: Iterable[UUID], status: BookingStatus | None, before: UUID | None, limit: int
    ) -> list[Booking]:
        wanted = sorted(
            (
                booking_id
                for booking_id in booking_ids
                if (before is None or booking_id < before)
                and (status is None or self._tables.bookings[booking_id].status is status)
            ),
            reverse=True,
        )
        return [self._tables.placed(self._tables.bookings[booking_id]) for booking_id in wanted[:limit]]


class MemoryExplanationQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def explained(self, booking_id: UUID) -> Explained | None:
        """See the port."""
        await self._before_read()
        booking = self._tables.bookings.get(booking_id)
        if booking is None:
            return None
        state = self._tables.state(booking.event_id)
        return Explained(
            booking=self._tables.placed(booking),
            event=state.event,
            ticket_type=next(each for each in state.ticket_types if each.id == booking.ticket_type_id),
            facts=tuple(each for each in self._tables.facts[booking.event_id] if each.booking_id == booking_id),
        )

    async def line_moves(self, event_id: UUID, after: int, until: int) -> list[LineMove]:
        """See the port."""
        await self._before_read()
        facts = self._tables.facts.get(event_id, [])[after:until]
        bookings = [None if each.booking_id is None else self._tables.bookings[each.booking_id] for each in facts]
        numbers = [None if each is None else each.queue_number for each in bookings]
        moves = [move_of(fact.seq, fact.what, number) for fact, number in zip(facts, numbers, strict=True)]
        return [move for move in moves if move is not None]


class MemoryPaymentQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def payments(self, booking_id: UUID) -> list[Payment]:
        """See the port."""
        await self._before_read()
        found = self._tables.payments.get(booking_id, {}).values()
        return sorted(found, key=lambda payment: (payment.created_at, payment.kind, payment.id))

    async def payments_of_bookings(self, booking_ids: Sequence[UUID]) -> list[Payment]:
        """See the port."""
        await self._before_read()
        found = [each for booking_id in booking_ids for each in self._tables.payments.get(booking_id, {}).values()]
        return sorted(found, key=lambda each: each.id)

    async def payment(self, payment_id: UUID) -> Payment | None:
        """See the port."""
        await self._before_read()
        return next((payment for payment in all_payments(self._tables) if payment.id == payment_id), None)

    async def payments_of_event(
        self, event_id: UUID, status: ChargeStatus | None, before: UUID | None, limit: int
    ) -> list[Payment]:
        """See the port."""
        await self._before_read()
        found = [
            each
            for each in all_payments(self._tables)
            if each.event_id == event_id
            and (status is None or each.status is status)
            and (before is None or each.id < before)
        ]
        return sorted(found, key=lambda each: each.id, reverse=True)[:limit]

    async def needing_payments(self, need: Need, now: datetime, after: UUID | None, limit: int) -> list[Payment]:
        """See the port."""
        await self._before_read()
        found = [
            each
            for each in all_payments(self._tables)
            if need_of(each, now) is need and (after is None or each.id > after)
        ]
        return sorted(found, key=lambda each: each.id)[:limit]

    async def charge_of_provider(self, provider_id: str) -> UUID | None:
        """See the port."""
        await self._before_read()
        charges = (each for each in all_payments(self._tables) if each.kind is PaymentKind.CHARGE)
        return next((charge.id for charge in charges if charge.provider_id == provider_id), None)

    async def open_payments(self, now: datetime, limit: int) -> list[Payment]:
        """See the port."""
        await self._before_read()
        pending = [
            (payment.ask_at, payment.id, payment)
            for payment in all_payments(self._tables)
            if payment.status is ChargeStatus.PENDING and payment.ask_at is not None and payment.ask_at <= now
        ]
        return [payment for _, _, payment in sorted(pending, key=lambda each: each[:2])[:limit]]


class MemoryAccountQueries:
    """See the port."""

    def __init__(self, tables: Tables, before_read: Callable[[], Awaitable[None]]) -> None:
        self._tables = tables
        self._before_read = before_read

    async def user_by_email(self, email: str) -> User | None:
        """See the port."""
        await self._before_read()
        user_id = self._tables.emails.get(email)
        return None if user_id is None else self._tables.users[user_id]

    async def customers(self, user_ids: Collection[UUID]) -> dict[UUID, Customer]:
        """See the port."""
        await self._before_read()
        found = {each: customer_of(self._tables, each) for each in user_ids}
        return {user_id: customer for user_id, customer in found.items() if customer is not None}

    async def users(self, after: UUID | None, limit: int) -> list[User]:
        """See the port."""
        await self._before_read()
        ids = sorted(each for each in self._tables.users if after is None or each > after)
        return [self._tables.users[each] for each in ids[:limit]]

    async def revocations(self, since: datetime) -> Revocations:
        """See the port."""
        await self._before_read()
        tables = self._tables
        users = [tables.users[each] for each, changed_at in tables.standings_changed.items() if changed_at >= since]
        return Revocations(
            ended=[session_id for session_id, ended_at in tables.ended.items() if ended_at >= since],
            users={user.id: user.role if user.may_sign_in else None for user in users},
        )

    async def due_reviews(self, now: datetime, limit: int) -> list[AccountReview]:
        """See the port."""
        await self._before_read()
        due = [each for each in self._tables.reviews.values() if each.due_at <= now]
        return sorted(due, key=lambda each: (each.due_at, each.user_id))[:limit]

    async def sessions_of(self, user_id: UUID) -> list[Session]:
        """See the port."""
        await self._before_read()
        return [self._tables.sessions[each] for each in sorted(self._tables.sessions_of.get(user_id, ()))]

    async def due_erasures(self, now: datetime, limit: int) -> list[Erasure]:
        """See the port."""
        await self._before_read()
        due = (each for each in self._tables.erasures.values() if each.due_at <= now)
        return sorted(due, key=lambda each: each.due_at)[:limit]

    async def accounts(self, wanted: Sequence[AccountKey]) -> dict[AccountKey, Account]:
        """See the port."""
        await self._before_read()
        found = {}
        for key in wanted:
            user = self._tables.users.get(key.user_id)
            session = None if key.session_id is None else self._tables.sessions.get(key.session_id)
            if user is not None:
                found[key] = Account(user, session if session and session.user_id == key.user_id else None)
        return found


def customer_of(tables: Tables, user_id: UUID) -> Customer | None:
    """Return the account unless it is erased or unknown."""
    user = tables.users.get(user_id)
    return None if user is None or user.erased_at is not None else Customer(user.id, user.name, user.email)


def all_payments(tables: Tables) -> Iterator[Payment]:
    """Yield every charge and refund."""
    for payments in tables.payments.values():
        yield from payments.values()


def _order(starts_at: datetime | None, event_id: UUID) -> tuple[bool, datetime, UUID]:
    return (starts_at is None, starts_at or _NEVER, event_id)


def _is_wanted(event: Event, wanted: EventFilter, tables: Tables) -> bool:
    if event.status not in wanted.statuses:
        return False
    if wanted.when is not When.ALL and event.is_over(wanted.now) is not (wanted.when is When.PAST):
        return False
    if wanted.organizer_id not in (None, event.organizer_id):
        return False
    if wanted.member_id not in (None, event.organizer_id, *tables.staff.get(event.id, ())):
        return False
    if wanted.hides_unpublished and not event.was_published and event.organizer_id != wanted.viewer_id:
        return False
    return wanted.q is None or any(folded(wanted.q) in folded(text) for text in (event.name, event.venue))
