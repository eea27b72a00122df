"""A database with very many rows, loaded in seconds: 50,000 events, and 250,000 bookings of which most wait.

The bookings are of the first events: the very first has sold 50,000 tickets and has a waiting list of 100,000, twenty
others have waiting lists of 5,000. One customer stands at the end of all of them. With `--long` there are twice as many
events and four times as many bookings, a million.
"""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.schema.mappers import start_order
from boxoffice.domain.event import EventStatus
from tests import mariadb
from tests.long import is_long

_MORE: Final = 4 if is_long() else 1

EVENTS: Final = 100_000 if is_long() else 50_000
LISTS: Final = 20
"""Events with a waiting list of `WAITING`, after the first."""
FIRST_SHOWN: Final = EVENTS - 999
"""The first of the cancelled events that were on sale; a tenth of those before it were not."""
WAITING: Final = 5_000 * _MORE
WAITING_FIRST: Final = 100_000 * _MORE
CONFIRMED_FIRST: Final = 50_000 * _MORE

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
    return None if number % 4 == 0 else STARTS_AT + timedelta(hours=number // 8)


BYTES, WHOLE, LATER, ENDS = "BYTES", "WHOLE", "LATER", "ENDS"
"""What differs between SQLite and the servers: types of bytes and of integers, an event's start and its end."""

_HOURS: Final = "CASE WHEN n % 100 = 1 THEN 24000 WHEN n % 3 = 1 THEN 1 WHEN n % 3 = 2 THEN 55 END"
"""How long events last. A hundredth lasts for years, a third has no end."""


def _in_words_of(statement: str, of_bytes: str, whole: str, later: Callable[[str], str]) -> str:
    start = _div("n", 8)
    statement = statement.replace(LATER, later(start)).replace(ENDS, later(f"({start} + {_HOURS})"))
    return statement.replace(BYTES, of_bytes).replace(WHOLE, whole)


def _numbers(last: int, name: str = "numbers") -> str:
    """A table with a column `n` from 1 on."""
    return (
        f"(WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {last}) "
        f"SELECT n FROM counted) AS {name}"
    )


def _id(letter: str, number: str) -> str:
    return f"CAST('{letter}' || SUBSTR('000000000000000' || ({number}), -15) AS {BYTES})"


def _div(number: str, by: int) -> str:
    return f"CAST(({number} - {number} % {by}) / {by} AS {WHOLE})"


def _statements() -> Iterator[str]:
    yield from (_events(), _grams(), _ticket_types(), _staff())
    first = CONFIRMED_FIRST + WAITING_FIRST
    yield _bookings(first, "1", "n", CONFIRMED_FIRST, WAITING_FIRST)
    of_lists = _div("(n - 1)", WAITING), f"((n - 1) % {WAITING} + 1)"
    yield _bookings(LISTS * WAITING, f"({of_lists[0]} + 2)", of_lists[1], 0, WAITING, first)
    yield (
        "INSERT INTO waiting_list (ticket_type_id, queue_number, booking_id, event_id, quantity) "
        "SELECT ticket_type_id, queue_number, id, event_id, quantity FROM bookings "
        "WHERE status = 'waitlisted' ORDER BY 1, 2"
    )
    for size in (100, 10_000):
        yield (
            "INSERT INTO waiting_blocks (ticket_type_id, size, block, bookings, tickets) SELECT ticket_type_id, "
            f"{size}, {_div('queue_number', size)}, COUNT(*), SUM(quantity) FROM waiting_list GROUP BY 1, 2, 3"
        )


def _events() -> str:
    kinds = " ".join(f"WHEN {place} THEN '{kind}'" for place, kind in enumerate(KINDS))
    letters = [f"SUBSTR('{LETTERS}', {_div('n', 19**place)} % 19 + 1, 1)" for place in range(4)]
    named = " || ".join([f"CASE n % {len(KINDS)} {kinds} END", *letters])
    starts = f"{start_order(STARTS_AT)} + {_div('n', 8)} * 3600000000"
    order = f"CASE WHEN n % 4 = 0 THEN {start_order(None)} ELSE {starts} END"
    values = {
        "id": _id("e", "n"),
        "organizer_id": _id("o", "n % 1000"),
        "name": named,
        "description": "''",
        "venue": "''",
        "starts_at": f"CASE WHEN n % 4 = 0 THEN NULL ELSE {LATER} END",
        "ends_at": f"CASE WHEN n % 4 = 0 THEN NULL ELSE {ENDS} END",
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
        "last_ticket_number": f"CASE WHEN n = 1 THEN {CONFIRMED_FIRST} ELSE 0 END",
        "is_unsettled": "0",
        "created_at": _MOMENT,
        "start_order": order,
        "duration_class": (
            "CASE WHEN n % 4 = 0 THEN 0 WHEN n % 100 = 1 THEN 6 WHEN n % 3 = 1 THEN 1 WHEN n % 3 = 2 THEN 3 ELSE 0 END"
        ),
        "searchable": f"{named} || '\n'",
    }
    return f"INSERT INTO events ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {_numbers(EVENTS)}"


def _waiting(number: str) -> str:
    return f"CASE WHEN {number} = 1 THEN {WAITING_FIRST} WHEN {number} <= {LISTS + 1} THEN {WAITING} ELSE 0 END"


def _grams() -> str:
    gram = f"CAST(SUBSTR(name, places.n, lengths.n) AS {BYTES})"
    places = _numbers(8, "places")
    lengths = _numbers(3, "lengths")
    return (
        "INSERT INTO event_grams (status, gram, start_order, event_id) "
        f"SELECT status, {gram}, start_order, id FROM events CROSS JOIN {places} CROSS JOIN {lengths} "
        # Each only where it is first: it may be there twice.
        "WHERE places.n + lengths.n <= 9 AND INSTR(name, SUBSTR(name, places.n, lengths.n)) = places.n "
        "ORDER BY 1, 2, 3, 4"
    )


def _ticket_types() -> str:
    values = {
        "id": _id("t", "n"),
        "event_id": _id("e", "n"),
        "ordinal": "0",
        "name": "'General admission'",
        "name_key": "'general admission'",
        "total_tickets": f"CASE WHEN n = 1 THEN {CONFIRMED_FIRST} ELSE 1 END",
        "taken": f"CASE WHEN n = 1 THEN {CONFIRMED_FIRST} ELSE 0 END",
        "waiting": _waiting("n"),
        "waiting_tickets": _waiting("n"),
    }
    columns = ", ".join(values)
    return f"INSERT INTO ticket_types ({columns}) SELECT {', '.join(values.values())} FROM {_numbers(EVENTS)}"


def _staff() -> str:
    """A helper for each event, who organizes another one."""
    values = (_id("e", "n"), _id("o", "(n + 1) % 1000"), _id("s", "n"), "'door'", _MOMENT)
    columns = "event_id, user_id, id, role, appointed_at"
    return f"INSERT INTO event_staff ({columns}) SELECT {', '.join(values)} FROM {_numbers(EVENTS)}"


def _bookings(bookings: int, event: str, place: str, confirmed: int, waiting: int, before: int = 0) -> str:
    """Bookings of an event each, the confirmed ones first; customers come in no order, as in life."""
    customer = f"CASE WHEN {place} = {confirmed + waiting} THEN 0 ELSE n * 7368787 % 8000009 END"
    values = {
        "id": _id("b", f"(n + {before})"),
        "event_id": _id("e", event),
        "ticket_type_id": _id("t", event),
        "customer_id": _id("c", customer),
        "quantity": "1",
        "status": f"CASE WHEN {place} <= {confirmed} THEN 'confirmed' ELSE 'waitlisted' END",
        "amount": "0",
        "currency": "'EUR'",
        "payment_status": "'none'",
        "cancellation_deadline_hours": "0",
        "queue_number": f"CASE WHEN {place} <= {confirmed} THEN NULL ELSE {place} - {confirmed} END",
        "first_ticket_number": f"CASE WHEN {place} <= {confirmed} THEN {place} END",
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
    }
    columns = ", ".join(values)
    return f"INSERT INTO bookings ({columns}) SELECT {', '.join(values.values())} FROM {_numbers(bookings)}"


def fill_sqlite(url: str) -> None:
    """Load an empty file that has the schema. Its indexes are built afterwards, in a fraction of the time."""

    def later(hours: str) -> str:
        return f"strftime('%Y-%m-%d %H:%M:%S.000000', '{STARTS_AT:%Y-%m-%d}', '+' || ({hours}) || ' hours')"

    connection = sqlite3.connect(str(make_url(url).database), isolation_level=None)
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for statement in (
        "PRAGMA synchronous = OFF",
        "PRAGMA cache_size = -400000",
        "BEGIN",
        *(f"DROP INDEX {index}" for index, _ in indexes),
        *(_in_words_of(each, "BLOB", "INTEGER", later) for each in _statements()),
        *(sql for _, sql in indexes),
        "COMMIT",
    ):
        connection.execute(statement)
    connection.close()


def fill_server(url: str, kind: str) -> None:
    """Load an empty database that has the schema, on a server of the test's own."""

    def later(hours: str) -> str:
        return f"TIMESTAMPADD(HOUR, {hours}, '{STARTS_AT:%Y-%m-%d}')"

    log_size = "innodb_redo_log_capacity" if kind == "mysql" else "innodb_log_file_size"
    recursion = "cte_max_recursion_depth" if kind == "mysql" else "max_recursive_iterations"
    mariadb.execute(
        url,
        "SET GLOBAL innodb_buffer_pool_size = 1073741824",
        f"SET GLOBAL {log_size} = 1073741824",
        "SET GLOBAL innodb_flush_log_at_trx_commit = 0",
        "SET sort_buffer_size = 268435456",
        "SET unique_checks = 0, foreign_key_checks = 0",
        f"SET sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT'), {recursion} = 1000000",
        *(_in_words_of(each, "BINARY", "SIGNED", later) for each in _statements()),
    )
