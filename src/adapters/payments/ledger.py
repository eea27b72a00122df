"""The sandbox's ledger on a disk: SQLite in a file of its own, or a table of its own in a MySQL or MariaDB database.

It stands for another company's books, so it shares neither a transaction nor a connection with ours: what is written
here stays, whatever becomes of ours.
"""

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    MetaData,
    Row,
    String,
    Table,
    Uuid,
    bindparam,
    event,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateTable

from ...application.ports.payments import GatewaySilent
from ...domain.values.money import Money
from .sandbox import Entry, EntryKind, is_refund_of, is_taken_charge, may_refund

Result = TypeVar("Result")

ATTEMPTS: Final = 5
"""How often what failed is done again. Everything here may be: the reference makes it happen once."""

SECONDS: Final = 10.0
"""The most that one call may take, with all its attempts."""

BUSY_SECONDS: Final = 3
"""The most that one attempt waits for somebody else's lock."""

_log = logging.getLogger(__name__)

_ledger = Table(
    "sandbox_ledger",
    MetaData(),
    Column("reference", Uuid(native_uuid=False), primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("charge_reference", Uuid(native_uuid=False)),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("taken", Boolean, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    CheckConstraint("refunded BETWEEN 0 AND amount", name="sandbox_ledger_refunded"),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
)

_reference = _ledger.c.reference == bindparam("wanted")
_CREATE = CreateTable(_ledger, if_not_exists=True)
_PROBE = select(literal(1)).select_from(_ledger).limit(1)
_FIND = select(_ledger).where(_reference)
_LOCK = select(_ledger).where(_reference).with_for_update()
_ALL = select(_ledger).order_by(_ledger.c.reference)
_ADD = insert(_ledger)
_GIVE_BACK = (
    update(_ledger)
    .where(_reference, _ledger.c.refunded + bindparam("more") <= _ledger.c.amount)
    .values(refunded=_ledger.c.refunded + bindparam("more"))
)


class SqlLedger:
    """Books that all processes share. Each line is durable before it is told of."""

    def __init__(self, url: str | URL) -> None:
        """`sqlite+aiosqlite` names the ledger's own file, `mysql+asyncmy` a database in which it has a table."""
        parsed = make_url(url)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._engine = _sqlite(parsed) if self._is_sqlite else _mysql(parsed)
        self._is_ready = False

    async def prepare(self) -> None:
        """See `Ledger`. Only where the table is missing is the right to make one needed."""
        await self._do(self._probe)

    async def charge(self, reference: UUID, amount: Money, *, taken: bool) -> bool:
        """See `Ledger`."""

        async def write(connection: AsyncConnection) -> bool:
            entry = await _find(connection, reference)
            if entry is None:
                entry = Entry(reference=reference, kind=EntryKind.CHARGE, amount=amount, taken=taken)
                # Where somebody was faster the key refuses, and the next attempt finds theirs.
                await connection.execute(_ADD, _row(entry))
            return is_taken_charge(entry)

        return await self._do(write)

    async def charge_of(self, reference: UUID) -> bool | None:
        """See `Ledger`."""

        async def read(connection: AsyncConnection) -> bool | None:
            entry = await _find(connection, reference)
            return None if entry is None else is_taken_charge(entry)

        return await self._do(read)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        """See `Ledger`. The charge's own line is written as well, so that two refunds of it never pass each other."""

        async def write(connection: AsyncConnection) -> bool:
            charge = _entry((await connection.execute(_LOCK, {"wanted": charge_reference})).one_or_none())
            before = await _find(connection, reference)
            if before is not None:
                return is_refund_of(before, charge_reference)
            if charge is None or not may_refund(charge, amount):
                return False
            given = await connection.execute(_GIVE_BACK, {"wanted": charge_reference, "more": amount.amount})
            if given.rowcount != 1:
                return False
            entry = Entry(reference=reference, kind=EntryKind.REFUND, amount=amount, charge_reference=charge_reference)
            await connection.execute(_ADD, _row(entry))
            return True

        return await self._do(write)

    async def entries(self) -> list[Entry]:
        """See `Ledger`."""

        async def read(connection: AsyncConnection) -> list[Entry]:
            found = (_entry(row) for row in await connection.execute(_ALL))
            return [entry for entry in found if entry is not None]

        return await self._do(read)

    async def close(self) -> None:
        """See `Ledger`."""
        await self._engine.dispose()

    async def _do(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Do something in a transaction of its own, again where it failed. Raises: GatewaySilent."""
        failure: Exception | None = None
        try:
            async with asyncio.timeout(SECONDS):
                for attempt in range(ATTEMPTS):
                    try:
                        await self._make_ready()
                        async with self._transaction() as connection:
                            return await work(connection)
                    # The driver raises RuntimeError where a server hangs up in the moment that it answers.
                    except (SQLAlchemyError, OSError, EOFError, RuntimeError) as error:
                        failure = error
                        await asyncio.sleep(0.01 * 2**attempt * random.random())  # noqa: S311 - spreads, hides nothing
        except TimeoutError as error:
            failure = failure or error
        _log.warning("The sandbox's ledger does not answer: %s", getattr(failure, "orig", failure))
        raise GatewaySilent from failure

    async def _make_ready(self) -> None:
        if self._is_ready:
            return
        try:
            async with self._transaction() as connection:
                await self._probe(connection)
        except SQLAlchemyError:
            async with self._transaction() as connection:
                await connection.execute(_CREATE)
        self._is_ready = True

    @staticmethod
    async def _probe(connection: AsyncConnection) -> None:
        await connection.execute(_PROBE)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            if self._is_sqlite:
                # At once: a transaction that reads first and then wants to write could be refused without waiting.
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            await connection.commit()


async def _find(connection: AsyncConnection, reference: UUID) -> Entry | None:
    return _entry((await connection.execute(_FIND, {"wanted": reference})).one_or_none())


def _entry(row: Row[*tuple[Any, ...]] | None) -> Entry | None:
    if row is None:
        return None
    return Entry(
        reference=row.reference,
        kind=EntryKind(row.kind),
        amount=Money(row.amount, row.currency),
        taken=row.taken,
        refunded=row.refunded,
        charge_reference=row.charge_reference,
    )


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "reference": entry.reference,
        "kind": entry.kind.value,
        "charge_reference": entry.charge_reference,
        "amount": entry.amount.amount,
        "currency": entry.amount.currency,
        "taken": entry.taken,
        "refunded": entry.refunded,
    }


def _sqlite(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS},
        hide_parameters=True,
        pool_size=2,
        max_overflow=0,
        pool_timeout=SECONDS,
    )
    event.listen(engine.sync_engine, "connect", _make_durable)
    return engine


def _make_durable(connection: Any, _: object) -> None:
    # Transactions begin where we say so, not where the driver guesses.
    connection.isolation_level = None
    cursor = connection.cursor()
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            # Changing the mode of a new file does not wait for another process that does the same.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _mysql(url: URL) -> AsyncEngine:
    return create_async_engine(
        url,
        connect_args={
            "connect_timeout": 2,
            "charset": "utf8mb4",
            "init_command": (
                f"SET SESSION innodb_lock_wait_timeout = {BUSY_SECONDS}, lock_wait_timeout = {BUSY_SECONDS}"
            ),
        },
        isolation_level="READ COMMITTED",
        hide_parameters=True,
        pool_size=2,
        max_overflow=0,
        pool_timeout=SECONDS,
        pool_pre_ping=True,
    )
