"""The rules once more, as naively as they can be said: lists instead of counters, searches instead of indexes.

The model shares no decision with the domain, so that a mistake has to be made twice, in two ways, to stay unseen.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from ....domain.values.money import Money
from .box_office import BookingSeen, CancellationSeen, EventSeen, TicketTypeSeen

LIVE = ("waitlisted", "held", "confirmed")
TAKING = ("held", "confirmed")

PRICE = 500
"""What a ticket costs that is not free."""

# What the provider of the harness does with a card.
TAKES, DECLINES, SILENT = "tok_ok", "tok_decline", "tok_timeout"


@dataclass
class ModelBooking:
    """One booking."""

    id: UUID
    customer_id: UUID
    ticket_type_id: UUID
    quantity: int
    status: str
    deadline_hours: int
    costs: bool
    created_at: datetime
    payment: str = "none"
    expires_at: datetime | None = None
    is_unanswered: bool = False
    was_moved: bool = False
    grace_until: datetime | None = None

    @property
    def amount(self) -> int:
        """What it costs."""
        return self.quantity * PRICE if self.costs else 0


@dataclass
class ModelType:
    """One ticket type; `line` are those who wait, in the order in which they came."""

    id: UUID
    name: str
    total: int
    costs: bool = False
    line: list[ModelBooking] = field(default_factory=list)


@dataclass
class ModelEvent:
    """One event with all its bookings."""

    id: UUID
    organizer_id: UUID
    status: str
    policy: str
    limit: int
    starts_at: datetime | None
    deadline_hours: int
    window: int | None
    types: list[ModelType]
    was_on_sale: bool = False
    version: int = 1
    bookings: list[ModelBooking] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.was_on_sale = self.status == "on_sale"

    def boundaries(self) -> list[datetime]:
        """The moments at which something about it changes by itself."""
        found = [each for booking in self.bookings for each in (booking.expires_at, booking.grace_until) if each]
        if self.starts_at is None:
            return found
        deadlines = {self.deadline_hours, *(booking.deadline_hours for booking in self.bookings)}
        return [*found, self.starts_at, *(self.starts_at - timedelta(hours=hours) for hours in deadlines)]

    def move(self, starts_at: datetime) -> None:
        """Another start: no hold outlives it, and who has booked may leave if it is earlier or on another day."""
        for booking in self.bookings:
            if self.starts_at is None or starts_at < self.starts_at or starts_at.date() != self.starts_at.date():
                booking.was_moved = True
            if booking.status == "held" and booking.expires_at and booking.expires_at > starts_at:
                booking.expires_at = starts_at
        self.starts_at = starts_at

    def is_late(self, booking: ModelBooking, now: datetime) -> bool:
        """Whether the deadline for cancelling a booking is over."""
        return self.starts_at is not None and self.starts_at - timedelta(hours=booking.deadline_hours) <= now

    def free(self, ticket_type: ModelType) -> int:
        """Tickets that nobody has."""
        return ticket_type.total - sum(
            booking.quantity
            for booking in self.bookings
            if booking.ticket_type_id == ticket_type.id and booking.status in TAKING
        )

    def live_of(self, customer_id: UUID) -> list[ModelBooking]:
        """A customer's live bookings."""
        return [each for each in self.bookings if each.customer_id == customer_id and each.status in LIVE]

    def type_of(self, ticket_type_id: UUID) -> ModelType:
        """A ticket type by its id."""
        return next(each for each in self.types if each.id == ticket_type_id)

    def has_started(self, now: datetime) -> bool:
        """Whether it has begun."""
        return self.starts_at is not None and self.starts_at <= now

    def must_wait(self, ticket_type: ModelType, quantity: int) -> bool:
        """Whether a newcomer has to join the line."""
        is_awaited = bool(ticket_type.line) if self.policy == "strict" else self.first_to_serve(ticket_type) is not None
        return quantity > self.free(ticket_type) or is_awaited

    def seen(self) -> EventSeen:
        """As it should be told of."""
        return EventSeen(
            id=self.id,
            organizer_id=self.organizer_id,
            starts_at=self.starts_at,
            max_tickets_per_customer=self.limit,
            payment_window_minutes=self.window,
            cancellation_deadline_hours=self.deadline_hours,
            waiting_list_policy=self.policy,
            status=self.status,
            version=self.version,
            is_sold_out=all(self.must_wait(each, 1) for each in self.types),
            ticket_types=[
                TicketTypeSeen(
                    id=each.id,
                    name=each.name,
                    price=Money(PRICE, "EUR") if each.costs else None,
                    total_tickets=each.total,
                    available_tickets=self.free(each),
                    waiting_list_count=len(each.line),
                )
                for each in self.types
            ],
        )

    def seen_booking(self, booking: ModelBooking, now: datetime) -> BookingSeen:
        """As a booking of it should be told of."""
        has_lapsed = booking.status == "held" and booking.expires_at is not None and booking.expires_at <= now
        line = self.type_of(booking.ticket_type_id).line
        ahead = line[: line.index(booking)] if booking in line else None
        return BookingSeen(
            id=booking.id,
            event_id=self.id,
            ticket_type_id=booking.ticket_type_id,
            customer_id=booking.customer_id,
            quantity=booking.quantity,
            status="expired" if has_lapsed else booking.status,
            amount=Money(booking.amount, "EUR"),
            payment_status="none" if has_lapsed else booking.payment,
            position=None if ahead is None else len(ahead) + 1,
            tickets_ahead=None if ahead is None else sum(each.quantity for each in ahead),
            expires_at=booking.expires_at,
            created_at=booking.created_at,
        )

    def serve(self, now: datetime) -> int:
        """Give what is free to those who wait; how many were served."""
        if self.status != "on_sale" or self.has_started(now):
            return 0
        served = 0
        for ticket_type in self.types:
            while (first := self.first_to_serve(ticket_type)) is not None:
                ticket_type.line.remove(first)
                self.give(first, now)
                if self.starts_at and self.is_late(first, now):
                    first.grace_until = min(now + timedelta(days=1), self.starts_at)
                served += 1
        return served

    def give(self, booking: ModelBooking, now: datetime) -> None:
        """Somebody gets tickets, to keep or to pay for in time."""
        booking.status, booking.payment = "confirmed", "due" if booking.costs else "none"
        if booking.costs and self.window is not None:
            booking.status, booking.expires_at = "held", now + timedelta(minutes=self.window)
            if self.starts_at and self.starts_at < booking.expires_at:
                booking.expires_at = self.starts_at

    def lapse(self, now: datetime) -> None:
        """Take back what was not paid in time, and serve the line with it."""
        due = [each for each in self.bookings if each.status == "held" and each.expires_at and each.expires_at <= now]
        for booking in due:
            booking.status, booking.payment = "expired", "none"
        if due:
            self.serve(now)

    def has_room(self, booking: ModelBooking, now: datetime) -> bool:
        """Whether an expired booking may have its tickets back."""
        ticket_type = self.type_of(booking.ticket_type_id)
        live = self.live_of(booking.customer_id)
        return (
            self.status == "on_sale"
            and not self.has_started(now)
            and not self.must_wait(ticket_type, booking.quantity)
            and all(each.ticket_type_id != booking.ticket_type_id for each in live)
            and sum(each.quantity for each in live) + booking.quantity <= self.limit
        )

    def take_money(self, booking: ModelBooking, now: datetime) -> None:
        """The money is there: tickets for it, or it goes back."""
        booking.is_unanswered = False
        if booking.status in TAKING or (booking.status == "expired" and self.has_room(booking, now)):
            booking.status, booking.payment, booking.expires_at = "confirmed", "taken", None
        else:
            booking.payment = "refund_pending"

    def first_to_serve(self, ticket_type: ModelType) -> ModelBooking | None:
        """Whoever in line comes next and fits."""
        free = self.free(ticket_type)
        candidates = ticket_type.line[:1] if self.policy == "strict" else ticket_type.line
        return next((each for each in candidates if each.quantity <= free), None)

    def end(self, booking: ModelBooking) -> None:
        """The booking is over."""
        if booking.status == "waitlisted":
            self.type_of(booking.ticket_type_id).line.remove(booking)
        booking.payment = "refund_pending" if booking.payment == "taken" else "none"
        booking.status, booking.expires_at = "cancelled", None


class Model:
    """All events. Each command answers with what must come of it, or with the code of a refusal."""

    def __init__(self, admins: frozenset[UUID]) -> None:
        self.admins = admins
        self.events: dict[UUID, ModelEvent] = {}

    def manages(self, event: ModelEvent, actor_id: UUID) -> bool:
        """Whether the actor organizes the event or is an admin."""
        return actor_id == event.organizer_id or actor_id in self.admins

    def book(
        self, event: ModelEvent, booking_id: UUID, customer_id: UUID, ticket_type_id: UUID, quantity: int, now: datetime
    ) -> BookingSeen | str:
        """Book tickets."""
        event.lapse(now)
        ticket_type = event.type_of(ticket_type_id)
        refused = self._booking_is_refused(event, ticket_type, customer_id, quantity, now)
        if refused:
            return refused
        status = "waitlisted" if event.must_wait(ticket_type, quantity) else "confirmed"
        booking = ModelBooking(
            booking_id, customer_id, ticket_type_id, quantity, status, event.deadline_hours, ticket_type.costs, now
        )
        event.bookings.append(booking)
        if status == "waitlisted":
            ticket_type.line.append(booking)
        else:
            event.give(booking, now)
        return event.seen_booking(booking, now)

    def _booking_is_refused(
        self, event: ModelEvent, ticket_type: ModelType, customer_id: UUID, quantity: int, now: datetime
    ) -> str | None:
        live = event.live_of(customer_id)
        refusals = {
            "not-found": not event.was_on_sale and not self.manages(event, customer_id),
            "not-on-sale": event.status != "on_sale",
            "event-started": event.has_started(now),
            "exceeds-capacity": quantity > ticket_type.total,
            "already-booked": any(booking.ticket_type_id == ticket_type.id for booking in live),
            "limit-exceeded": sum(booking.quantity for booking in live) + quantity > event.limit,
        }
        return next((code for code, applies in refusals.items() if applies), None)

    def cancel(self, event: ModelEvent, booking: ModelBooking, actor_id: UUID, now: datetime) -> CancellationSeen | str:
        """Cancel a booking by its id."""
        event.lapse(now)
        is_manager = self.manages(event, actor_id)
        if booking.customer_id != actor_id and not is_manager:
            return "not-found"
        closed = self._cancellation_is_closed(event, booking, now, is_manager=is_manager)
        if closed:
            return closed
        if booking.status not in LIVE:
            return "already-cancelled"
        return self._cancelled(event, booking, now)

    def cancel_own(self, event: ModelEvent, customer_id: UUID, now: datetime) -> CancellationSeen | str:
        """Cancel one's only live booking of the event."""
        event.lapse(now)
        live = event.live_of(customer_id)
        if not live:
            return "not-found"
        if len(live) > 1:
            return "invalid-request"
        closed = self._cancellation_is_closed(event, live[0], now, is_manager=False)
        if closed:
            return closed
        return self._cancelled(event, live[0], now)

    def _cancelled(self, event: ModelEvent, booking: ModelBooking, now: datetime) -> CancellationSeen:
        event.end(booking)
        return CancellationSeen(promoted_count=event.serve(now), booking=event.seen_booking(booking, now))

    def set_status(self, event: ModelEvent, status: str, actor_id: UUID, now: datetime) -> EventSeen | str:
        """Lead an event through its life."""
        refused = self._edit_is_refused(event, actor_id, now)
        if refused:
            return refused
        if status == event.status:
            return event.seen()
        steps = {
            "draft": ("on_sale", "cancelled"),
            "on_sale": ("paused", "completed", "cancelled"),
            "paused": ("on_sale", "completed", "cancelled"),
        }
        if status not in steps[event.status]:
            return "illegal-status-change"
        event.status = status
        event.was_on_sale = event.was_on_sale or status == "on_sale"
        for booking in event.bookings:
            if status == "completed" and booking.status == "held":
                booking.status, booking.payment = "expired", "none"
            if booking.status in LIVE and (status == "cancelled" or (status == "completed" and _waits(booking))):
                event.end(booking)
        return self._edited(event, now)

    def edit(self, event: ModelEvent, field: str, value: object, actor_id: UUID, now: datetime) -> EventSeen | str:
        """Change one field of an event."""
        refused = self._edit_is_refused(event, actor_id, now)
        if refused or value == getattr(event, field):
            return refused or event.seen()
        if isinstance(value, datetime):
            event.move(value)
        else:
            setattr(event, field, value)
        return self._edited(event, now)

    def set_total(
        self, event: ModelEvent, ticket_type: ModelType, total: int, actor_id: UUID, now: datetime
    ) -> EventSeen | str:
        """More or fewer tickets."""
        refused = self._edit_is_refused(event, actor_id, now)
        if refused or total == ticket_type.total:
            return refused or event.seen()
        taken = ticket_type.total - event.free(ticket_type)
        if total < taken or any(booking.quantity > total for booking in ticket_type.line):
            return "capacity-below-taken"
        ticket_type.total = total
        return self._edited(event, now)

    def add_type(
        self, event: ModelEvent, type_id: UUID, name: str, total: int, actor_id: UUID, now: datetime
    ) -> EventSeen | str:
        """One more kind of ticket."""
        refused = self._edit_is_refused(event, actor_id, now)
        if refused:
            return refused
        if any(each.name.lower() == name.lower() for each in event.types):
            return "name-taken"
        event.types.append(ModelType(type_id, name, total))
        return self._edited(event, now)

    def pay(
        self, event: ModelEvent, booking: ModelBooking, actor_id: UUID, token: str, now: datetime
    ) -> BookingSeen | str:
        """Pay by card, or in cash where there is no token."""
        event.lapse(now)
        is_customer, is_manager = actor_id == booking.customer_id, self.manages(event, actor_id)
        is_late = booking.status == "expired" and booking.payment == "none"
        refusals = {
            "not-found": not is_customer and not is_manager,
            "not-allowed": not (is_customer if token else is_manager),
            "payment-under-way": booking.is_unanswered and not token,
            "hold-expired": is_late and not booking.is_unanswered and not event.has_room(booking, now),
            "payment-not-due": not is_late
            and not booking.is_unanswered
            and (booking.payment != "due" or event.status == "cancelled"),
        }
        refused = next((code for code, applies in refusals.items() if applies), None)
        if refused:
            return refused
        if token == DECLINES and not booking.is_unanswered:
            return "payment-declined"
        if token == SILENT and not booking.is_unanswered:
            booking.is_unanswered = True
            return "payment-unknown"
        event.take_money(booking, now)
        if booking.payment == "taken":
            return event.seen_booking(booking, now)
        return "hold-expired" if booking.status == "expired" else "payment-not-due"

    def sweep(self, now: datetime) -> None:
        """What happens behind everybody's back."""
        for event in self.events.values():
            event.lapse(now)
            for booking in event.bookings:
                if booking.is_unanswered:
                    event.take_money(booking, now)

    def give_back(self) -> None:
        """Every refund that is owed goes out."""
        for event in self.events.values():
            for booking in event.bookings:
                if booking.payment == "refund_pending":
                    booking.payment = "refunded"

    def reading_is_refused(self, event: ModelEvent, actor_id: UUID) -> str | None:
        """The code with which somebody is refused who asks for what lies below an event."""
        if self.manages(event, actor_id):
            return None
        return "not-allowed" if event.was_on_sale else "not-found"

    def bookings_of(self, customer_id: UUID, now: datetime) -> list[BookingSeen]:
        """Somebody's own bookings, newest first."""
        own = [
            event.seen_booking(booking, now)
            for event in self.events.values()
            for booking in event.bookings
            if booking.customer_id == customer_id
        ]
        return sorted(own, key=lambda booking: booking.id, reverse=True)

    def _cancellation_is_closed(
        self, event: ModelEvent, booking: ModelBooking, now: datetime, *, is_manager: bool
    ) -> str | None:
        if is_manager:
            return "cancellation-closed" if event.status in ("cancelled", "completed") else None
        if event.status == "cancelled":
            return "already-cancelled"
        if event.status == "completed" or event.has_started(now):
            return "cancellation-closed"
        is_free = booking.was_moved or (booking.grace_until is not None and now < booking.grace_until)
        if booking.status == "confirmed" and event.is_late(booking, now) and not is_free:
            return "cancellation-closed"
        return None

    def _edit_is_refused(self, event: ModelEvent, actor_id: UUID, now: datetime) -> str | None:
        event.lapse(now)
        refused = self.reading_is_refused(event, actor_id)
        if refused:
            return refused
        return "event-closed" if event.status in ("cancelled", "completed") else None

    def _edited(self, event: ModelEvent, now: datetime) -> EventSeen:
        event.version += 1
        event.serve(now)
        return event.seen()


def _waits(booking: ModelBooking) -> bool:
    return booking.status == "waitlisted"
