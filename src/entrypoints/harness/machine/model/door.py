"""The model's door: every entry of an event in the order of its arrival, and what follows from all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..box_office import DoorLook, ScanSeen, ScanSent, TicketSeen, UndoneSeen
from .booking import ModelBooking
from .event import ModelEvent


@dataclass
class ModelEntry:
    """An entry of a ticket of the event, with its answer."""

    id: UUID
    booking_id: UUID
    number: int
    at: datetime
    is_offline: bool
    answer: ScanSeen
    is_undone: bool = False

    @property
    def stands(self) -> bool:
        """Whether somebody was let in by it, and it was not undone."""
        return not self.is_undone and (self.is_offline or self.answer.result == "admitted")


class ModelDoor:
    """The doors of all events."""

    def __init__(self) -> None:
        self.entries: dict[UUID, list[ModelEntry]] = {}
        self.serials: dict[tuple[UUID, int], int] = {}
        self.holders: dict[UUID, dict[int, str]] = {}

    def of(self, event: ModelEvent) -> list[ModelEntry]:
        """Return the entries of an event."""
        return self.entries.setdefault(event.id, [])

    def used_at(self, event: ModelEvent, number: int) -> datetime | None:
        """Return when a ticket was used first; None: it was not."""
        times = [
            each.at for each in self.of(event) if each.number == number and each.stands and each.answer.result != "void"
        ]
        return min(times, default=None)

    def scan(
        self, event: ModelEvent, sent: Sequence[ScanSent], of_bookings: dict[UUID, ModelBooking]
    ) -> list[ScanSeen]:
        """Check tickets in, in this order."""
        return [self._answer(event, each, of_bookings) for each in sent]

    def _answer(self, event: ModelEvent, sent: ScanSent, of_bookings: dict[UUID, ModelBooking]) -> ScanSeen:
        known = [each.answer for each in self.of(event) if each.id == sent.id]
        if known:
            return known[0]
        if sent.booking_id is None or sent.event_id != event.id:
            result = "unknown" if sent.booking_id is None else "other-event"
            return ScanSeen(id=sent.id, result=result, number=None, admitted_at=None)
        before = self.used_at(event, sent.number)
        if is_void(event, of_bookings[sent.booking_id], sent.number) or sent.serial != self.serial(event, sent.number):
            result = "void"
        else:
            result = "admitted" if before is None or sent.at < before else "already-used"
        at = sent.at if result == "admitted" else before
        answer = ScanSeen(id=sent.id, result=result, number=sent.number, admitted_at=at)
        self.of(event).append(ModelEntry(sent.id, sent.booking_id, sent.number, sent.at, sent.is_offline, answer))
        return answer

    def has_used(self, event: ModelEvent, booking: ModelBooking) -> bool:
        """Return whether somebody came in with a ticket of a confirmed booking."""
        numbers = {each.number for each in self.of(event) if each.booking_id == booking.id} - booking.returned
        return any(self.used_at(event, number) is not None for number in numbers)

    def serial(self, event: ModelEvent, number: int) -> int:
        """Return which code of a ticket counts."""
        return self.serials.get((event.id, number), 1)

    def change(
        self, event: ModelEvent, booking: ModelBooking, number: int, holder: str | None, *, reissue: bool
    ) -> TicketSeen:
        """Name the holder of a ticket, or give it a new code, or both."""
        if holder is not None:
            self.holders.setdefault(booking.id, {})[number] = holder
        if reissue:
            self.serials[event.id, number] = self.serial(event, number) + 1
        return self.ticket(event, booking, number)

    def ticket(self, event: ModelEvent, booking: ModelBooking, number: int) -> TicketSeen:
        """Return a ticket of a booking as it is shown."""
        status = "valid" if self.used_at(event, number) is None else "used"
        return TicketSeen(
            number=number,
            serial=self.serial(event, number),
            holder=self.holders.get(booking.id, {}).get(number),
            status=status if has_ticket(booking, number) else "void",
        )

    def undo(self, event: ModelEvent, entry: ModelEntry) -> UndoneSeen:
        """Undo an entry."""
        entry.is_undone = True
        return UndoneSeen(number=entry.number, checked_in_at=self.used_at(event, entry.number))

    def seen(self, event: ModelEvent, tickets: dict[int, ModelBooking]) -> DoorLook:
        """Return what a scanner is told; `tickets` are all numbers with their bookings."""
        void = [number for number, booking in sorted(tickets.items()) if not has_ticket(booking, number)]
        used = [(number, self.used_at(event, number)) for number in sorted(tickets) if number not in void]
        standing = sorted((each for each in self.of(event) if each.stands), key=lambda each: (each.at, each.id))
        twice = {number: [each.id for each in standing if each.number == number] for number in sorted(tickets)}
        return DoorLook(
            void=void,
            used=[(number, at) for number, at in used if at is not None],
            reissued=[
                (number, self.serial(event, number))
                for number in sorted(tickets)
                if number not in void and self.serial(event, number) > 1
            ],
            conflicts=[(number, entries) for number, entries in twice.items() if len(entries) > 1],
        )


def has_ticket(booking: ModelBooking, number: int) -> bool:
    """Return whether a ticket of the booking is not void."""
    return booking.status == "confirmed" and number not in booking.returned


def is_void(event: ModelEvent, booking: ModelBooking, number: int) -> bool:
    """Return whether nobody may come in with a ticket of the booking."""
    return not has_ticket(booking, number) or event.status == "cancelled"
