"""What happened to a ticket type's waiting list, so that anyone's wait is counted fast, however long the history is."""

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from ..booking import BookingStatus
from ..facts import (
    BookingCancelled,
    BookingPromoted,
    FactPayload,
    HoldExpired,
    PaymentTaken,
    TicketsBooked,
    TicketsGranted,
    TicketsReturned,
)

_BLOCK: Final = 512
"""Moves that are counted together."""


class MoveKind(StrEnum):
    """What happened to a waiting list, or to the tickets that it waits for."""

    SERVED = "served"
    """A waiting booking got tickets."""
    LEFT = "left"
    """A waiting booking was cancelled."""
    NEWCOMER = "newcomer"
    """A booking that never waited, or whose hold had lapsed, got tickets."""
    GRANTED = "granted"
    """Tickets were given away."""
    RETURNED = "returned"
    """Tickets came back."""


class LineMove(Struct, frozen=True, gc=False):
    """One fact as far as it concerns a waiting list. `queue_number` is that of a booking that leaves it."""

    seq: int
    ticket_type_id: UUID
    kind: MoveKind
    queue_number: int | None
    tickets: int


class Since(Struct, frozen=True, gc=False):
    """What happened while a booking waited, in bookings.

    `served` and `left` are those ahead of it that got tickets, or were cancelled. `overtook` got tickets and stood
    behind it, or never waited. `granted` were given tickets.
    """

    served: int = 0
    left: int = 0
    overtook: int = 0
    granted: int = 0


class Returned(Struct, frozen=True, gc=False):
    """How many tickets have come back, and on how many occasions."""

    tickets: int = 0
    occasions: int = 0


class _Numbers:
    """Queue numbers in the order of their moves."""

    def __init__(self) -> None:
        self.seqs: array[int] = array("q")
        self._numbers: array[int] = array("q")
        self._sorted: list[array[int]] = []

    def add(self, seq: int, number: int) -> None:
        if len(self.seqs) % _BLOCK == 0:
            self._sorted.append(array("q"))
        self.seqs.append(seq)
        self._numbers.append(number)
        insort(self._sorted[-1], number)

    def count(self, after: int, until: int, below: int) -> tuple[int, int]:
        """Return how many moves after one fact and before another have a number below this one, and above it."""
        first, last = bisect_right(self.seqs, after), bisect_left(self.seqs, until)
        counted = 0
        place = first
        while place < last:
            block, start = divmod(place, _BLOCK)
            end = min(last, (block + 1) * _BLOCK)
            if start == 0 and end - place == _BLOCK:
                counted += bisect_left(self._sorted[block], below)
            else:
                counted += sum(each < below for each in self._numbers[place:end])
            place = end
        return counted, max(0, last - first) - counted


class _TypeHistory:
    """The moves of one ticket type."""

    def __init__(self) -> None:
        self.served = _Numbers()
        self.left = _Numbers()
        self.newcomers: array[int] = array("q")
        self.granted: array[int] = array("q")
        self.returned: array[int] = array("q")
        self.tickets_returned: array[int] = array("q", [0])


class LineHistory:
    """The waiting lists of an event up to the fact `seq`. Moves are added in their order."""

    def __init__(self) -> None:
        self.seq: int = 0
        self.moves: int = 0
        self._types: dict[UUID, _TypeHistory] = {}

    def extend(self, moves: Sequence[LineMove], seq: int) -> None:
        """Add all moves that follow, up to the fact `seq`."""
        for move in moves:
            of_type = self._types.get(move.ticket_type_id)
            if of_type is None:
                of_type = self._types[move.ticket_type_id] = _TypeHistory()
            match move.kind:
                case MoveKind.SERVED:
                    of_type.served.add(move.seq, move.queue_number or 0)
                case MoveKind.LEFT:
                    of_type.left.add(move.seq, move.queue_number or 0)
                case MoveKind.NEWCOMER:
                    of_type.newcomers.append(move.seq)
                case MoveKind.GRANTED:
                    of_type.granted.append(move.seq)
                case _:
                    of_type.returned.append(move.seq)
                    of_type.tickets_returned.append(of_type.tickets_returned[-1] + move.tickets)
        self.moves += len(moves)
        self.seq = seq

    def since(self, ticket_type_id: UUID, queue_number: int, after: int, until: int) -> Since:
        """Return what happened to a waiting booking after the fact `after` and before the fact `until`."""
        of_type = self._types.get(ticket_type_id)
        if of_type is None:
            return Since()
        served, overtook = of_type.served.count(after, until, queue_number)
        left, _ = of_type.left.count(after, until, queue_number)
        newcomers = _between(of_type.newcomers, after, until)
        return Since(served, left, overtook + newcomers, _between(of_type.granted, after, until))

    def returned(self, ticket_type_id: UUID, until: int) -> Returned:
        """Return what came back of a ticket type before the fact `until`."""
        of_type = self._types.get(ticket_type_id)
        if of_type is None:
            return Returned()
        occasions = bisect_left(of_type.returned, until)
        return Returned(of_type.tickets_returned[occasions], occasions)


def _between(seqs: Sequence[int], after: int, until: int) -> int:
    return max(0, bisect_left(seqs, until) - bisect_right(seqs, after))


MOVING: Final = frozenset(
    {
        *("BookingPromoted", "BookingCancelled", "TicketsBooked", "TicketsGranted"),
        *("TicketsReturned", "HoldExpired", "PaymentTaken"),
    }
)
"""The kinds of facts of which `move_of` may return a move."""


def move_of(seq: int, what: FactPayload, queue_number: int | None) -> LineMove | None:
    """Return a fact as a move; None: it is none. `queue_number` is its booking's, which old facts do not name."""
    number = None
    match what:
        case BookingPromoted():
            kind, number = MoveKind.SERVED, what.queue_number
        case BookingCancelled(was=BookingStatus.WAITLISTED):
            kind, number = MoveKind.LEFT, queue_number if what.queue_number is None else what.queue_number
        case TicketsReturned(was=BookingStatus.WAITLISTED):
            return None
        case TicketsBooked() | PaymentTaken(was=BookingStatus.EXPIRED, status=BookingStatus.CONFIRMED):
            kind = MoveKind.NEWCOMER
        case TicketsGranted():
            kind = MoveKind.GRANTED
        case BookingCancelled() | TicketsReturned() | HoldExpired():
            kind = MoveKind.RETURNED
        case _:
            return None
    return LineMove(seq, what.ticket_type_id, kind, number, what.quantity)
