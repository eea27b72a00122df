"""Places on waiting lists as sums over blocks of queue numbers, whose cost does not grow with the list."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Dialect

from ....domain.booking import Booking, Place
from ..bulk.insert import BulkInsert
from ..bulk.literals import literal_of
from ..dialects.dialect import features_of
from ..schema.tables import events, waiting_blocks, waiting_list
from ..schema.types import Row, Statement

SIZES: Final = (100, 10_000)
"""Queue numbers in a block. A place is a sum over large blocks, then small blocks, then rows."""

MAX_BOOKINGS: Final = 120
"""Maximum places read with one statement: SQLite combines at most 500 SELECTs, and a place takes up to four."""

_BLOCKS: Final = waiting_blocks.name
_WAITING_LIST: Final = waiting_list.name
_EVENTS: Final = events.name


# Each block is found by its key. An UPDATE of several rows may scan a table that was small when the optimizer's
# statistics were collected, and wait for locks of other events.
_COUNT_IN: Final = BulkInsert(
    waiting_blocks, tuple, on_existing={"bookings": "{old} + {new}", "tickets": "{old} + {new}"}
)
# The block of a booking that leaves exists, so nothing is inserted.
_COUNT_OUT: Final = BulkInsert(
    waiting_blocks, tuple, on_existing={"bookings": "{old} - {new}", "tickets": "{old} - {new}"}
)


def block_updates(joined: Iterable[Booking], left: Iterable[Booking], dialect: Dialect) -> Iterator[Statement]:
    """Return statements that add joined bookings to the counts of their blocks, and subtract those that left."""
    yield from _COUNT_IN.statements(_by_block(joined), dialect)
    yield from _COUNT_OUT.statements(_by_block(left), dialect)


def _by_block(bookings: Iterable[Booking]) -> list[Row]:
    """Return the counts of these bookings as rows of blocks, in the order of their keys."""
    found: dict[tuple[UUID, int, int], tuple[int, int]] = {}
    for each in bookings:
        for size in SIZES:
            block = each.ticket_type_id, size, (each.queue_number or 0) // size
            count, tickets = found.get(block, (0, 0))
            found[block] = count + 1, tickets + each.quantity
    return [(*block, *counts) for block, counts in sorted(found.items())]


class PlacesQuery:
    """Reads the places of waiting bookings in one statement; for readers also which of them are still to be drawn."""

    def __init__(self, waiting: Sequence[Booking], dialect: Dialect, *, for_readers: bool = False) -> None:
        self._waiting = waiting
        self._parts: dict[str, int] = {}
        self._of_booking = [self._parts_of(each, dialect) for each in waiting]
        event_ids = {each.event_id for each in waiting if for_readers}
        self._draws = {self._draw_of(event_id, dialect): event_id for event_id in sorted(event_ids)}

    @property
    def statement(self) -> Statement:
        """The statement whose rows `places` takes."""
        parts = (f"SELECT {number} AS part, {text}" for text, number in self._parts.items())
        return Statement(" UNION ALL ".join(parts))

    def undrawn(self, rows: Iterable[Row]) -> set[UUID]:
        """Return the events whose order is still to be drawn, of readers' bookings."""
        return {self._draws[int(part)] for part, count, *_ in rows if int(part) in self._draws and count}

    def places(self, rows: Iterable[Row]) -> dict[UUID, Place]:
        """Return the place of each booking that is still waiting, by its id."""
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
        """Return the numbers of the parts whose sum is the booking's place; the last one includes the booking."""
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
            f"FROM {_WAITING_LIST} {of_type} AND queue_number >= {first} AND queue_number <= {number}"
        )
        return [self._part(text) for text in texts]

    def _draw_of(self, event_id: UUID, dialect: Dialect) -> int:
        """Return the number of the part that counts 1 while the event's order is still to be drawn."""
        return self._part(
            f"COUNT(*), 0, 0 FROM {_EVENTS} WHERE id = {_id(event_id, dialect)} AND admission = 'draw' "
            "AND (was_drawn = 0 OR is_drawing = 1)"
        )

    def _part(self, text: str) -> int:
        return self._parts.setdefault(text, len(self._parts))


def _id(value: UUID, dialect: Dialect) -> str:
    return literal_of(waiting_list.c.ticket_type_id.type, features_of(dialect))(value)
