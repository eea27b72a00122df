"""The sandbox's durable ledger: an SQLite file of its own, or a table of its own in a MySQL or MariaDB database.

It stands for a provider's books, so it shares neither transactions nor connections with the service's storage: a
rollback there undoes nothing here.
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
from ...domain.decisions.payments.pay import Answer
from ...domain.values.money import Money
from .sandbox import Entry, EntryKind, refund_answer, refund_entry

Result = TypeVar("Result")

ATTEMPTS: Final = 5
"""Maximum attempts of an operation. Every operation is safe to retry, because its reference makes it idempotent."""

SECONDS: Final = 10.0
"""Timeout of one call, with all its attempts."""

BUSY_SECONDS: Final = 3
"""Timeout of one attempt for a lock."""

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
_CHANGE = update(_ledger).where(_reference).values(kind=bindparam("new_kind"), taken=bindparam("is_taken"))
_REFUND = (
    update(_ledger)
    .where(_reference, _ledger.c.refunded + bindparam("more") <= _ledger.c.amount)
    .values(refunded=_ledger.c.refunded + bindparam("more"))
)


class SqlLedger:
    """A ledger that all processes share. An entry is durable when its call returns."""

    def __init__(self, url: str | URL) -> None:
        """Take the URL of the ledger's own file (`sqlite+aiosqlite`) or of the table's database (`mysql+asyncmy`).

        Raises: ValueError for one that is not supported.
        """
        parsed = make_url(url)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._engine = _engine(parsed)
        self._is_ready = False

    async def prepare(self) -> None:
        """See `Ledger`. Needs the right to create tables only if the table is missing."""
        await self._run(self._probe)

    async def charge(self, entry: Entry) -> Entry:
        """See `Ledger`."""

        async def write(connection: AsyncConnection) -> Entry:
            before = await _find(connection, entry.reference)
            if before is None:
                # If another process inserts the reference first, this fails and the next attempt finds that entry.
                await connection.execute(_ADD, _row(entry))
            return before or entry

        return await self._run(write)

    async def change(self, reference: UUID, change: Callable[[Entry], Entry]) -> Entry | None:
        """See `Ledger`."""

        async def write(connection: AsyncConnection) -> Entry | None:
            entry = await _find(connection, reference)
            if entry is None or change(entry) == entry:
                return entry
            entry = _entry((await connection.execute(_LOCK, {"wanted": reference})).one_or_none())
            if entry is not None:
                entry = change(entry)
                await connection.execute(
                    _CHANGE, {"wanted": reference, "new_kind": entry.kind, "is_taken": entry.taken}
                )
            return entry

        return await self._run(write)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> Answer:
        """See `Ledger`. The charge's entry is updated as well, which serializes its refunds."""

        async def write(connection: AsyncConnection) -> Answer:
            charge = _entry((await connection.execute(_LOCK, {"wanted": charge_reference})).one_or_none())
            answer = refund_answer(await _find(connection, reference), charge, charge_reference, amount)
            if answer is not None:
                return answer
            updated = await connection.execute(_REFUND, {"wanted": charge_reference, "more": amount.amount})
            if updated.rowcount != 1:
                return Answer.DECLINED
            await connection.execute(_ADD, _row(refund_entry(reference, charge_reference, amount)))
            return Answer.DONE

        return await self._run(write)

    async def entries(self) -> list[Entry]:
        """See `Ledger`."""

        async def read(connection: AsyncConnection) -> list[Entry]:
            found = (_entry(row) for row in await connection.execute(_ALL))
            return [entry for entry in found if entry is not None]

        return await self._run(read)

    async def close(self) -> None:
        """See `Ledger`."""
        await self._engine.dispose()

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Run work in a transaction, retried after failures. Raises: GatewaySilent."""
        failure: Exception | None = None
        try:
            async with asyncio.timeout(SECONDS):
                for attempt in range(ATTEMPTS):
                    try:
                        await self._make_ready()
                        async with self._transaction() as connection:
                            return await work(connection)
                    # The driver raises RuntimeError when a server closes the connection while it answers.
                    except (SQLAlchemyError, OSError, EOFError, RuntimeError) as error:
                        failure = error
                        await asyncio.sleep(0.01 * 2**attempt * random.random())  # noqa: S311 - jitter
        except TimeoutError as error:
            failure = failure or error
        _log.warning("The sandbox ledger does not answer: %s", getattr(failure, "orig", failure))
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
                # A deferred transaction that reads before it writes can fail with SQLITE_BUSY without waiting.
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


def _engine(url: URL) -> AsyncEngine:
    match url.get_backend_name():
        case "sqlite":
            return _sqlite(url)
        case "mysql" | "mariadb":
            return _mysql(url)
        case name:
            raise ValueError(f"{name} is not supported; use mysql+asyncmy or sqlite+aiosqlite")


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
    # Disables the driver's implicit BEGIN.
    connection.isolation_level = None
    cursor = connection.cursor()
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            # This statement ignores the busy timeout while another process changes the mode of the same new file.
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
            "password": (url.password or "").encode(),  # The driver would encode text as Latin-1.
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
