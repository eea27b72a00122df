"""Watch what a storage sends, and measure what each statement costs when it is sent again."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from boxoffice.adapters.sql.engine.pool import Send
from boxoffice.adapters.sql.schema.tables import metadata
from boxoffice.adapters.sql.schema.types import Result, Statement
from boxoffice.adapters.sql.storage import SqlStorage

POOLS: Final = ("writing", "reading", "listing")
"""The pools of a storage, in the order of its engines."""

_STEP: Final = 10
"""Steps of SQLite's virtual machine that are counted at once. A row takes some ten steps."""

Watch = Callable[[str, AsyncConnection, Sequence[Statement], Send], Any]
"""Sends the statements of a pool; an awaitable of the results."""


class Sent(Struct, frozen=True):
    """A statement as the driver got it, and the pool whose connection sent it."""

    pool: str
    text: str
    parameters: tuple[Any, ...] = ()

    @property
    def is_of_rows(self) -> bool:
        """Whether it reads or writes tables."""
        return self.text.lstrip().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE"))


def send_through(storage: SqlStorage, watch: Watch) -> None:
    """Have a storage send what it writes out itself through a function, from now on."""
    names = {id(engine): name for engine, name in zip(storage.engines, POOLS, strict=True)}

    def around(send: Send) -> Send:
        async def watched(connection: AsyncConnection, statements: Sequence[Statement]) -> list[Result]:
            results: list[Result] = await watch(names[id(connection.engine.sync_engine)], connection, statements, send)
            return results

        return watched

    storage.wrap_send(around)


@contextmanager
def recording(storage: SqlStorage, *, together: bool = False) -> Iterator[list[Sent]]:
    """Record what is sent meanwhile; `together`: one entry for a round trip, COMMIT included and BEGIN left out."""
    sent: list[Sent] = []
    is_on, is_within = True, False
    listeners: list[tuple[Any, str, Any]] = []

    async def watch(
        pool: str, connection: AsyncConnection, statements: Sequence[Statement], send: Send
    ) -> list[Result]:
        nonlocal is_within
        texts = [each.text for each in statements]
        if is_on and not (together and texts[0].startswith("BEGIN")):
            sent.extend(Sent(pool, text) for text in (["; ".join(texts)] if together else texts))
        is_within = True
        try:
            return await send(connection, statements)
        finally:
            is_within = False

    send_through(storage, watch)
    for engine, pool in zip(storage.engines, POOLS, strict=True):

        def executed(*args: Any, pool: str = pool) -> None:
            if not (together and is_within):
                sent.append(Sent(pool, args[2], tuple(args[3])))

        def committed(_: object, pool: str = pool) -> None:
            sent.append(Sent(pool, "COMMIT"))

        listeners.append((engine, "before_cursor_execute", executed))
        listeners += [(engine, "commit", committed)] if together else []
    with _listening(listeners):
        yield sent
    is_on = False


@contextmanager
def _listening(listeners: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """Have these functions called at these events of these engines meanwhile."""
    for listener in listeners:
        event.listen(*listener)
    try:
        yield
    finally:
        for listener in listeners:
            event.remove(*listener)


class Measured(Struct, frozen=True):
    """A statement, the rows that it returned or changed, and the rows that the server read for it."""

    text: str
    rows: int
    reads: int


@contextmanager
def measuring(storage: SqlStorage) -> Iterator[list[Measured]]:
    """Count meanwhile what MySQL or MariaDB reads for each statement, each sent in a round trip of its own."""
    measured: list[Measured] = []
    is_on, is_within = True, False
    before = 0

    async def watch(_: str, connection: AsyncConnection, statements: Sequence[Statement], send: Send) -> list[Result]:
        nonlocal is_within
        if not is_on:
            return await send(connection, statements)
        results: list[Result] = []
        is_within = True
        try:
            for each in statements:
                first = await connection.run_sync(_reads)
                results += await send(connection, [each])
                reads = await connection.run_sync(_reads) - first
                measured.append(Measured(each.text, len(results[-1].rows) or results[-1].changed, reads))
        finally:
            is_within = False
        return results

    def executing(connection: Any, *_: Any) -> None:
        nonlocal before
        before = _reads(connection)

    def executed(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not is_within:
            measured.append(Measured(statement, cursor.rowcount, _reads(connection) - before))

    send_through(storage, watch)
    listeners = [
        (engine, name, listener)
        for engine in storage.engines
        for name, listener in (("before_cursor_execute", executing), ("after_cursor_execute", executed))
    ]
    with _listening(listeners):
        yield measured
    is_on = False


def _reads(connection: Connection) -> int:
    """Return how many rows the server has read for a connection."""
    cursor = connection.connection.cursor()
    cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
    counts = [int(count) for _, count in cursor.fetchall()]
    cursor.close()
    return sum(counts)


async def by_hand(url: str, *statements: str, parameters: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
    """Execute and commit statements beside the storage; return the rows of the last one."""
    engine = create_async_engine(url)
    rows: list[dict[str, Any]] = []
    try:
        async with engine.begin() as connection:
            if not is_sqlite(url):
                # MySQL's EXPLAIN notes the whole statement, and the driver logs notes.
                await connection.exec_driver_sql("SET sql_notes = 0")
            for statement in statements:
                result = await connection.exec_driver_sql(statement, parameters)
                rows = [dict(row) for row in result.mappings()] if result.returns_rows else []
    finally:
        await engine.dispose()
    return rows


async def walked(url: str, sent: Sent) -> list[str]:
    """The tables that the database intends to look through from one end to the other, with how it says so."""
    if is_sqlite(url):
        connection = sqlite3.connect(str(make_url(url).database))
        plan = [str(step[3]) for step in connection.execute(f"EXPLAIN QUERY PLAN {sent.text}", sent.parameters)]
        connection.close()
        return [step for step in plan if step.startswith("SCAN") and step.split()[1] in metadata.tables]
    plans = await by_hand(url, f"EXPLAIN FORMAT=TRADITIONAL {sent.text}", parameters=sent.parameters)
    return [str(step) for step in plans if step["type"] in ("ALL", "index") and _is_real(step)]


def _is_real(step: dict[str, Any]) -> bool:
    return step["table"] is not None and not step["table"].startswith("<") and step["rows"] is not None


def is_sqlite(url: str) -> bool:
    """Whether the URL names a file of SQLite."""
    return make_url(url).get_backend_name() == "sqlite"


async def cost(url: str, sent: Sent) -> int:
    """Count the rows that a SELECT has a server read, or has SQLite take ten steps for."""
    if is_sqlite(url):
        connection = sqlite3.connect(str(make_url(url).database))
        connection.execute("SELECT 1 FROM sqlite_schema")
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        connection.set_progress_handler(count, _STEP)
        connection.execute(sent.text, sent.parameters).fetchall()
        connection.close()
        return steps
    engine = create_async_engine(url)
    async with engine.connect() as connected:
        before = await connected.run_sync(_reads)
        (await connected.exec_driver_sql(sent.text, sent.parameters)).all()
        after = await connected.run_sync(_reads)
    await engine.dispose()
    return after - before
