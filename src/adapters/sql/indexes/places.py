"""Places in waiting lists: sums over blocks of queue numbers, which cost the same in a list of any length."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Dialect

from ....domain.booking import Booking, BookingStatus, Place
from ..bulk.features import features_of
from ..bulk.insert import BulkInsert
from ..bulk.literals import literal_of
from ..schema.tables import waiting_blocks, waiting_list
from ..schema.types import Row, Statement

SIZES: Final = (100, 10_000)
"""Queue numbers in a block. A place is a sum over the large blocks before it, the small ones and the rows behind them:
300 rows at the end of a million numbers.
"""

MOST_TOGETHER: Final = 120
"""Places asked for with one statement: SQLite joins at most 500 SELECTs, and a place takes three."""

_BLOCKS: Final = waiting_blocks.name
_LINE: Final = waiting_list.name


# Each block is found by its key: an UPDATE of several may read a whole table that was small when the optimizer last
# looked, and wait for locks of other events.
_COUNT_IN: Final = BulkInsert(
    waiting_blocks, tuple, on_existing={"bookings": "{old} + {new}", "tickets": "{old} + {new}"}
)
# A block that a booking leaves exists.
_COUNT_OUT: Final = BulkInsert(
    waiting_blocks, tuple, on_existing={"bookings": "{old} - {new}", "tickets": "{old} - {new}"}
)


def counted_in_blocks(joined: Iterable[Booking], left: Iterable[Booking], dialect: Dialect) -> Iterator[Statement]:
    """Statements that count bookings into the blocks of the waiting list, and others out of them."""
    yield from _COUNT_IN.statements(_by_block(joined), dialect)
    yield from _COUNT_OUT.statements(_by_block(left), dialect)


def _by_block(bookings: Iterable[Booking]) -> list[Row]:
    """Rows of blocks with the counts of these bookings, in the order of their keys."""
    found: dict[tuple[UUID, int, int], tuple[int, int]] = {}
    for each in bookings:
        for size in SIZES:
            block = each.ticket_type_id, size, (each.queue_number or 0) // size
            count, tickets = found.get(block, (0, 0))
            found[block] = count + 1, tickets + each.quantity
    return [(*block, *counts) for block, counts in sorted(found.items())]


class PlacesQuery:
    """The places of bookings that wait, read at one moment."""

    def __init__(self, waiting: Sequence[Booking], dialect: Dialect) -> None:
        self._waiting = waiting
        self._parts: dict[str, int] = {}
        self._of_booking = [self._parts_of(each, dialect) for each in waiting]

    @property
    def statement(self) -> Statement:
        """What finds them."""
        parts = (f"SELECT {number} AS part, {text}" for text, number in self._parts.items())
        return Statement(" UNION ALL ".join(parts))

    def places(self, rows: Iterable[Row]) -> dict[UUID, Place]:
        """The place of each booking, by its id. One that waits no longer has none."""
        counts = {int(part): [int(count or 0) for count in others] for part, *others in rows}
        places = {}
        for each, (*before, last) in zip(self._waiting, self._of_booking, strict=True):
            bookings, tickets, own = counts[last]
            if own:
                bookings += sum(counts[part][0] for part in before)
                tickets += sum(counts[part][1] for part in before)
                places[each.id] = Place(bookings, tickets - own)
        return places

    def _parts_of(self, booking: Booking, dialect: Dialect) -> list[int]:
        """The numbers of the parts whose sum is its place; the last one counts the booking itself."""
        of_type = f"WHERE ticket_type_id = {_id(booking.ticket_type_id, dialect)}"
        number = booking.queue_number or 0
        texts = []
        first = 0
        for size in reversed(SIZES):
            end = number // size
            if first // size < end:
                texts.append(
                    f"SUM(bookings), SUM(tickets), 0 FROM {_BLOCKS} {of_type} AND size = {size} "
                    f"AND block >= {first // size} AND block < {end}"
                )
            first = end * size
        texts.append(
            f"COUNT(*), SUM(quantity), SUM(CASE queue_number WHEN {number} THEN quantity ELSE 0 END) "
            f"FROM {_LINE} {of_type} AND queue_number >= {first} AND queue_number <= {number}"
        )
        return [self._parts.setdefault(text, len(self._parts)) for text in texts]


def _id(value: UUID, dialect: Dialect) -> str:
    return literal_of(waiting_list.c.ticket_type_id.type, features_of(dialect))(value)


def is_waiting(booking: Booking) -> bool:
    """Whether the booking has a place."""
    return booking.status is BookingStatus.WAITLISTED
