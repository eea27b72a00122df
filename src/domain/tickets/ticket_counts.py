"""The counters of a ticket type and its waiting list, by facts."""

from collections import Counter, defaultdict
from heapq import heappop, heappush
from typing import Final
from uuid import UUID

_BLOCK: Final = 1_000
"""Queue numbers that are counted together."""


class _Line:
    """The queue numbers of the bookings that wait for a ticket type."""

    def __init__(self) -> None:
        self._numbers: dict[UUID | None, int] = {}
        self._blocks: defaultdict[int, set[int]] = defaultdict(set)
        # May contain numbers of bookings that no longer wait.
        self._in_order: list[int] = []

    def add(self, booking_id: UUID | None, number: int) -> None:
        self._numbers[booking_id] = number
        self._blocks[number // _BLOCK].add(number)
        heappush(self._in_order, number)

    def remove(self, booking_id: UUID | None) -> None:
        number = self._numbers.pop(booking_id, 0)
        self._blocks[number // _BLOCK].discard(number)

    def number_of(self, booking_id: UUID | None) -> int | None:
        return self._numbers.get(booking_id)

    def number_before(self, number: int) -> int:
        first = self.first
        if first is None or number <= first:
            return 0
        own = number // _BLOCK
        whole = sum(len(numbers) for block, numbers in self._blocks.items() if block < own)
        return whole + sum(each < number for each in self._blocks[own])

    def renumber(self, booking_id: UUID | None, number: int) -> None:
        if booking_id in self._numbers:
            self.remove(booking_id)
            self.add(booking_id, number)

    @property
    def first(self) -> int | None:
        while self._in_order and self._in_order[0] not in self._blocks[self._in_order[0] // _BLOCK]:
            heappop(self._in_order)
        return self._in_order[0] if self._in_order else None


class TicketCounts:
    """A ticket type's counters by its facts. `waiting` counts waiting bookings by their quantity."""

    def __init__(self, total_tickets: int) -> None:
        self.total_tickets: int = total_tickets
        self.taken: int = 0
        self.waiting: Counter[int] = Counter()
        self.last_promoted: dict[int, int] = {}
        self.last_promoted_strictly: int = 0
        # Queue numbers and quantities of waiting bookings that were suspended, or are smaller than they were, so later
        # ones may have been served.
        self.resumed: dict[UUID | None, tuple[int, int]] = {}
        self.overtakes: tuple[int, ...] = ()
        # The number of the last fact that freed tickets, or changed who is served.
        self.room_made_by: int | None = None
        self._line = _Line()

    @property
    def available(self) -> int:
        """Tickets not taken."""
        return self.total_tickets - self.taken

    def fits_a_waiting_booking(self) -> bool:
        """Return whether the free tickets are enough for a waiting booking."""
        return any(count and quantity <= self.available for quantity, count in self.waiting.items())

    def join(self, booking_id: UUID | None, queue_number: int, quantity: int) -> None:
        """Add a waiting booking."""
        self.waiting[quantity] += 1
        self._line.add(booking_id, queue_number)

    def leave(self, booking_id: UUID | None, quantity: int) -> None:
        """Remove a waiting booking, and forget the overtakes that none of the others has suffered."""
        self.waiting[quantity] -= 1
        self._line.remove(booking_id)
        first = self._line.first
        self.overtakes = () if first is None else tuple(each for each in self.overtakes if each >= first)

    def shrink(self, booking_id: UUID | None, queue_number: int, before: int, left: int) -> None:
        """Let a waiting booking ask for fewer tickets. It keeps its place."""
        self.resumed[booking_id] = (queue_number, left)
        self.waiting[before] -= 1
        self.waiting[left] += 1

    def number_of(self, booking_id: UUID | None) -> int | None:
        """Return the queue number of a waiting booking; None: it does not wait."""
        return self._line.number_of(booking_id)

    def number_before(self, queue_number: int) -> int:
        """Return how many bookings wait before this queue number."""
        return self._line.number_before(queue_number)

    def renumber(self, booking_id: UUID | None, queue_number: int) -> None:
        """Give a booking another queue number, before any was served. One that is suspended has none in the list."""
        self.resumed.pop(booking_id, None)
        self._line.renumber(booking_id, queue_number)

    @property
    def first(self) -> int | None:
        """The queue number of the first waiting booking; None: no booking waits."""
        return self._line.first
