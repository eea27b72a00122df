"""How often chances were right: those that could have been told to bookings when they joined, from facts alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from ..booking import BookingStatus
from ..draws.draw import Admission
from ..event import EventStatus
from ..facts import (
    BookingCancelled,
    BookingPromoted,
    CustomerWaitlisted,
    DrawHeld,
    EventChanged,
    EventInitialized,
    Fact,
)
from ..tickets.ticket_counts import TicketCounts
from .chance import chance_from
from .line_history import MoveKind, Returned, move_of

BAND: Final = 10
"""Percent in a band of chances. The last one is from 90 to 99."""


class Band(Struct, frozen=True, gc=False):
    """Chances from `percent` on that have been decided: how many, and how many of their bookings were served."""

    percent: int
    told: int = 0
    served: int = 0


NO_BANDS: Final[tuple[Band, ...]] = tuple(Band(percent) for percent in range(0, 100, BAND))


def added(bands: Sequence[Band], more: Sequence[Band]) -> tuple[Band, ...]:
    """Return the sums of bands."""
    return tuple(
        Band(one.percent, one.told + other.told, one.served + other.served)
        for one, other in zip(bands, more, strict=True)
    )


class ChanceRecord:
    """The chances of one event's bookings when they joined, and what became of them.

    Who leaves by their own will, or is cancelled by the organizer, is not counted: they might have been served.
    """

    def __init__(self) -> None:
        self._began_at: datetime | None = None
        self._opens_at: datetime | None = None
        self._starts_at: datetime | None = None
        self._is_closed = False
        self._awaits_draw = False
        self._returned: dict[UUID, Returned] = {}
        self._open: dict[UUID | None, int] = {}
        self._served = [0] * len(NO_BANDS)
        self._told = [0] * len(NO_BANDS)

    def follow(self, fact: Fact, types: Mapping[UUID, TicketCounts]) -> None:
        """Take the next fact, after which the counts of the ticket types are these."""
        match fact.what:
            case EventInitialized() as what:
                self._began_at = fact.occurred_at
                self._awaits_draw = what.values.get("admission") == Admission.DRAW
                self._change(what.values)
            case EventChanged() as what:
                self._change(what.changes)
            case DrawHeld():
                self._awaits_draw = False
            case CustomerWaitlisted() as what if not self._awaits_draw:
                self._tell(fact, what.ticket_type_id, types[what.ticket_type_id])
            case BookingPromoted():
                self._decide(fact.booking_id, was_served=True)
            case BookingCancelled(was=BookingStatus.WAITLISTED, by=by):
                if by == "event":
                    self._decide(fact.booking_id, was_served=False)
                self._open.pop(fact.booking_id, None)
            case _:
                pass
        move = move_of(fact.seq, fact.what, None)
        if move is not None and move.kind is MoveKind.RETURNED:
            before = self._returned.get(move.ticket_type_id, Returned())
            self._returned[move.ticket_type_id] = Returned(before.tickets + move.tickets, before.occasions + 1)

    def bands(self, now: datetime) -> tuple[Band, ...]:
        """Return the chances that have been decided. Nobody is served any more once the event has started."""
        is_over = self._is_closed or (self._starts_at is not None and self._starts_at <= now)
        unserved = [0] * len(NO_BANDS)
        for percent in self._open.values() if is_over else ():
            unserved[percent // BAND] += 1
        return tuple(
            Band(band.percent, told + more, served)
            for band, told, more, served in zip(NO_BANDS, self._told, unserved, self._served, strict=True)
        )

    def _change(self, values: Mapping[str, Any]) -> None:
        self._starts_at = _moment(values, "startsAt", self._starts_at)
        self._opens_at = _moment(values, "salesOpenAt", self._opens_at)
        self._is_closed = self._is_closed or values.get("status") in (EventStatus.CANCELLED, EventStatus.COMPLETED)

    def _tell(self, fact: Fact, ticket_type_id: UUID, counts: TicketCounts) -> None:
        # It is the last one now, so all that wait stand before it, but for itself.
        wanted = sum(quantity * number for quantity, number in counts.waiting.items())
        returned = self._returned.get(ticket_type_id, Returned())
        began_at = max(each for each in (self._began_at, self._opens_at) if each is not None)
        chance = chance_from(began_at, self._starts_at, wanted - counts.available, returned, fact.occurred_at)
        if chance is not None:
            self._open[fact.booking_id] = chance.percent

    def _decide(self, booking_id: UUID | None, *, was_served: bool) -> None:
        percent = self._open.pop(booking_id, None)
        if percent is not None:
            self._told[percent // BAND] += 1
            self._served[percent // BAND] += was_served


def _moment(values: Mapping[str, Any], name: str, before: datetime | None) -> datetime | None:
    if name not in values:
        return before
    text = values[name]
    return None if text is None else datetime.fromisoformat(text)
