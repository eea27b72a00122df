"""The waiting list of one ticket type, as the entries of a log tell it."""

from collections import Counter
from heapq import heappop, heappush

TAKING = ("confirmed", "held")


class Line:
    """Who waits for one ticket type, and how many tickets are taken. Bookings are known by their queue numbers."""

    def __init__(self, total: int) -> None:
        self.total: int = total
        self.taken: int = 0
        self.waiting: dict[int, int] = {}
        """The tickets that each waiting booking asks for, by queue number."""
        self.suspended: dict[int, int] = {}
        self.sizes: Counter[tuple[str, int]] = Counter()
        """How many bookings have this status and this many tickets, of those that do not wait."""
        self.overtakes: list[int] = []
        """The last queue number that each counted overtake passed."""
        self._by_size: dict[int, list[int]] = {}
        self._place: dict[int, int] = {}
        self._counts: list[int] = [0]

    @property
    def free(self) -> int:
        """How many tickets are not taken."""
        return self.total - self.taken

    def join(self, number: int, quantity: int) -> None:
        """Add a waiting booking, a new one or one that was suspended."""
        self.waiting[number] = quantity
        heappush(self._by_size.setdefault(quantity, []), number)
        if number not in self._place:
            self._add_place(number)
        self._count(number, 1)

    def reorder(self) -> None:
        """Put the list in the order of its queue numbers, after a draw has changed these."""
        self._place, self._counts = {}, [0]
        for number in sorted([*self.waiting, *self.suspended]):
            self._add_place(number)
            self._count(number, number in self.waiting)

    def leave(self, number: int) -> None:
        """Remove a waiting booking, and forget the overtakes that none of the others suffered."""
        del self.waiting[number]
        self._count(number, -1)
        if self.overtakes:
            first = self.first()
            self.overtakes = [] if first is None else [each for each in self.overtakes if each >= first]

    def resize(self, number: int, quantity: int) -> None:
        """Let a waiting booking ask for fewer tickets."""
        self.waiting[number] = quantity
        heappush(self._by_size.setdefault(quantity, []), number)

    def first(self, most: int | None = None) -> int | None:
        """Return the first waiting booking, of those that ask for at most so many tickets; None: there is none."""
        tops = [self._top(size) for size in self._by_size if most is None or size <= most]
        return min((each for each in tops if each is not None), default=None)

    def before(self, number: int) -> int:
        """Return how many waiting bookings stand before this one."""
        return self._sum(self._place[number] - 1)

    def take(self, status: str, quantity: int) -> None:
        """Add a booking that has tickets."""
        self.sizes[status, quantity] += 1
        self.taken += quantity

    def give_back(self, status: str, quantity: int) -> bool:
        """Remove a booking that has tickets. Return whether there was one like it."""
        if not self.sizes[status, quantity]:
            return False
        self.sizes[status, quantity] -= 1
        self.taken -= quantity
        return True

    def _top(self, size: int) -> int | None:
        numbers = self._by_size[size]
        while numbers and self.waiting.get(numbers[0]) != size:
            heappop(numbers)
        return numbers[0] if numbers else None

    def _add_place(self, number: int) -> None:
        # Each element of a Fenwick tree has the sum of the elements below it.
        at = len(self._counts)
        self._place[number] = at
        self._counts.append(self._sum(at - 1) - self._sum(at - (at & -at)))

    def _sum(self, at: int) -> int:
        total = 0
        while at > 0:
            total += self._counts[at]
            at &= at - 1
        return total

    def _count(self, number: int, change: int) -> None:
        at = self._place[number]
        while at < len(self._counts):
            self._counts[at] += change
            at += at & -at
