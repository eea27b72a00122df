"""Follow the facts of one event's bookings, and find every promise that they show to be broken."""

from collections.abc import Hashable
from typing import Final
from uuid import UUID

from .....domain.booking import BookingStatus
from .....domain.facts import (
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    Fact,
    HoldExpired,
    HoldShortened,
    PaymentTaken,
    TicketCheckedIn,
    TicketsBooked,
    TicketsGranted,
    TicketsReturned,
    WaitingResumed,
    WaitingSuspended,
)
from ..breach import Breach
from .projected_state import (
    LIVE,
    TAKING,
    CreatedBooking,
    FreedTickets,
    ProjectedBooking,
    ProjectedEvent,
    ProjectedType,
)
from .timeline import Timeline

STEP: Final = 500
"""Bookings that a transaction changes before it may leave a waiting booking unserved that fits (API.md)."""


class BookingProjection:
    """The bookings of an event and the counters of its ticket types, as far as facts about bookings change them.

    `created`, `cancelled` and `paid` map a booking to the fact that created, cancelled or paid it. `parts` are the
    parts of a booking that were given back, by the number of tickets that each left.
    """

    def __init__(self, event_id: UUID, step: int) -> None:
        self.event_id = event_id
        self.breaches: list[Breach] = []
        self.created: dict[UUID, CreatedBooking] = {}
        self.cancelled: dict[UUID, FreedTickets] = {}
        self.parts: dict[UUID, dict[int, FreedTickets]] = {}
        self.paid: dict[UUID, int] = {}
        self.seq: int = 0
        self.event: ProjectedEvent = ProjectedEvent()
        self.types: dict[UUID, ProjectedType] = {}
        self.bookings: dict[UUID, ProjectedBooking] = {}
        self.last_ticket_number: int = 0
        self.may_be_unsettled: bool = False
        """Whether the last decision may have left waiting bookings unserved, because it reached its step."""
        self._step = step
        self._live: dict[tuple[UUID, UUID], UUID] = {}
        self._tickets_of: dict[UUID, int] = {}
        self._queue_number = 0
        self._timelines: dict[Hashable, Timeline] = {}
        self._changed_types: set[UUID] = set()
        self._changed_bookings = 0
        self._last_freed: FreedTickets | None = None

    def _create(self, fact: Fact, what: TicketsBooked | TicketsGranted | CustomerWaitlisted) -> None:
        if fact.booking_id is None or fact.booking_id in self.bookings:
            self._breach(3, "twice", f"booking {fact.booking_id} was created twice")
            return
        ticket_type = self._type(what.ticket_type_id)
        booking = ProjectedBooking(
            fact.booking_id,
            what.customer_id,
            what.ticket_type_id,
            what.quantity,
            _first_status(what),
            what.queue_number if isinstance(what, CustomerWaitlisted) else None,
            what.expires_at if isinstance(what, TicketsBooked) else None,
            what.payment_status.value if isinstance(what, TicketsBooked) else "none",
        )
        self._check_may_book(booking, ticket_type)
        self.bookings[booking.id] = booking
        if isinstance(what, CustomerWaitlisted):
            self._check_must_wait(booking, ticket_type)
            if what.queue_number <= self._queue_number:
                self._breach(5, "order", f"queue number {what.queue_number} was issued after {self._queue_number}")
            self._queue_number = max(self._queue_number, what.queue_number)
            ticket_type.join(booking)
        elif isinstance(what, TicketsGranted):
            self._check_passed_over(booking, what.passed_over, ticket_type.waiting)
            self._add_tickets(booking, ticket_type)
        else:
            self._check_may_take(booking, ticket_type)
            self._check_passed_over(booking, what.passed_over, ticket_type.waiting)
            self._add_tickets(booking, ticket_type)
        self._number_tickets(booking)
        self._changed_types.add(booking.ticket_type_id)
        self._begin_claim(booking)
        self.created[booking.id] = CreatedBooking(
            seq=fact.seq,
            event_id=fact.event_id,
            customer_id=booking.customer_id,
            ticket_type_id=booking.ticket_type_id,
            quantity=booking.quantity,
            status=booking.status,
            position=ticket_type.waiting if isinstance(what, CustomerWaitlisted) else None,
        )
        self._timeline(booking.id).set(fact.seq, booking.status)

    def _number_tickets(self, booking: ProjectedBooking) -> None:
        if booking.status == "confirmed" and booking.first_ticket_number is None:
            booking.first_ticket_number = self.last_ticket_number + 1
            self.last_ticket_number += booking.quantity

    def _check_may_book(self, booking: ProjectedBooking, ticket_type: ProjectedType) -> None:
        if not self.event.takes_bookings:
            self._breach(5, "closed", f"booking {booking.id} was made while the event was not on sale")
        if booking.quantity > ticket_type.total:
            wanted = f"{booking.quantity} of {ticket_type.total} tickets"
            self._breach(1, "capacity", f"booking {booking.id} asks for {wanted}")
        tickets = self._tickets_of.get(booking.customer_id, 0) + booking.quantity
        most = self.event.limit(tickets)
        if tickets > most:
            self._breach(3, "limit", f"with booking {booking.id} its customer has {tickets} of {most} tickets")

    def _check_may_take(self, booking: ProjectedBooking, ticket_type: ProjectedType) -> None:
        is_fitting = ticket_type.next_to_serve("fill", None) is not None
        if ticket_type.head() if self.event.policy == "strict" else is_fitting:
            self._breach(5, "overtaken", f"booking {booking.id} took tickets that a waiting booking is entitled to")
        if ticket_type.waiting:
            self._count_overtake(ticket_type, self._queue_number)

    def _count_overtake(self, ticket_type: ProjectedType, number: int) -> None:
        """Check that the first waiting booking may be overtaken once more."""
        head, bound = ticket_type.head(), self.event.bound
        if head is not None and ticket_type.has_reached(bound):
            self._breach(5, "bound", f"booking {head.id} was overtaken more than {bound} times")
        if bound is not None:
            ticket_type.overtakes.append(number)

    def _check_passed_over(self, booking: ProjectedBooking, told: int | None, waiting: int) -> None:
        """Check how many a fact says that it passed over. Facts that are older than this count do not say it."""
        if told not in (None, waiting):
            passed = f"{told} waiting bookings were passed over, there were {waiting}"
            self._breach(5, "passed over", f"of booking {booking.id} it is said that {passed}")

    def _check_must_wait(self, booking: ProjectedBooking, ticket_type: ProjectedType) -> None:
        may_be_unsettled = self.may_be_unsettled or self._changed_bookings >= self._step
        must_wait = booking.quantity > ticket_type.available or (
            ticket_type.waiting > 0
            and (
                self.event.policy == "strict"
                or may_be_unsettled
                or ticket_type.has_reached(self.event.bound)
                or ticket_type.next_to_serve("fill", None)
            )
        )
        if self.event.waiting_list == "off":
            self._breach(5, "off", f"booking {booking.id} joined a waiting list that was turned off")
        if not must_wait:
            self._breach(6, "needless", f"booking {booking.id} was waitlisted although its tickets were free")

    def _change_booking(self, fact: Fact) -> None:
        booking = self.bookings.get(fact.booking_id) if fact.booking_id else None
        if booking is None:
            self._breach(7, "booking", f"{fact.kind} of booking {fact.booking_id}, which was never created")
            return
        ticket_type = self._type(booking.ticket_type_id)
        match fact.what:
            case BookingPromoted() as what:
                self._promote(booking, ticket_type, what)
            case BookingCancelled() as what:
                self._cancel(fact, booking, ticket_type, what)
            case TicketsReturned() as what:
                self._give_back(fact, booking, ticket_type, what)
            case WaitingSuspended():
                self._suspend(booking, ticket_type)
            case WaitingResumed() as what:
                self._resume(booking, ticket_type, what)
            case HoldShortened() as what:
                self._shorten(booking, what)
            case HoldExpired():
                self._expire(booking, ticket_type)
            case PaymentTaken() as what:
                self._pay(fact, booking, ticket_type, what)
        booking.payment_status = getattr(fact.what, "payment_status", booking.payment_status)
        self._number_tickets(booking)
        self._timeline(booking.id).set(fact.seq, booking.status)

    def _use_ticket(self, fact: Fact) -> None:
        """Let a ticket be used once at a time, and only one that its booking has."""
        booking = self.bookings.get(fact.booking_id) if fact.booking_id else None
        number = int(str(getattr(fact.what, "ticket_id", None))[-8:], 16)
        first = None if booking is None else booking.first_ticket_number
        if booking is None or first is None or booking.status != "confirmed" or number < first:
            self._breach(7, "door", f"{fact.kind} of ticket {number}, which booking {fact.booking_id} has not")
        elif isinstance(fact.what, TicketCheckedIn):
            if number in booking.used:
                self._breach(7, "door", f"ticket {number} became used twice")
            booking.used.add(number)
        else:
            if number not in booking.used:
                self._breach(7, "door", f"ticket {number} is no longer used and was not")
            booking.used.discard(number)

    def _promote(self, booking: ProjectedBooking, ticket_type: ProjectedType, what: BookingPromoted) -> None:
        self._changed_bookings += 1
        if not booking.is_waiting or what.queue_number != booking.queue_number:
            self._breach(5, "order", f"booking {booking.id} was promoted and is {booking.status}")
            return
        if not self.event.serves:
            self._breach(5, "closed", f"booking {booking.id} was promoted while its waiting list was not served")
        first = ticket_type.next_to_serve(self.event.policy, self.event.bound)
        if first is not booking:
            expected = f"booking {first.id}" if first else "no booking"
            self._breach(5, "overtaken", f"booking {booking.id} was promoted, {expected} was next")
        self._check_passed_over(booking, what.passed_over, ticket_type.number_before(booking))
        if what.caused_by not in (None, ticket_type.room_made_by):
            causes = f"fact {what.caused_by} made room, it was {ticket_type.room_made_by}"
            self._breach(5, "cause", f"of booking {booking.id} it is said that {causes}")
        if ticket_type.head() is not booking:
            self._count_overtake(ticket_type, what.queue_number)
        ticket_type.leave(booking)
        booking.status, booking.expires_at = what.status.value, what.expires_at
        self._add_tickets(booking, ticket_type)
        if self._last_freed is not None:
            self._last_freed.promoted += 1
            if self._changed_bookings >= self._step:
                self._last_freed.is_complete = False

    def _cancel(
        self, fact: Fact, booking: ProjectedBooking, ticket_type: ProjectedType, what: BookingCancelled
    ) -> None:
        self._changed_bookings += 1
        is_as_told = (booking.status, booking.is_suspended) == (what.was.value, what.was_suspended)
        if booking.status not in LIVE or not is_as_told or booking.id in self.cancelled:
            self._breach(4, "freed twice", f"booking {booking.id} was cancelled when it was {booking.status}")
            return
        if what.by == "event" and self.event.status not in ("cancelled", "completed"):
            self._breach(2, "unasked", f"booking {booking.id} was cancelled with its event, which is not closed")
        if what.queue_number not in (None, booking.queue_number):
            self._breach(5, "order", f"booking {booking.id} left, but not with queue number {what.queue_number}")
        if not booking.is_suspended:
            ticket_type.room_made_by = fact.seq
        is_automatic = what.by == "event" or (booking.is_suspended and booking.quantity > ticket_type.total)
        self._end(booking, ticket_type, "cancelled")
        self.cancelled[booking.id] = self._last_freed = FreedTickets(
            fact.seq, what.by, booking.quantity, is_automatic, is_complete=not self.may_be_unsettled
        )

    def _give_back(
        self, fact: Fact, booking: ProjectedBooking, ticket_type: ProjectedType, what: TicketsReturned
    ) -> None:
        self._changed_bookings += 1
        is_as_told = (booking.status, booking.is_suspended) == (what.was.value, what.was_suspended)
        left = booking.quantity - what.quantity
        if booking.status not in LIVE or not is_as_told or left != what.left or left < 1:
            self._breach(4, "freed twice", f"{what.quantity} tickets of booking {booking.id} were given back")
            return
        numbers = set(what.numbers)
        if booking.returned & numbers or (booking.status == "confirmed") != bool(numbers):
            self._breach(4, "freed twice", f"tickets {sorted(numbers)} of booking {booking.id} were given back")
        if len(booking.used & numbers) != what.used:
            self._breach(7, "door", f"{what.used} of tickets {sorted(numbers)} of booking {booking.id} were used")
        if not booking.is_suspended:
            ticket_type.room_made_by = self.seq
        if booking.is_waiting:
            ticket_type.shrink(booking, left)
        elif booking.status in TAKING:
            ticket_type.taken -= what.quantity
        booking.quantity = left
        booking.returned |= numbers
        booking.used -= numbers
        self._changed_types.add(booking.ticket_type_id)
        self._tickets_of[booking.customer_id] -= what.quantity
        self._last_freed = FreedTickets(fact.seq, what.by, what.quantity, is_complete=not self.may_be_unsettled)
        self.parts.setdefault(booking.id, {})[left] = self._last_freed

    def _suspend(self, booking: ProjectedBooking, ticket_type: ProjectedType) -> None:
        self._changed_bookings += 1
        if not booking.is_waiting:
            self._breach(5, "suspended", f"booking {booking.id} was suspended when it did not wait")
            return
        ticket_type.leave(booking)
        ticket_type.room_made_by = self.seq
        booking.is_suspended = True
        self._changed_types.add(booking.ticket_type_id)

    def _resume(self, booking: ProjectedBooking, ticket_type: ProjectedType, what: WaitingResumed) -> None:
        self._changed_bookings += 1
        if not booking.is_suspended or what.queue_number != booking.queue_number:
            self._breach(5, "suspended", f"booking {booking.id} was resumed when it was not suspended")
            return
        booking.is_suspended = False
        ticket_type.rejoin(booking)
        ticket_type.room_made_by = self.seq
        self._changed_types.add(booking.ticket_type_id)

    def _expire(self, booking: ProjectedBooking, ticket_type: ProjectedType) -> None:
        self._changed_bookings += 1
        if booking.status != "held":
            self._breach(4, "freed twice", f"the hold of booking {booking.id} lapsed when it was {booking.status}")
            return
        is_early = booking.expires_at is None or self.event.now < booking.expires_at
        if is_early and self.event.status != "completed":
            self._breach(2, "lapsed early", f"the hold of booking {booking.id} lapsed before {booking.expires_at}")
        booking.payment_status = "none"
        ticket_type.room_made_by = self.seq
        self._end(booking, ticket_type, "expired")

    def _shorten(self, booking: ProjectedBooking, what: HoldShortened) -> None:
        self._changed_bookings += 1
        starts_at = self.event.starts_at
        is_longer = booking.expires_at is None or what.expires_at >= booking.expires_at
        if booking.status != "held" or is_longer or what.expires_at != starts_at:
            self._breach(2, "shortened", f"the hold of booking {booking.id} was shortened to {what.expires_at}")
        booking.expires_at = what.expires_at

    def _pay(self, fact: Fact, booking: ProjectedBooking, ticket_type: ProjectedType, what: PaymentTaken) -> None:
        if booking.status != what.was.value:
            self._breach(7, "booking", f"booking {booking.id} was paid as {what.was}, it was {booking.status}")
        if what.was is BookingStatus.EXPIRED and what.status is BookingStatus.CONFIRMED:
            self._check_may_take(booking, ticket_type)
            booking.status = "confirmed"
            self._add_tickets(booking, ticket_type)
            self._begin_claim(booking)
        elif what.status is BookingStatus.CONFIRMED and booking.status in TAKING:
            booking.status = "confirmed"
        if what.status is BookingStatus.CONFIRMED:
            self.paid.setdefault(booking.id, fact.seq)

    def _begin_claim(self, booking: ProjectedBooking) -> None:
        claim = (booking.customer_id, booking.ticket_type_id)
        if claim in self._live:
            self._breach(3, "two live", f"bookings {self._live[claim]} and {booking.id} of one customer are both live")
        self._live[claim] = booking.id
        self._tickets_of[booking.customer_id] = self._tickets_of.get(booking.customer_id, 0) + booking.quantity
        self._timeline(("live", *claim)).set(self.seq, True)

    def _end(self, booking: ProjectedBooking, ticket_type: ProjectedType, status: str) -> None:
        if booking.is_waiting:
            ticket_type.leave(booking)
        elif booking.status in TAKING:
            ticket_type.taken -= booking.quantity
        booking.status, booking.is_suspended = status, False
        self._changed_types.add(booking.ticket_type_id)
        claim = (booking.customer_id, booking.ticket_type_id)
        self._live.pop(claim, None)
        self._tickets_of[booking.customer_id] -= booking.quantity
        self._timeline(("live", *claim)).set(self.seq, False)

    def _add_tickets(self, booking: ProjectedBooking, ticket_type: ProjectedType) -> None:
        ticket_type.taken += booking.quantity
        self._changed_types.add(booking.ticket_type_id)
        if ticket_type.taken > ticket_type.total:
            taken = f"{ticket_type.taken} of {ticket_type.total} tickets"
            self._breach(1, "oversold", f"{taken} are taken with booking {booking.id}")

    def _timeline(self, subject: Hashable) -> Timeline:
        timeline = self._timelines.get(subject)
        if timeline is None:
            timeline = self._timelines[subject] = Timeline()
        return timeline

    def _type(self, ticket_type_id: UUID) -> ProjectedType:
        if ticket_type_id not in self.types:
            self._breach(7, "event", f"ticket type {ticket_type_id} was never created")
            self.types[ticket_type_id] = ProjectedType(0)
        return self.types[ticket_type_id]

    def _breach(self, promise: int, rule: str, what: str) -> None:
        self.breaches.append(Breach(promise, rule, f"event {self.event_id}, fact {self.seq}: {what}"))


def _first_status(what: TicketsBooked | TicketsGranted | CustomerWaitlisted) -> str:
    match what:
        case TicketsBooked():
            return what.status.value
        case TicketsGranted():
            return "confirmed"
        case CustomerWaitlisted():
            return "waitlisted"
