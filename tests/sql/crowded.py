"""A database with very many rows, loaded in seconds: 100,000 events, and a million bookings of which most wait.

The bookings are of the first events: the very first has sold 200,000 tickets and has a waiting list of 400,000, twenty
others have waiting lists of 20,000. One customer stands at the end of all of them.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.schema.mappers import start_order
from boxoffice.domain.event import EventStatus
from tests import mariadb

EVENTS: Final = 100_000
LISTS: Final = 20
"""Events with a waiting list of `WAITING`, after the first."""
FIRST_SHOWN: Final = 99_001
"""The first of the cancelled events that were on sale; 9,898 before it were not."""
WAITING: Final = 20_000
WAITING_FIRST: Final = 400_000
CONFIRMED_FIRST: Final = 200_000

KINDS: Final = ("jazz", "rock", "folk", "soul", "solo", "hoho", "ohoh")
"""How names begin; four letters follow, which no two events have alike."""
LETTERS: Final = "bcdfgjkmnpqrtvwxyz9"
STARTS_AT: Final = datetime(2099, 1, 1, tzinfo=UTC)

_MOMENT: Final = "'2026-11-30 12:00:00.000000'"


def event_id(number: int) -> UUID:
    """The id of an event from 1 on."""
    return UUID(bytes=b"e%015d" % number)


def ticket_type_id(number: int) -> UUID:
    """The id of the one ticket type of an event."""
    return UUID(bytes=b"t%015d" % number)


def booking_id(number: int) -> UUID:
    """The id of a booking from 1 on: first those of the first event, in the order of their queue numbers."""
    return UUID(bytes=b"b%015d" % number)


def customer_id(number: int) -> UUID:
    """The id of a customer. The one with the number 0 is at the end of every list."""
    return UUID(bytes=b"c%015d" % number)


CUSTOMER: Final = customer_id(0)


def name(number: int) -> str:
    """The name of an event."""
    letters = "".join(LETTERS[number // 19**place % 19] for place in range(4))
    return KINDS[number % len(KINDS)] + letters


def organizer_id(number: int) -> UUID:
    """The organizer of an event."""
    return UUID(bytes=b"o%015d" % (number % 1_000))


def starts_at(number: int) -> datetime | None:
    """Several events start together, and every fourth has no start."""
    return None if number % 4 == 0 else STARTS_AT + timedelta(seconds=number // 8)


class _Words:
    """How one kind of database says it."""

    def __init__(self, *, is_sqlite: bool) -> None:
        self._is_sqlite = is_sqlite

    def numbers(self, last: int) -> str:
        """A table `numbers` with a column `n` from 1 on."""
        if self._is_sqlite:
            return (
                f"(WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {last}) "
                "SELECT n FROM counted) AS numbers"
            )
        return f"(SELECT seq AS n FROM seq_1_to_{last}) AS numbers"

    def id(self, letter: str, number: str) -> str:
        if self._is_sqlite:
            return f"CAST(printf('{letter}%015d', {number}) AS BLOB)"
        return f"CONCAT('{letter}', LPAD({number}, 15, '0'))"

    def div(self, number: str, by: int) -> str:
        return f"({number} / {by})" if self._is_sqlite else f"({number} DIV {by})"

    def text(self, *parts: str) -> str:
        return " || ".join(parts) if self._is_sqlite else f"CONCAT({', '.join(parts)})"

    def starts_at(self) -> str:
        if self._is_sqlite:
            at = f"strftime('%Y-%m-%d %H:%M:%S.000000', '{STARTS_AT:%Y-%m-%d}', '+' || (n / 8) || ' seconds')"
        else:
            at = f"TIMESTAMPADD(SECOND, n DIV 8, '{STARTS_AT:%Y-%m-%d}')"
        return f"CASE WHEN n % 4 = 0 THEN NULL ELSE {at} END"

    def in_bytes(self, text: str) -> str:
        return f"CAST({text} AS BLOB)" if self._is_sqlite else f"CAST({text} AS BINARY)"


def _statements(words: _Words) -> Iterator[str]:
    yield from (_events(words), _grams(words), _ticket_types(words))
    first = CONFIRMED_FIRST + WAITING_FIRST
    yield _bookings(words, first, "1", "n", CONFIRMED_FIRST, WAITING_FIRST)
    of_lists = words.div("(n - 1)", WAITING), f"((n - 1) % {WAITING} + 1)"
    yield _bookings(words, LISTS * WAITING, f"({of_lists[0]} + 2)", of_lists[1], 0, WAITING, first)
    yield (
        "INSERT INTO waiting_list (ticket_type_id, queue_number, booking_id, event_id, quantity) "
        "SELECT ticket_type_id, queue_number, id, event_id, quantity FROM bookings "
        "WHERE status = 'waitlisted' ORDER BY 1, 2"
    )
    for size in (100, 10_000):
        yield (
            "INSERT INTO waiting_blocks (ticket_type_id, size, block, bookings, tickets) SELECT ticket_type_id, "
            f"{size}, {words.div('queue_number', size)}, COUNT(*), SUM(quantity) FROM waiting_list GROUP BY 1, 2, 3"
        )


def _events(words: _Words) -> str:
    kinds = " ".join(f"WHEN {place} THEN '{kind}'" for place, kind in enumerate(KINDS))
    letters = [f"SUBSTR('{LETTERS}', {words.div('n', 19**place)} % 19 + 1, 1)" for place in range(4)]
    named = words.text(f"CASE n % {len(KINDS)} {kinds} END", *letters)
    starts = f"{start_order(STARTS_AT)} + {words.div('n', 8)} * 1000000"
    order = f"CASE WHEN n % 4 = 0 THEN {start_order(None)} ELSE {starts} END"
    values = {
        "id": words.id("e", "n"),
        "organizer_id": words.id("o", "n % 1000"),
        "name": named,
        "description": "''",
        "venue": "''",
        "starts_at": words.starts_at(),
        "max_tickets_per_customer": "10",
        "cancellation_deadline_hours": "0",
        "waiting_list_policy": "'strict'",
        "currency": "'EUR'",
        "status": (
            f"CASE WHEN n <= {LISTS + 1} OR n % 5 > 1 THEN '{EventStatus.ON_SALE}' "
            f"WHEN n % 10 = 1 THEN '{EventStatus.CANCELLED}' "
            f"WHEN n % 5 = 1 THEN '{EventStatus.COMPLETED}' ELSE '{EventStatus.PAUSED}' END"
        ),
        # Nearly all that are cancelled never were on sale.
        "was_published": f"CASE WHEN n BETWEEN {LISTS + 2} AND {FIRST_SHOWN - 1} AND n % 10 = 1 THEN 0 ELSE 1 END",
        "version": "1",
        "last_seq": "1",
        "last_queue_number": _waiting("n"),
        "is_unsettled": "0",
        "created_at": _MOMENT,
        "start_order": order,
        "searchable": words.text(named, "'\n'"),
    }
    return f"INSERT INTO events ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {words.numbers(EVENTS)}"


def _waiting(number: str) -> str:
    return f"CASE WHEN {number} = 1 THEN {WAITING_FIRST} WHEN {number} <= {LISTS + 1} THEN {WAITING} ELSE 0 END"


def _grams(words: _Words) -> str:
    gram = words.in_bytes("SUBSTR(name, places.n, lengths.n)")
    places = words.numbers(8).replace("AS numbers", "AS places")
    lengths = words.numbers(3).replace("AS numbers", "AS lengths")
    return (
        "INSERT INTO event_grams (status, gram, start_order, event_id) "
        f"SELECT status, {gram}, start_order, id FROM events CROSS JOIN {places} CROSS JOIN {lengths} "
        # Each only where it is first: it may be there twice.
        "WHERE places.n + lengths.n <= 9 AND INSTR(name, SUBSTR(name, places.n, lengths.n)) = places.n "
        "ORDER BY 1, 2, 3, 4"
    )


def _ticket_types(words: _Words) -> str:
    values = {
        "id": words.id("t", "n"),
        "event_id": words.id("e", "n"),
        "ordinal": "0",
        "name": "'General admission'",
        "name_key": "'general admission'",
        "total_tickets": f"CASE WHEN n = 1 THEN {CONFIRMED_FIRST} ELSE 1 END",
        "taken": f"CASE WHEN n = 1 THEN {CONFIRMED_FIRST} ELSE 0 END",
        "waiting": _waiting("n"),
        "waiting_tickets": _waiting("n"),
    }
    columns = ", ".join(values)
    return f"INSERT INTO ticket_types ({columns}) SELECT {', '.join(values.values())} FROM {words.numbers(EVENTS)}"


def _bookings(
    words: _Words, bookings: int, event: str, place: str, confirmed: int, waiting: int, before: int = 0
) -> str:
    """Bookings of an event each, the confirmed ones first; customers come in no order, as in life."""
    customer = f"CASE WHEN {place} = {confirmed + waiting} THEN 0 ELSE n * 7368787 % 8000009 END"
    values = {
        "id": words.id("b", f"(n + {before})"),
        "event_id": words.id("e", event),
        "ticket_type_id": words.id("t", event),
        "customer_id": words.id("c", customer),
        "quantity": "1",
        "status": f"CASE WHEN {place} <= {confirmed} THEN 'confirmed' ELSE 'waitlisted' END",
        "amount": "0",
        "currency": "'EUR'",
        "payment_status": "'none'",
        "cancellation_deadline_hours": "0",
        "queue_number": f"CASE WHEN {place} <= {confirmed} THEN NULL ELSE {place} - {confirmed} END",
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
    }
    columns = ", ".join(values)
    return f"INSERT INTO bookings ({columns}) SELECT {', '.join(values.values())} FROM {words.numbers(bookings)}"


def fill_sqlite(url: str) -> None:
    """Load an empty file that has the schema. Its indexes are made of what is there, in a fraction of the time."""
    connection = sqlite3.connect(str(make_url(url).database), isolation_level=None)
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for statement in (
        "PRAGMA synchronous = OFF",
        "PRAGMA cache_size = -400000",
        "BEGIN",
        *(f"DROP INDEX {index}" for index, _ in indexes),
        *_statements(_Words(is_sqlite=True)),
        *(sql for _, sql in indexes),
        "COMMIT",
    ):
        connection.execute(statement)
    connection.close()


def fill_mariadb(url: str) -> None:
    """Load an empty database that has the schema, on a server of the test's own."""
    mariadb.execute(
        url,
        "SET GLOBAL innodb_buffer_pool_size = 1073741824",
        "SET GLOBAL innodb_log_file_size = 1073741824",
        "SET GLOBAL innodb_flush_log_at_trx_commit = 0",
        "SET sort_buffer_size = 268435456",
        "SET unique_checks = 0, foreign_key_checks = 0",
        *_statements(_Words(is_sqlite=False)),
    )
