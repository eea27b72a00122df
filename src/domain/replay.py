"""Replaying facts: what an event's history says must be so (promise 7), and whether it kept the promises on the way.

Both replays need memory for one event's counters or one booking only, so a history of any length can be followed.
"""

from collections import Counter
from functools import singledispatchmethod
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .booking import Booking, BookingStatus, PaymentStatus
from .event import EventState, EventStatus, WaitingListPolicy
from .facts import (
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    EventChanged,
    EventInitialized,
    Fact,
    FactPayload,
    HoldExpired,
    HoldShortened,
    PaymentFailed,
    PaymentRefunded,
    PaymentStarted,
    PaymentTaken,
    TicketsBooked,
    TicketTypeAdded,
    TicketTypeChanged,
)


class Breach(Struct, frozen=True, gc=False):
    """A promise that is broken, by its number, with what was seen."""

    promise: int
    what: str


class Counted:
    """One ticket type as the facts tell it. `waiting` counts bookings in line by the number of tickets they ask for."""

    def __init__(self, total_tickets: int) -> None:
        self.total_tickets = total_tickets
        self.taken = 0
        self.waiting: Counter[int] = Counter()
        self.last_promoted: dict[int, int] = {}
        self.last_strictly_promoted = 0

    @property
    def available(self) -> int:
        """Tickets not taken."""
        return self.total_tickets - self.taken

    def fits_somebody(self) -> bool:
        """Whether the free tickets would fit somebody in line."""
        return any(count and quantity <= self.available for quantity, count in self.waiting.items())


class EventReplay:
    """Follows one event's facts in order and notes every breach of a promise that they show."""

    def __init__(self, event_id: UUID) -> None:
        self.event_id = event_id
        self.seq = 0
        self.status: str = ""
        self.policy: str = ""
        self.was_published = False
        self.reschedules = 0
        self.ticket_types: dict[UUID, Counted] = {}
        self.breaches: list[Breach] = []

    def apply(self, fact: Fact) -> None:
        """Take in the next fact."""
        if fact.seq != self.seq + 1:
            self._breach(7, f"fact {fact.seq} follows fact {self.seq}")
        self.seq = fact.seq
        self._take(fact.what)
        for counted in self.ticket_types.values():
            if counted.taken > counted.total_tickets:
                self._breach(1, f"{counted.taken} of {counted.total_tickets} tickets are taken")

    def compare(self, state: EventState) -> None:
        """Hold the event as it is stored against what its facts say."""
        if state.event.last_seq != self.seq:
            self._breach(7, f"the event counts {state.event.last_seq} facts, there are {self.seq}")
        if state.event.status != self.status:
            self._breach(7, f"the event is {state.event.status}, its facts say {self.status}")
        if state.event.was_published is not self.was_published:
            self._breach(7, f"that it was on sale is {state.event.was_published}, its facts say {self.was_published}")
        if state.event.reschedules != self.reschedules:
            self._breach(7, f"the event counts {state.event.reschedules} moves, its facts say {self.reschedules}")
        told = {
            ticket_type_id: (
                counted.total_tickets,
                counted.taken,
                counted.waiting.total(),
                sum(quantity * count for quantity, count in counted.waiting.items()),
            )
            for ticket_type_id, counted in self.ticket_types.items()
        }
        kept = {
            each.id: (each.total_tickets, each.taken, each.waiting, each.waiting_tickets) for each in state.ticket_types
        }
        if told != kept:
            self._breach(7, f"the counters are {list(kept.values())}, the facts say {list(told.values())}")

    @singledispatchmethod
    def _take(self, what: FactPayload) -> None:
        raise TypeError(f"no replay for {type(what).__name__}")

    @_take.register
    def _(self, what: EventInitialized) -> None:
        self._take_values(what.values)
        for added in what.ticket_types:
            self._take(added)

    @_take.register
    def _(self, what: EventChanged) -> None:
        self._take_values(what.changes)

    @_take.register
    def _(self, what: TicketTypeAdded) -> None:
        self.ticket_types[what.ticket_type_id] = Counted(what.total_tickets)

    @_take.register
    def _(self, what: TicketTypeChanged) -> None:
        counted = self._counted(what.ticket_type_id)
        counted.total_tickets = what.changes.get("totalTickets", counted.total_tickets)

    @_take.register
    def _(self, what: TicketsBooked) -> None:
        self._take_as_newcomer(what)

    @_take.register
    def _(self, what: PaymentTaken) -> None:
        if what.was is BookingStatus.EXPIRED and what.status is BookingStatus.CONFIRMED:
            self._take_as_newcomer(what)

    @_take.register
    def _(self, what: HoldExpired) -> None:
        self._counted(what.ticket_type_id).taken -= what.quantity

    @_take.register(HoldShortened)
    @_take.register(PaymentStarted)
    @_take.register(PaymentFailed)
    @_take.register(PaymentRefunded)
    def _(self, what: FactPayload) -> None:
        """No ticket moves."""

    @_take.register
    def _(self, what: CustomerWaitlisted) -> None:
        self._counted(what.ticket_type_id).waiting[what.quantity] += 1

    @_take.register
    def _(self, what: BookingPromoted) -> None:
        counted = self._counted(what.ticket_type_id)
        if what.queue_number <= counted.last_promoted.get(what.quantity, 0):
            self._breach(5, f"queue number {what.queue_number} was served after a later one of the same size")
        counted.last_promoted[what.quantity] = what.queue_number
        if self.policy == WaitingListPolicy.STRICT:
            if what.queue_number <= counted.last_strictly_promoted:
                self._breach(5, f"queue number {what.queue_number} was overtaken although the line is strict")
            counted.last_strictly_promoted = what.queue_number
        counted.waiting[what.quantity] -= 1
        counted.taken += what.quantity

    @_take.register
    def _(self, what: BookingCancelled) -> None:
        counted = self._counted(what.ticket_type_id)
        if what.was is BookingStatus.WAITLISTED:
            counted.waiting[what.quantity] -= 1
        else:
            counted.taken -= what.quantity

    def _take_as_newcomer(self, what: TicketsBooked | PaymentTaken) -> None:
        counted = self._counted(what.ticket_type_id)
        if self.status != EventStatus.ON_SALE:
            self._breach(5, f"tickets were booked while the event was {self.status}")
        waits = counted.waiting.total() > 0 if self.policy == WaitingListPolicy.STRICT else counted.fits_somebody()
        if waits:
            self._breach(5, "a newcomer got tickets that somebody in line could have had")
        counted.taken += what.quantity

    def _take_values(self, values: dict[str, Any]) -> None:
        self.status = values.get("status", self.status)
        self.policy = values.get("waitingListPolicy", self.policy)
        self.was_published = self.was_published or self.status == EventStatus.ON_SALE
        self.reschedules = values.get("reschedules", self.reschedules)

    def _counted(self, ticket_type_id: UUID) -> Counted:
        if ticket_type_id not in self.ticket_types:
            self._breach(7, f"ticket type {ticket_type_id} never came to be")
            self.ticket_types[ticket_type_id] = Counted(0)
        return self.ticket_types[ticket_type_id]

    def _breach(self, promise: int, what: str) -> None:
        self.breaches.append(Breach(promise, f"event {self.event_id}, fact {self.seq}: {what}"))


def replay_booking(facts: list[Fact]) -> Booking | None:
    """The booking that these facts, all of one booking and in order, add up to; None when they make no sense."""
    booking: Booking | None = None
    for fact in facts:
        booking = _begun(fact) if booking is None else _moved(booking, fact)
        if booking is None:
            return None
    return booking


def _begun(fact: Fact) -> Booking | None:
    what = fact.what
    if fact.booking_id is None or not isinstance(what, TicketsBooked | CustomerWaitlisted):
        return None
    booking = Booking(
        id=fact.booking_id,
        event_id=fact.event_id,
        ticket_type_id=what.ticket_type_id,
        customer_id=what.customer_id,
        quantity=what.quantity,
        status=BookingStatus.WAITLISTED,
        amount=what.amount,
        cancellation_deadline_hours=what.cancellation_deadline_hours,
        reschedules=what.reschedules,
        created_at=fact.occurred_at,
        updated_at=fact.occurred_at,
    )
    if isinstance(what, CustomerWaitlisted):
        return replace(booking, queue_number=what.queue_number)
    return replace(booking, status=what.status, payment_status=what.payment_status, expires_at=what.expires_at)


def _moved(booking: Booking, fact: Fact) -> Booking | None:
    """The booking after one more fact; None where that fact cannot follow."""
    changes: dict[str, Any]
    match fact.what:
        case BookingPromoted() as what if booking.status is BookingStatus.WAITLISTED:
            changes = {
                "status": what.status,
                "payment_status": what.payment_status,
                "expires_at": what.expires_at,
                "grace_until": what.grace_until,
            }
        case BookingCancelled() as what if booking.status is what.was and booking.status.is_live:
            changes = {
                "status": BookingStatus.CANCELLED,
                "payment_status": what.payment_status,
                "expires_at": None,
            }
        case HoldShortened() as what if booking.status is BookingStatus.HELD:
            changes = {"expires_at": what.expires_at}
        case HoldExpired() if booking.status is BookingStatus.HELD:
            changes = {"status": BookingStatus.EXPIRED, "payment_status": PaymentStatus.NONE}
        case PaymentTaken() as what if booking.status is what.was:
            changes = {"status": what.status, "payment_status": what.payment_status, "paid_by": what.paid_by}
            if what.paid_by == what.payment_id:
                changes["paid_with"] = what.method
            if what.status is BookingStatus.CONFIRMED:
                changes["expires_at"] = None
        case PaymentRefunded() as what:
            changes = {"payment_status": what.payment_status}
        case PaymentStarted() | PaymentFailed():
            return booking
        case _:
            return None
    return replace(booking, **changes, updated_at=fact.occurred_at)
