"""One event as the commands of a batch see it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from ...domain.booking import Booking
from ...domain.inventory import Decision, Inventory, LiveBooking
from ...domain.payment import Payment
from ...domain.tickets.ticket import Ticket
from ..ports.loading import LoadSpec


class EventView:
    """One event as the commands of a batch see it: each sees the decisions before it."""

    __slots__ = ("bookings", "inventory", "is_written", "of_customer", "payments", "tickets")

    def __init__(self, inventory: Inventory) -> None:
        self.inventory: Inventory = _without_loaded(inventory)
        self.is_written: bool = False
        self.bookings: dict[int, Booking] = {booking.id.int: booking for booking in inventory.bookings}
        self.of_customer: dict[int, list[LiveBooking]] = {}
        self.payments: dict[UUID, Payment] = {payment.id: payment for payment in inventory.payments}
        # By booking and number. Most batches have none.
        self.tickets: dict[int, dict[int, Ticket]] = {}
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
        or inventory.waiting_sizes
    ):
        return replace(inventory, bookings=(), of_customers=(), payments=(), tickets=(), waiting_sizes={})
    return inventory
