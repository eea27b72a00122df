"""One event as the commands of a batch see it."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from ...domain.booking import Booking
from ...domain.inventory import Decision, Inventory, LiveBooking
from ..ports.loading import LoadSpec


class EventView:
    """One event as the commands of a batch see it, each after all that was decided before it."""

    __slots__ = ("bookings", "inventory", "is_written", "of_customer", "payments")

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = _without_concerned(inventory)
        self.is_written = False
        self.bookings = {booking.id.int: booking for booking in inventory.bookings}
        self.of_customer: dict[int, list[LiveBooking]] = {}
        self.payments = {payment.id: payment for payment in inventory.payments}
        for live in inventory.of_customers:
            self._begin(live)

    def has_lapsed_holds(self, now: datetime) -> bool:
        """Whether a step is to be done first that did not go into this transaction."""
        event = self.inventory.event
        return event.earliest_expiry is not None and not event.is_unsettled and event.has_lapsed_holds(now)

    def by(self, need: LoadSpec) -> Inventory:
        """The inventory with what concerns the command."""
        of_customer = self.of_customer.get(need.customer_id.int) if need.customer_id is not None else None
        bookings = self.concerned(need) if need.booking_id is not None or need.whole else ()
        payments = (
            [each for each in self.payments.values() if each.booking_id == need.booking_id] if self.payments else None
        )
        if not of_customer and not bookings and not payments:
            return self.inventory
        return replace(
            self.inventory, bookings=bookings, of_customers=tuple(of_customer or ()), payments=tuple(payments or ())
        )

    def concerned(self, need: LoadSpec) -> tuple[Booking, ...]:
        """The bookings that a command may change."""
        ids = [] if need.booking_id is None else [need.booking_id.int]
        if need.whole and need.customer_id is not None:
            ids += [each.id.int for each in self.of_customer.get(need.customer_id.int, ())]
        return tuple([self.bookings[each] for each in dict.fromkeys(ids) if each in self.bookings])

    def note(self, decision: Decision[Any]) -> None:
        """What was decided is what the next command finds."""
        self.inventory = _without_concerned(decision.inventory)
        if decision.new_payments or decision.changed_payments:
            for payment in (*decision.new_payments, *decision.changed_payments):
                self.payments[payment.id] = payment
        for booking in decision.booked:
            self.bookings[booking.id.int] = booking
            self._begin(booking)
        for change in decision.changed:
            before, after = change.before, change.after
            if after.id.int in self.bookings:
                self.bookings[after.id.int] = after
            if before.status.is_live and not after.status.is_live:
                self._end(after)
            elif after.status.is_live and not before.status.is_live:
                self._begin(after)

    def _begin(self, booking: LiveBooking) -> None:
        of_customer = self.of_customer.get(booking.customer_id.int)
        if of_customer is None:
            self.of_customer[booking.customer_id.int] = [booking]
        else:
            of_customer.append(booking)

    def _end(self, booking: LiveBooking) -> None:
        # Of a customer whom no command is about nothing is known, and nothing asked.
        of_customer = self.of_customer.get(booking.customer_id.int, [])
        of_customer[:] = [each for each in of_customer if each.id != booking.id]


def _without_concerned(inventory: Inventory) -> Inventory:
    """What one command asked for is not the next one's."""
    if inventory.bookings or inventory.of_customers or inventory.payments or inventory.waiting_sizes:
        return replace(inventory, bookings=(), of_customers=(), payments=(), waiting_sizes={})
    return inventory
