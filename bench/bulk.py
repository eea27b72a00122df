"""The cost of one batch of 256 rows with `adapters/sql/bulk` and with SQLAlchemy alone: an aid, not a benchmark.

`python -m bench.bulk` prints, for MariaDB, MySQL and SQLite, the median milliseconds to create and execute one
statement, and the processor time of this process. Everything is rolled back.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, insert, select, tuple_
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from boxoffice.adapters.sql.bulk.insert import BulkInsert
from boxoffice.adapters.sql.bulk.select import BulkSelect, force_index
from boxoffice.adapters.sql.dialects.dialect import dialect_of
from boxoffice.adapters.sql.schema.mappers import BOOKING, booking, booking_values
from boxoffice.adapters.sql.schema.tables import bookings
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.values.money import Money
from boxoffice.entrypoints.container import make_container, migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb

from . import databases
from .use_cases import new_event

_ROWS: Final = 256
_TIMES: Final = 60
_NAMES: Final = [column.name for column in bookings.c if column.computed is None]
_INSERT: Final = BulkInsert(bookings, booking_values)
_SELECT: Final = BulkSelect(
    force_index(select(*BOOKING), bookings, "ix_bookings_live_of_customer"),
    bookings.c.event_id,
    bookings.c.live_customer_id,
)
_SELECT_IN: Final = force_index(
    select(*BOOKING).where(
        tuple_(bookings.c.event_id, bookings.c.live_customer_id).in_(bindparam("pairs", expanding=True))
    ),
    bookings,
    "ix_bookings_live_of_customer",
)
Way = Callable[[AsyncConnection, Sequence[Booking]], Awaitable[int]]
"""Execute the statement and return the number of rows."""


def main() -> None:
    """Measure on each database."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boxoffice-bench-")))
        for kind, product in databases.PRODUCTS.items():
            server = stack.enter_context(databases.started(kind, directory))
            print(product.name)
            asyncio.run(_measure(stack.enter_context(mariadb.fresh_database(server.admin_url))))
        print("SQLite")
        asyncio.run(_measure(f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}"))


async def _measure(url: str) -> None:
    await migrate(Settings(database_url=url))
    container = make_container(Settings(database_url=url))
    event_id, (ticket_type_id,) = await new_event(container)
    await container.turnstile().close()
    await container.storage().close()
    database = dialect_of(url)
    engine = database.writing(make_url(url))

    async def bulk_insert(connection: AsyncConnection, batch: Sequence[Booking]) -> int:
        results = await database.send(connection, _INSERT.statements(batch, engine.dialect))
        return sum(result.changed for result in results)

    async def bulk_select(connection: AsyncConnection, batch: Sequence[Booking]) -> int:
        pairs = [(each.event_id, each.customer_id) for each in batch]
        (result,) = await database.send(connection, [_SELECT.statement(pairs, engine.dialect)])
        return len(list(map(booking, _SELECT.rows(result.rows, engine.dialect))))

    ways: dict[str, tuple[Way, bool]] = {
        "INSERT, bulk": (bulk_insert, False),
        "INSERT, SQLAlchemy's executemany": (_executemany, False),
        "INSERT, SQLAlchemy's insertmanyvalues (with RETURNING)": (_insertmanyvalues, False),
        "INSERT, SQLAlchemy's values([…])": (_values, False),
        "SELECT by pairs, bulk": (bulk_select, True),
        "SELECT by pairs, SQLAlchemy's tuple_().in_()": (_select_in, True),
    }
    async with engine.connect():
        # The first connection shows whether the server has RETURNING, which MySQL has not.
        if not engine.dialect.insert_returning:
            del ways["INSERT, SQLAlchemy's insertmanyvalues (with RETURNING)"]
    for name, (way, needs_rows) in ways.items():
        took, taken = [], []
        for _ in range(_TIMES):
            async with engine.connect() as connection:
                batch = _batch(event_id, ticket_type_id)
                await connection.begin()
                if needs_rows:
                    await bulk_insert(connection, batch)
                begun, before = perf_counter(), process_time()
                assert await way(connection, batch) == _ROWS, name
                took.append(perf_counter() - begun)
                taken.append(process_time() - before)
                await connection.rollback()
        print(
            f"  {name:58} {statistics.median(took) * 1e3:6.2f} ms, {statistics.median(taken) * 1e3:6.2f} ms processor"
        )
    await engine.dispose()


def _batch(event_id: UUID, ticket_type_id: UUID) -> list[Booking]:
    now = datetime.now(UTC)
    return [
        Booking(
            id=uuid7(),
            event_id=event_id,
            ticket_type_id=ticket_type_id,
            customer_id=uuid7(),
            quantity=1,
            status=BookingStatus.CONFIRMED,
            amount=Money(0, "EUR"),
            payment_status=PaymentStatus.NONE,
            cancellation_deadline_hours=0,
            created_at=now,
            updated_at=now,
        )
        for _ in range(_ROWS)
    ]


def _mappings(batch: Sequence[Booking]) -> list[dict[str, Any]]:
    return [dict(zip(_NAMES, booking_values(each), strict=True)) for each in batch]


async def _executemany(connection: AsyncConnection, batch: Sequence[Booking]) -> int:
    return (await connection.execute(insert(bookings), _mappings(batch))).rowcount


async def _insertmanyvalues(connection: AsyncConnection, batch: Sequence[Booking]) -> int:
    found = await connection.execute(insert(bookings).returning(bookings.c.quantity), _mappings(batch))
    return len(found.all())


async def _values(connection: AsyncConnection, batch: Sequence[Booking]) -> int:
    return (await connection.execute(insert(bookings).values(_mappings(batch)))).rowcount


async def _select_in(connection: AsyncConnection, batch: Sequence[Booking]) -> int:
    pairs = [(each.event_id, each.customer_id) for each in batch]
    return len([booking(row) for row in await connection.execute(_SELECT_IN, {"pairs": pairs})])


if __name__ == "__main__":
    main()
