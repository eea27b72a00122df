"""The builder of decisions: the only place where counters and the numbers of facts, queues and tickets change."""

from datetime import datetime
from typing import TypeVar
from uuid import UUID

from msgspec.structs import replace

from ..booking import CONFIRMED, HELD, Booking
from ..event import Event
from ..facts import AnyFactPayload, Fact
from ..inventory import NOT_LOADED, Change, Decision, ExpiredHolds, Inventory, WaitingList
from ..payment import Payment
from ..tickets.check_in import CheckIn
from ..tickets.ticket import Ticket
from ..tickets.ticket_type import TicketType

Outcome = TypeVar("Outcome")


class DecisionBuilder:
    """Builds one decision. Local to the function that decides.

    Bookings change through `enter` and `change` only, so the counters of a ticket type always equal its bookings
    (promise 1), and facts are added through `add_fact` only, so they have no gaps (promise 7).
    """

    promoted: int = 0
    """The number of waiting bookings that got tickets so far."""

    # Class attributes, because most decisions leave these empty.
    _new_payments: tuple[Payment, ...] = ()
    _changed_payments: tuple[Payment, ...] = ()
    # Indexes instead of ids, because hashing an id is slow and most events have few types.
    _changed_ticket_types: tuple[int, ...] = ()
    _new_ticket_types: tuple[int, ...] = ()
    _booked: tuple[Booking, ...] = ()
    _changed: dict[UUID, Change] | None = None
    _tickets: dict[int, Ticket] | None = None
    _check_ins: dict[UUID, CheckIn] | None = None
    _loaded_tickets: dict[int, Ticket] | None = None
    _room_made_by: dict[int, int] | None = None

    def __init__(self, inventory: Inventory, now: datetime) -> None:
        self.event: Event = inventory.event
        self.now: datetime = now
        self._inventory = inventory
        self.ticket_types: tuple[TicketType, ...] = inventory.ticket_types
        """All ticket types, in their order."""
        self._waiting_lists = inventory.waiting_lists
        self._closing = inventory.closing
        self._due = inventory.due
        self._overlong = inventory.overlong
        self._facts: list[Fact] = []

    def ticket_type(self, ticket_type_id: UUID) -> TicketType:
        """Return the ticket type with its current counters."""
        return self.ticket_types[self._index_of(ticket_type_id)]

    def waiting_list(self, ticket_type_id: UUID) -> WaitingList:
        """Return the known head of the ticket type's waiting list."""
        return self._waiting_lists.get(ticket_type_id, NOT_LOADED)

    @property
    def may_have_open_bookings(self) -> bool:
        """Whether bookings of the closed event may be still to be cancelled, since this decision or an earlier one."""
        before = self._inventory.event
        return before.is_unsettled or not before.status.is_closed

    def take_closing(self) -> tuple[Booking, ...] | None:
        """Remove and return the loaded bookings of a closed event to cancel; None if they were not loaded."""
        taken, self._closing = self._closing, None
        return taken

    def take_due(self) -> ExpiredHolds | None:
        """Remove and return the loaded lapsed holds; None if they were not loaded."""
        taken, self._due = self._due, None
        return taken

    @property
    def may_have_overlong_holds(self) -> bool:
        """Whether a hold may end after the start, because of this decision or an earlier unfinished one."""
        event, before = self.event, self._inventory.event
        if event.starts_at is None or event.earliest_expiry is None:
            return False
        return before.is_unsettled or before.starts_at is None or event.starts_at < before.starts_at

    def take_overlong(self) -> tuple[Booking, ...] | None:
        """Remove and return the loaded holds that end after the start; None if they were not loaded for this start."""
        taken, self._overlong = self._overlong, None
        return taken.bookings if taken is not None and taken.starts_at == self.event.starts_at else None

    def payments_of(self, booking: Booking) -> list[Payment]:
        """Return the loaded payments of a booking with the changes so far."""
        payments = (*self._inventory.payments, *self._new_payments, *self._changed_payments)
        return list({each.id: each for each in payments if each.booking_id == booking.id}.values())

    def add_payment(self, payment: Payment) -> None:
        """Add a new charge or refund."""
        self._new_payments = _with_payment(self._new_payments, payment)

    def change_payment(self, payment: Payment) -> None:
        """Replace a charge or refund."""
        if any(each.id == payment.id for each in self._new_payments):
            self._new_payments = _with_payment(self._new_payments, payment)
            return
        self._changed_payments = _with_payment(self._changed_payments, payment)

    def ticket(self, booking: Booking, number: int) -> Ticket:
        """Return a ticket of a booking whose tickets were loaded, with the changes so far."""
        if self._loaded_tickets is None:
            self._loaded_tickets = {each.number: each for each in self._inventory.tickets}
        found = self._tickets.get(number) if self._tickets else None
        return (
            found
            or self._loaded_tickets.get(number)
            or Ticket(booking_id=booking.id, event_id=booking.event_id, number=number)
        )

    def put_ticket(self, ticket: Ticket) -> None:
        """Replace a ticket."""
        if self._tickets is None:
            self._tickets = {}
        self._tickets[ticket.number] = ticket

    def count_used(self, booking: Booking, used: int) -> Booking:
        """Set how many of a booking's tickets are used, and return it. Its customer has not changed it."""
        after = replace(booking, used=used)
        self._record(booking, after)
        return after

    def put_check_in(self, check_in: CheckIn) -> None:
        """Add an entry of the door, or replace it."""
        if self._check_ins is None:
            self._check_ins = {}
        self._check_ins[check_in.id] = check_in

    @property
    def current(self) -> Inventory:
        """The inventory with the changes so far."""
        return replace(
            self._inventory,
            event=self.event,
            ticket_types=self.ticket_types,
            waiting_lists=self._waiting_lists,
            closing=self._closing,
            due=self._due,
            overlong=self._overlong,
        )

    def set_event(self, event: Event) -> None:
        """Replace the event's own values."""
        self.event = event

    def set_ticket_type(self, ticket_type: TicketType) -> None:
        """Replace a ticket type's values."""
        self._put(self._index_of(ticket_type.id), ticket_type)

    def add_ticket_type(self, ticket_type: TicketType) -> None:
        """Add a new ticket type."""
        self._new_ticket_types = (*self._new_ticket_types, len(self.ticket_types))
        self.ticket_types = (*self.ticket_types, ticket_type)

    def count_overtake(self, ticket_type_id: UUID, queue_number: int | None = None) -> None:
        """Note that this waiting booking, or a newcomer, gets tickets while others wait before it.

        Only where the event has a bound for it.
        """
        if self.event.max_overtakes is not None:
            number = self.event.last_queue_number if queue_number is None else queue_number
            self.set_ticket_type(self.ticket_type(ticket_type_id).overtaken_by(number))

    def note_room(self, *ticket_type_ids: UUID) -> None:
        """Note that the last fact made room on the waiting lists of these ticket types."""
        if self._room_made_by is None:
            self._room_made_by = {}
        for each in ticket_type_ids:
            self._room_made_by[self._index_of(each)] = self.event.last_seq

    def room_made_by(self, ticket_type_id: UUID) -> int | None:
        """Return the number of the last fact that made room on a ticket type's waiting list; None: not known."""
        return self._room_of(self._index_of(ticket_type_id))

    def keep_room(self, *, is_served: bool) -> None:
        """Keep for the next step which facts made room; forget them if all who fit are served."""
        for index, each in enumerate(self.ticket_types):
            room_made_by = None if is_served else self._room_of(index)
            if each.room_made_by != room_made_by:
                self._put(index, replace(each, room_made_by=room_made_by))

    def next_queue_number(self) -> int:
        """Issue the next queue number: a counter under the event's lock, never a clock (promise 5)."""
        number = self.event.last_queue_number + 1
        self.event = replace(self.event, last_queue_number=number)
        return number

    def enter(self, booking: Booking) -> Booking:
        """Add a new booking and return it with its ticket numbers."""
        booking = self._with_numbers(booking)
        self._count(booking, 1)
        self._note_expiry(booking)
        if booking.is_waiting:
            self._join_waiting_list(booking, is_last=True)
        self._booked = (*self._booked, booking)
        return booking

    def change(self, before: Booking, after: Booking) -> Booking:
        """Replace a booking, adjust the counters of its ticket type exactly once, and return it with ticket numbers."""
        after = self._with_numbers(after)
        self._count(before, -1)
        self._count(after, 1)
        self._note_expiry(after)
        if before.is_waiting and before.ticket_type_id in self._waiting_lists:
            self._put_waiting_list(before.ticket_type_id, self.waiting_list(before.ticket_type_id).without(before))
        if after.is_waiting:
            self._join_waiting_list(after)
        self._record(before, after)
        return after

    def number_tickets(self, booking: Booking) -> None:
        """Give a booking that was confirmed earlier the next ticket numbers. No fact: they follow from the others."""
        self._record(booking, self._with_next_numbers(booking))

    def latest(self, booking: Booking) -> Booking:
        """Return the booking with the changes so far."""
        return self._changed[booking.id].after if self._changed and booking.id in self._changed else booking

    def has_changed(self, booking: Booking) -> bool:
        """Return whether this decision has changed the booking."""
        return self._changed is not None and booking.id in self._changed

    def add_fact(self, what: AnyFactPayload, booking: Booking | None = None) -> None:
        """Add the next fact."""
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
        """Return the finished decision."""
        return Decision(
            inventory=self.current,
            outcome=outcome,
            is_new_event=is_new_event,
            new_ticket_types=self._at(self._new_ticket_types),
            changed_ticket_types=self._at(self._changed_ticket_types),
            booked=self._booked,
            changed=tuple(self._changed.values()) if self._changed else (),
            new_payments=self._new_payments,
            changed_payments=self._changed_payments,
            tickets=tuple(self._tickets.values()) if self._tickets else (),
            check_ins=tuple(self._check_ins.values()) if self._check_ins else (),
            facts=tuple(self._facts),
        )

    def _room_of(self, index: int) -> int | None:
        noted = self._room_made_by.get(index) if self._room_made_by else None
        return self.ticket_types[index].room_made_by if noted is None else noted

    def _with_numbers(self, booking: Booking) -> Booking:
        """Return the booking, with the next ticket numbers if it has just been confirmed."""
        is_new = booking.status is CONFIRMED and booking.first_ticket_number is None
        return self._with_next_numbers(booking) if is_new and self.event.numbered_to is None else booking

    def _with_next_numbers(self, booking: Booking) -> Booking:
        last = self.event.last_ticket_number
        self.event = replace(self.event, last_ticket_number=last + booking.quantity)
        return replace(booking, first_ticket_number=last + 1)

    def _record(self, before: Booking, after: Booking) -> None:
        if self._changed is None:
            self._changed = {}
        first = self._changed.get(before.id)
        change = Change(first.before if first else before, after)
        self._changed[before.id] = change
        self.promoted += change.is_promotion

    def _at(self, indexes: tuple[int, ...]) -> tuple[TicketType, ...]:
        if len(indexes) == 1:
            return (self.ticket_types[indexes[0]],)
        return tuple([self.ticket_types[index] for index in sorted(indexes)]) if indexes else ()

    def _join_waiting_list(self, booking: Booking, *, is_last: bool = False) -> None:
        type_id = booking.ticket_type_id
        if type_id in self._waiting_lists:
            ahead = self.ticket_type(type_id).waiting - 1 if is_last else None
            self._put_waiting_list(type_id, self._waiting_lists[type_id].joined_by(booking, ahead))

    def _put_waiting_list(self, ticket_type_id: UUID, waiting_list: WaitingList) -> None:
        self._waiting_lists = {**self._waiting_lists, ticket_type_id: waiting_list}

    def _note_expiry(self, booking: Booking) -> None:
        if booking.status is HELD and booking.expires_at is not None:
            earliest = self.event.earliest_expiry
            if earliest is None or booking.expires_at < earliest:
                self.event = replace(self.event, earliest_expiry=booking.expires_at)

    def _count(self, booking: Booking, sign: int) -> None:
        index = self._index_of(booking.ticket_type_id)
        ticket_type = self.ticket_types[index]
        if booking.status.takes_tickets:
            updated = replace(ticket_type, taken=ticket_type.taken + sign * booking.quantity)
        elif booking.is_waiting:
            updated = replace(
                ticket_type,
                waiting=ticket_type.waiting + sign,
                waiting_tickets=ticket_type.waiting_tickets + sign * booking.quantity,
            )
        else:
            return
        self._put(index, updated)

    def _index_of(self, ticket_type_id: UUID) -> int:
        for index, ticket_type in enumerate(self.ticket_types):
            if ticket_type.id is ticket_type_id or ticket_type.id == ticket_type_id:
                return index
        raise LookupError("the booking belongs to another event")

    def _put(self, index: int, ticket_type: TicketType) -> None:
        types = self.ticket_types
        self.ticket_types = (ticket_type,) if len(types) == 1 else (*types[:index], ticket_type, *types[index + 1 :])
        if index not in self._changed_ticket_types:
            self._changed_ticket_types = (*self._changed_ticket_types, index)


def _with_payment(payments: tuple[Payment, ...], payment: Payment) -> tuple[Payment, ...]:
    return (*(each for each in payments if each.id != payment.id), payment)
