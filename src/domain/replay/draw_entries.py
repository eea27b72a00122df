"""The entries of a draw by the facts: the bookings that waited at the closing, whatever became of them since."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ..booking import BookingStatus
from ..facts import BookingCancelled, CustomerWaitlisted, DrawHeld, Fact, TicketsReturned


class DrawEntry(Struct, frozen=True, gc=False):
    """An entry as it was at the closing. `seq` is the number of the fact that it joined by."""

    seq: int
    booking_id: UUID
    queue_number: int
    ticket_type_id: UUID
    quantity: int


class DrawEntries:
    """Collects the entries of a draw from all facts of its event, in order."""

    def __init__(self, closes_at: datetime) -> None:
        self._closes_at = closes_at
        self._waiting: dict[UUID, DrawEntry] = {}
        self.held: DrawHeld | None = None
        """The fact of the draw; None: it is still to be held."""

    def apply(self, fact: Fact) -> None:
        """Apply the next fact. Those after the draw change nothing."""
        what, booking_id = fact.what, fact.booking_id
        if isinstance(what, DrawHeld):
            self.held = what
        if booking_id is None or self.held is not None:
            return
        entry = self._waiting.get(booking_id)
        if isinstance(what, CustomerWaitlisted):
            self._waiting[booking_id] = DrawEntry(
                fact.seq, booking_id, what.queue_number, what.ticket_type_id, what.quantity
            )
        elif entry is not None and fact.occurred_at < self._closes_at:
            if isinstance(what, BookingCancelled) and what.was is BookingStatus.WAITLISTED:
                del self._waiting[booking_id]
            elif isinstance(what, TicketsReturned):
                self._waiting[booking_id] = replace(entry, quantity=what.left)

    def until(self, last_entry: int) -> list[DrawEntry]:
        """Return the entries in the order of their queue numbers, up to the last one before the closing."""
        return [each for each in self._waiting.values() if each.queue_number <= last_entry]
