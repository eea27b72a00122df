"""The cost of a booking in an event with very many bookings.

INSERT … SELECT fills one event with a thousand bookings and one with a million: copies of a booking that a use case
made, with their own ids and customers, in random order of customers, and with the counters updated. The promises are
verified afterwards.
"""

import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final
from uuid import UUID

import uvloop
from msgspec import Struct
from uuid_utils.compat import uuid7

from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.settings import Settings
from tests import mariadb

from .use_cases import new_event, rush

MANY: Final = 1_000_000
FEW: Final = 1_000

_CALLERS: Final = 256
_BOOKINGS: Final = 1_000
"""Bookings per turn. The event with few bookings has `FEW` of them in the middle of a turn."""
_TURNS: Final = 15
_AT_ONCE: Final = 50_000
"""Copies per INSERT, at most 65,536."""

# Ids grow with time, as the service's do; customers are in random order. 256 times 256 numbers, because MySQL and
# MariaDB end a recursion after 1,000 steps.
_COPIES: Final = """(
    WITH RECURSIVE
        digits (digit) AS (SELECT 0 UNION ALL SELECT digit + 1 FROM digits WHERE digit < 255),
        numbers (seq) AS (SELECT {first} + 256 * one.digit + other.digit FROM digits AS one JOIN digits AS other)
    SELECT seq,
        UNHEX(CONCAT(LPAD(HEX(seq), 12, '0'), '70008000', SUBSTR(SHA2(CONCAT('{type}', seq), 256), 1, 12))) AS id,
        SUBSTR(SHA2(CONCAT('{type} customer', seq), 256), 1, 32) AS customer
    FROM numbers WHERE seq <= {last}
) AS copies"""


class _Event(Struct, frozen=True):
    event_id: UUID
    ticket_type_id: UUID


class _Costs(Struct):
    seconds: list[float] = []
    microseconds: dict[str, list[float]] = {}

    def told(self) -> tuple[float, dict[str, float]]:
        """Return the microseconds per booking, and the processor time per booking, by process."""
        # The kernel counts in hundredths of a second, so only the mean over all turns is precise enough.
        means = {name: statistics.fmean(each) for name, each in self.microseconds.items()}
        return statistics.median(self.seconds) / _BOOKINGS * 1e6, means


def costs(
    url: str, processes: Mapping[str, Sequence[int]]
) -> tuple[tuple[float, dict[str, float]], tuple[float, dict[str, float]]]:
    """Measure a booking in an event with a million bookings and in one with a thousand, in alternating turns.

    Return for each the microseconds per booking, and the processor time per booking in microseconds, by process.
    """
    many = _with_many(url)

    async def run() -> tuple[_Costs, _Costs]:
        container = make_container(Settings(database_url=url))
        try:
            with_many, with_few = _Costs(), _Costs()
            for turn in range(_TURNS):
                few = await crowded_event(container, url, FEW - _BOOKINGS // 2)
                both = [(many, with_many), (few, with_few)]
                # In alternating order, so that neither event is always measured first.
                for event, found in both if turn % 2 == 0 else both[::-1]:
                    customers = [uuid7() for _ in range(_BOOKINGS)]
                    seconds, microseconds = await rush(
                        container, event.event_id, event.ticket_type_id, _CALLERS, customers, processes=processes
                    )
                    found.seconds.append(seconds)
                    for name, each in microseconds.items():
                        found.microseconds.setdefault(name, []).append(each)
            return with_many, with_few
        finally:
            await container.turnstile().close()
            await container.storage().close()

    with_many, with_few = uvloop.run(run())
    return with_many.told(), with_few.told()


@cache
def _with_many(url: str) -> _Event:
    """Return the event with a million bookings, created once for all rounds."""

    async def run() -> _Event:
        container = make_container(Settings(database_url=url))
        try:
            return await crowded_event(container, url, MANY)
        finally:
            await container.turnstile().close()
            await container.storage().close()

    return uvloop.run(run())


async def crowded_event(container: Container, url: str, bookings: int) -> _Event:
    """Create an event with `bookings` bookings, half of each of two types: a type has at most a million tickets."""
    event_id, ticket_type_ids = await new_event(container, ticket_types=2)
    for ticket_type_id in ticket_type_ids:
        await rush(container, event_id, ticket_type_id, 1, [uuid7()])
        for first in range(1, bookings // 2, _AT_ONCE):
            number = min(_AT_ONCE, bookings // 2 - first)
            _copy(url, event_id, ticket_type_id, first, first + number - 1)
    return _Event(event_id, ticket_type_ids[0])


def _copy(url: str, event_id: UUID, ticket_type_id: UUID, first: int, last: int) -> None:
    """Copy the first booking of a ticket type and its facts."""
    of_type = f"event_id = x'{event_id.hex}' AND ticket_type_id = x'{ticket_type_id.hex}'"
    first_booking = f"SELECT LOWER(HEX(id)), LOWER(HEX(customer_id)) FROM bookings WHERE {of_type} ORDER BY created_at"
    ((booking, customer),) = mariadb.execute(url, f"{first_booking}, id DESC LIMIT 1")
    copies = _COPIES.format(type=ticket_type_id.hex, first=first, last=last)
    new_in_bookings = {
        "id": "copies.id",
        "customer_id": "UNHEX(copies.customer)",
        # Each has one ticket.
        "first_ticket_number": f"last_ticket_number + copies.seq - {first} + 1",
    }
    new_in_facts = {
        "seq": f"last_seq + copies.seq - {first} + 1",
        "booking_id": "copies.id",
        "data": f"REPLACE(data, '{customer}', copies.customer)",
    }
    mariadb.execute(
        url,
        "SET unique_checks = 0, foreign_key_checks = 0",
        _insert(
            url,
            "bookings",
            new_in_bookings,
            f"{copies} JOIN bookings AS one ON one.id = x'{booking}' JOIN events ON events.id = one.event_id",
        ),
        _insert(
            url,
            "facts",
            new_in_facts,
            f"{copies} JOIN facts AS one ON one.booking_id = x'{booking}' JOIN events ON events.id = one.event_id",
        ),
        f"UPDATE events SET last_seq = last_seq + {last - first + 1}, last_ticket_number = last_ticket_number"
        f" + {last - first + 1} WHERE id = x'{event_id.hex}'",
        f"UPDATE ticket_types SET taken = taken + {last - first + 1} WHERE id = x'{ticket_type_id.hex}'",
    )


def _insert(url: str, table: str, new: Mapping[str, str], source: str) -> str:
    found = mariadb.execute(
        url,
        "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        f" AND table_name = '{table}' AND COALESCE(generation_expression, '') = ''",
    )
    columns = [str(name) for (name,) in found]
    values = ", ".join(new.get(column, f"one.`{column}`") for column in columns)
    names = ", ".join(f"`{column}`" for column in columns)
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {source} ORDER BY copies.seq"
