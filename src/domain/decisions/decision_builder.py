"""How a decision is put together: the one place where counters, fact numbers and queue numbers move."""

from datetime import datetime
from typing import TypeVar
from uuid import UUID

from msgspec.structs import replace

from ..booking import HELD, WAITLISTED, Booking
from ..event import Event, TicketType
from ..facts import AnyFactPayload, Fact
from ..inventory import NOT_LOADED, Change, Decision, ExpiredHolds, Inventory, WaitingList
from ..payment import Payment

Outcome = TypeVar("Outcome")


class DecisionBuilder:
    """One decision in the making, local to the function that takes it.

    Every booking goes through `enter` or `change`, so that the counters of its ticket type always equal its bookings
    (promise 1), and every happening through `note`, so that facts have no gaps (promise 7).
    """

    promoted = 0
    """How many bookings have left the line with tickets by now."""

    # Most decisions make one booking and one fact, so nothing is made that stays empty.
    _new_payments: tuple[Payment, ...] = ()
    _changed_payments: tuple[Payment, ...] = ()
    # By their places: an id takes its time to be hashed, and most events have few types.
    _changed_ticket_types: tuple[int, ...] = ()
    _new_ticket_types: tuple[int, ...] = ()
    _booked: tuple[Booking, ...] = ()
    _changed: dict[UUID, Change] | None = None

    def __init__(self, inventory: Inventory, now: datetime) -> None:
        self.event: Event = inventory.event
        self.now = now
        self._inventory = inventory
        self.ticket_types = inventory.ticket_types
        """All ticket types, in their order."""
        self._lines = inventory.lines
        self._closing = inventory.closing
        self._due = inventory.due
        self._overlong = inventory.overlong
        self._facts: list[Fact] = []

    def ticket_type(self, ticket_type_id: UUID) -> TicketType:
        """The ticket type with its counters as they stand by now."""
        return self.ticket_types[self._place_of(ticket_type_id)]

    def line(self, ticket_type_id: UUID) -> WaitingList:
        """What is known of the head of a waiting list by now."""
        return self._lines.get(ticket_type_id, NOT_LOADED)

    def take_closing(self, most: int) -> tuple[Booking, ...]:
        """The next live bookings of a closed event that are known and still to be cancelled."""
        taken, self._closing = self._closing[:most], self._closing[most:]
        return taken

    def take_due(self) -> ExpiredHolds | None:
        """The lapsed holds that are known; None where it is not known whether there are any."""
        taken, self._due = self._due, None
        return taken

    @property
    def may_have_overlong_holds(self) -> bool:
        """Whether a hold may be there that outlives the start, of this decision or left over from before it."""
        event, before = self.event, self._inventory.event
        if event.starts_at is None or event.earliest_expiry is None:
            return False
        return before.is_unsettled or before.starts_at is None or event.starts_at < before.starts_at

    def take_overlong(self) -> tuple[Booking, ...] | None:
        """The holds that are known to outlive the start; None where it is not known which do."""
        taken, self._overlong = self._overlong, None
        return taken.bookings if taken is not None and taken.starts_at == self.event.starts_at else None

    def add_payment(self, payment: Payment) -> None:
        """A new charge or refund."""
        self._new_payments = _with(self._new_payments, payment)

    def change_payment(self, payment: Payment) -> None:
        """A charge or refund that is different from now on."""
        self._changed_payments = _with(self._changed_payments, payment)

    @property
    def seen(self) -> Inventory:
        """The inventory as it stands by now."""
        return replace(
            self._inventory,
            event=self.event,
            ticket_types=self.ticket_types,
            lines=self._lines,
            closing=self._closing,
            due=self._due,
            overlong=self._overlong,
        )

    def set_event(self, event: Event) -> None:
        """Put the event's own values."""
        self.event = event

    def set_ticket_type(self, ticket_type: TicketType) -> None:
        """Put a ticket type's values."""
        self._put(self._place_of(ticket_type.id), ticket_type)

    def add_ticket_type(self, ticket_type: TicketType) -> None:
        """Put a ticket type that the event did not have."""
        self._new_ticket_types = (*self._new_ticket_types, len(self.ticket_types))
        self.ticket_types = (*self.ticket_types, ticket_type)

    def next_queue_number(self) -> int:
        """Issue the next place in a waiting list: a number under the event's lock, never a clock (promise 5)."""
        number = self.event.last_queue_number + 1
        self.event = replace(self.event, last_queue_number=number)
        return number

    def enter(self, booking: Booking) -> None:
        """A new booking."""
        self._count(booking, 1)
        self._expect_expiry(booking)
        if booking.status is WAITLISTED and booking.ticket_type_id in self._lines:
            self._put_line(booking.ticket_type_id, self.line(booking.ticket_type_id).joined_by(booking))
        self._booked = (*self._booked, booking)

    def change(self, before: Booking, after: Booking) -> None:
        """A booking that is different from now on. What it took or waited for is counted back, exactly once."""
        self._count(before, -1)
        self._count(after, 1)
        self._expect_expiry(after)
        if before.status is WAITLISTED and before.ticket_type_id in self._lines:
            self._put_line(before.ticket_type_id, self.line(before.ticket_type_id).without(before))
        if self._changed is None:
            self._changed = {}
        first = self._changed.get(before.id)
        change = Change(first.before if first else before, after)
        self._changed[before.id] = change
        self.promoted += change.is_promotion

    def add_fact(self, what: AnyFactPayload, booking: Booking | None = None) -> None:
        """Write the next fact."""
        seq = self.event.last_seq + 1
        self.event = replace(self.event, last_seq=seq)
        self._facts.append(
            Fact(
                event_id=self.event.id,
                seq=seq,
                booking_id=booking.id if booking else None,
                occurred_at=self.now,
                what=what,
            )
        )

    def decision(self, outcome: Outcome, *, is_new_event: bool = False) -> Decision[Outcome]:
        """The finished decision."""
        return Decision(
            inventory=self.seen,
            outcome=outcome,
            is_new_event=is_new_event,
            new_ticket_types=self._at(self._new_ticket_types),
            changed_ticket_types=self._at(self._changed_ticket_types),
            booked=self._booked,
            changed=tuple(self._changed.values()) if self._changed else (),
            new_payments=self._new_payments,
            changed_payments=self._changed_payments,
            facts=tuple(self._facts),
        )

    def _at(self, places: tuple[int, ...]) -> tuple[TicketType, ...]:
        if len(places) == 1:
            return (self.ticket_types[places[0]],)
        return tuple([self.ticket_types[place] for place in sorted(places)]) if places else ()

    def _put_line(self, ticket_type_id: UUID, line: WaitingList) -> None:
        self._lines = {**self._lines, ticket_type_id: line}

    def _expect_expiry(self, booking: Booking) -> None:
        if booking.status is HELD and booking.expires_at is not None:
            earliest = self.event.earliest_expiry
            if earliest is None or booking.expires_at < earliest:
                self.event = replace(self.event, earliest_expiry=booking.expires_at)

    def _count(self, booking: Booking, sign: int) -> None:
        place = self._place_of(booking.ticket_type_id)
        ticket_type = self.ticket_types[place]
        if booking.status.takes_tickets:
            counted = replace(ticket_type, taken=ticket_type.taken + sign * booking.quantity)
        elif booking.status is WAITLISTED:
            counted = replace(
                ticket_type,
                waiting=ticket_type.waiting + sign,
                waiting_tickets=ticket_type.waiting_tickets + sign * booking.quantity,
            )
        else:
            return
        self._put(place, counted)

    def _place_of(self, ticket_type_id: UUID) -> int:
        for place, ticket_type in enumerate(self.ticket_types):
            if ticket_type.id is ticket_type_id or ticket_type.id == ticket_type_id:
                return place
        raise LookupError("the booking is of another event")

    def _put(self, place: int, ticket_type: TicketType) -> None:
        types = self.ticket_types
        self.ticket_types = (ticket_type,) if len(types) == 1 else (*types[:place], ticket_type, *types[place + 1 :])
        if place not in self._changed_ticket_types:
            self._changed_ticket_types = (*self._changed_ticket_types, place)


def _with(payments: tuple[Payment, ...], payment: Payment) -> tuple[Payment, ...]:
    return (*(each for each in payments if each.id != payment.id), payment)
