"""One event as the commands of a batch see it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from ...domain.booking import Booking
from ...domain.inventory import Decision, Inventory, LiveBooking
from ...domain.payment import Payment
from ...domain.tickets.check_in import CheckIn
from ...domain.tickets.ticket import Ticket
from ..ports.check_ins import ScannedTickets
from ..ports.loading import DoorSpec, LoadSpec


class EventView:
    """One event as the commands of a batch see it: each sees the decisions before it."""

    __slots__ = ("bookings", "check_ins", "inventory", "is_written", "of_customer", "payments", "tickets")

    def __init__(self, inventory: Inventory) -> None:
        self.inventory: Inventory = _without_loaded(inventory)
        self.is_written: bool = False
        self.bookings: dict[int, Booking] = {booking.id.int: booking for booking in inventory.bookings}
        self.of_customer: dict[int, list[LiveBooking]] = {}
        self.payments: dict[UUID, Payment] = {payment.id: payment for payment in inventory.payments}
        # By booking and number. Most batches have none.
        self.tickets: dict[int, dict[int, Ticket]] = {}
        self.check_ins: dict[UUID, CheckIn] = {}
        for ticket in inventory.tickets:
            self._put_ticket(ticket)
        for live in inventory.of_customers:
            self._add_live(live)

    def has_lapsed_holds(self, now: datetime) -> bool:
        """Return whether lapsed holds remain that did not fit into this transaction."""
        event = self.inventory.event
        return event.earliest_expiry is not None and not event.is_unsettled and event.has_lapsed_holds(now)

    def for_command(self, spec: LoadSpec) -> Inventory:
        """Return the inventory with the bookings, payments and tickets that the command needs."""
        if spec.door is not None:
            return self._for_door(spec.door)
        of_customer = self.of_customer.get(spec.customer_id.int) if spec.customer_id is not None else None
        bookings = self.concerned(spec) if spec.booking_id is not None or spec.whole else ()
        payments = (
            [each for each in self.payments.values() if each.booking_id == spec.booking_id] if self.payments else None
        )
        tickets = self.tickets.get(spec.booking_id.int) if self.tickets and spec.booking_id is not None else None
        if not of_customer and not bookings and not payments:
            return self.inventory
        return replace(
            self.inventory,
            bookings=bookings,
            of_customers=tuple(of_customer or ()),
            payments=tuple(payments or ()),
            tickets=tuple(tickets.values()) if tickets else (),
        )

    def add_scanned(self, found: ScannedTickets) -> None:
        """Add what commands of the door need, before any command is decided."""
        self.bookings.update({booking.id.int: booking for booking in found.bookings})
        self.check_ins.update({check_in.id: check_in for check_in in found.check_ins})
        for ticket in found.tickets:
            self._put_ticket(ticket)

    def entries(self, door: DoorSpec) -> list[CheckIn]:
        """Return the entries that a command of the door names."""
        return [self.check_ins[each] for each in door.check_in_ids if each in self.check_ins]

    def _for_door(self, door: DoorSpec) -> Inventory:
        keys = [(booking_id.int, number) for booking_id, number in door.tickets]
        bookings = {booking_id: self.bookings[booking_id] for booking_id, _ in keys if booking_id in self.bookings}
        tickets = [self.tickets.get(booking_id, {}).get(number) for booking_id, number in keys]
        check_ins = self.entries(door)
        if door.undoes:
            check_ins += [
                each
                for each in self.check_ins.values()
                if (each.booking_id, each.number) in door.tickets and each.id not in door.check_in_ids
            ]
        return replace(
            self.inventory,
            bookings=tuple(bookings.values()),
            tickets=tuple([each for each in tickets if each is not None]),
            check_ins=tuple(check_ins),
        )

    def concerned(self, spec: LoadSpec) -> tuple[Booking, ...]:
        """Return the bookings that a command may change."""
        ids = [] if spec.booking_id is None else [spec.booking_id.int]
        if spec.whole and spec.customer_id is not None:
            ids += [each.id.int for each in self.of_customer.get(spec.customer_id.int, ())]
        return tuple([self.bookings[each] for each in dict.fromkeys(ids) if each in self.bookings])

    def apply(self, decision: Decision[Any]) -> None:
        """Let the next command see this decision."""
        self.inventory = _without_loaded(decision.inventory)
        if decision.new_payments or decision.changed_payments:
            for payment in (*decision.new_payments, *decision.changed_payments):
                self.payments[payment.id] = payment
        for ticket in decision.tickets:
            self._put_ticket(ticket)
        for check_in in decision.check_ins:
            self.check_ins[check_in.id] = check_in
        for booking in decision.booked:
            self.bookings[booking.id.int] = booking
            self._add_live(booking)
        for change in decision.changed:
            before, after = change.before, change.after
            if after.id.int in self.bookings:
                self.bookings[after.id.int] = after
            if before.status.is_live and not after.status.is_live:
                self._remove_live(after)
            elif after.status.is_live and not before.status.is_live:
                self._add_live(after)

    def _put_ticket(self, ticket: Ticket) -> None:
        self.tickets.setdefault(ticket.booking_id.int, {})[ticket.number] = ticket

    def _add_live(self, booking: LiveBooking) -> None:
        of_customer = self.of_customer.get(booking.customer_id.int)
        if of_customer is None:
            self.of_customer[booking.customer_id.int] = [booking]
        else:
            of_customer.append(booking)

    def _remove_live(self, booking: LiveBooking) -> None:
        # The bookings of other customers were not loaded and are not needed.
        of_customer = self.of_customer.get(booking.customer_id.int, [])
        of_customer[:] = [each for each in of_customer if each.id != booking.id]


def _without_loaded(inventory: Inventory) -> Inventory:
    """Return the inventory without what was loaded for one command."""
    if (
        inventory.bookings
        or inventory.of_customers
        or inventory.payments
        or inventory.tickets
        or inventory.check_ins
        or inventory.waiting_sizes
    ):
        return replace(inventory, bookings=(), of_customers=(), payments=(), tickets=(), check_ins=(), waiting_sizes={})
    return inventory
