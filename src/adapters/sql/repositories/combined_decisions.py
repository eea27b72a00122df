"""The combined changes of several decisions, so that each row is written once."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from ....domain.booking import Booking, BookingStatus
from ....domain.inventory import Decision, Inventory
from ....domain.payment import Payment
from ....domain.tickets.check_in import CheckIn
from ....domain.tickets.ticket import Ticket
from ....domain.tickets.ticket_type import TicketType

_PLAIN_COLUMNS: Final = (
    *("status", "payment_status", "paid_by", "paid_with", "kept"),
    *("grace_until", "queue_number", "is_suspended", "first_ticket_number", "returned", "used", "expires_at"),
    "updated_at",
)
_CHANGING_COLUMNS: Final = {
    **{name: attrgetter(name) for name in _PLAIN_COLUMNS},
    # The currency of a booking never changes.
    "amount": attrgetter("amount.amount"),
    "quantity": attrgetter("quantity"),
}
_OWN_COLUMNS: Final = frozenset({"paid_by", "amount", "first_ticket_number", "queue_number"})
"""Columns whose values usually differ between bookings that change together."""


class ChangedBooking(Struct):
    """A booking before the first and after the last decision that changes it."""

    before: Booking
    after: Booking

    @property
    def leaves_waiting_list(self) -> bool:
        """Whether its row of the waiting list is deleted; one with other values replaces it."""
        return self.before.is_waiting and not self._keeps_place

    @property
    def rejoins_waiting_list(self) -> bool:
        """Whether it gets a row of the waiting list."""
        return self.after.is_waiting and not self._keeps_place

    @property
    def _keeps_place(self) -> bool:
        before, after = self.before, self.after
        is_listed = before.is_waiting and after.is_waiting
        return is_listed and (before.quantity, before.queue_number) == (after.quantity, after.queue_number)

    def new_values(self) -> list[tuple[str, Any]]:
        """Return the changed columns with their new values."""
        return [
            (name, new) for name, read in _CHANGING_COLUMNS.items() if (new := read(self.after)) != read(self.before)
        ]


class SharedChange(Struct, frozen=True):
    """What bookings have in common that one statement can change; `own` are the columns with a value for each."""

    old_status: BookingStatus
    new: tuple[tuple[str, Any], ...]
    own: tuple[str, ...]

    @property
    def is_live_after(self) -> bool:
        """Whether the bookings are live after the change."""
        status: BookingStatus = dict(self.new).get("status", self.old_status)
        return status.is_live


class CombinedDecisions(Struct):
    """The changes of several decisions, each by the integer of its id, which is hashed faster than the id."""

    inventories: dict[int, Inventory] = {}
    new_events: set[UUID] = set()
    new_ticket_types: dict[int, TicketType] = {}
    changed_ticket_types: dict[int, TicketType] = {}
    new_bookings: dict[int, Booking] = {}
    changed_bookings: dict[int, ChangedBooking] = {}
    new_payments: dict[int, Payment] = {}
    changed_payments: dict[int, Payment] = {}
    tickets: dict[tuple[int, int], Ticket] = {}
    check_ins: dict[tuple[int, int], CheckIn] = {}

    def shared_changes(self) -> list[tuple[SharedChange, list[tuple[Any, ...]]]]:
        """Return the changed bookings in groups: what a group shares, and each booking's id with its own values.

        Bookings that end come first, because another booking of the same customer and ticket type may become live.
        """
        groups: dict[SharedChange, list[tuple[Any, ...]]] = {}
        for each in self.changed_bookings.values():
            new = each.new_values()
            own = {name: value for name, value in new if name in _OWN_COLUMNS}
            shared = tuple((name, value) for name, value in new if name not in _OWN_COLUMNS)
            change = SharedChange(each.before.status, shared, tuple(own))
            groups.setdefault(change, []).append((each.after.id, *own.values()))
        return sorted(groups.items(), key=lambda item: item[0].is_live_after)


def combine(decisions: Iterable[Decision[Any]]) -> CombinedDecisions:
    """Return the combined changes of decisions, which are in order."""
    combined = CombinedDecisions()
    inventories, new_bookings, changed = combined.inventories, combined.new_bookings, combined.changed_bookings
    for decision in decisions:
        event_id = decision.inventory.event.id
        inventories[event_id.int] = decision.inventory
        if decision.is_new_event:
            combined.new_events.add(event_id)
        _add(
            decision.new_ticket_types,
            decision.changed_ticket_types,
            combined.new_ticket_types,
            combined.changed_ticket_types,
        )
        for booked in decision.booked:
            new_bookings[booked.id.int] = booked
        for change in decision.changed:
            after = change.after
            key = after.id.int
            if key in new_bookings:
                new_bookings[key] = after
            elif key in changed:
                changed[key].after = after
            else:
                changed[key] = ChangedBooking(change.before, after)
        for ticket in decision.tickets:
            combined.tickets[ticket.booking_id.int, ticket.number] = ticket
        for check_in in decision.check_ins:
            combined.check_ins[event_id.int, check_in.id.int] = check_in
        if decision.new_payments or decision.changed_payments:
            _add(decision.new_payments, decision.changed_payments, combined.new_payments, combined.changed_payments)
    combined.changed_bookings = {key: each for key, each in changed.items() if each.new_values()}
    return combined


def _add(new: Iterable[Any], changed: Iterable[Any], all_new: dict[int, Any], all_changed: dict[int, Any]) -> None:
    """Add new and changed entities; one that is new to the transaction stays new when it changes."""
    for each in new:
        all_new[each.id.int] = each
    for each in changed:
        key = each.id.int
        (all_new if key in all_new else all_changed)[key] = each
