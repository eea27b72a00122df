"""What a storage sends, and what each statement of it costs when it is sent again."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from boxoffice.adapters.sql.engine.pool import Send
from boxoffice.adapters.sql.schema.tables import metadata
from boxoffice.adapters.sql.schema.types import Result, Statement
from boxoffice.adapters.sql.storage import SqlStorage

_STEP: Final = 10
"""Steps of SQLite's virtual machine that are counted at once."""


class Sent(Struct, frozen=True):
    """A statement as the driver got it, and by which connections."""

    pool: str
    text: str
    parameters: tuple[Any, ...] = ()

    @property
    def is_of_rows(self) -> bool:
        """Whether it reads or writes tables."""
        return self.text.lstrip().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE"))


@contextmanager
def recording(storage: SqlStorage) -> Iterator[list[Sent]]:
    """What is sent meanwhile."""
    sent: list[Sent] = []
    pools = {
        id(storage._writing.engine.sync_engine): "writing",
        id(storage._reading.engine.sync_engine): "reading",
        id(storage._listing.engine.sync_engine): "listing",
    }

    def executed(connection: Any, cursor: Any, text: str, parameters: Any, context: Any, many: bool) -> None:
        sent.append(Sent(pools[id(connection.engine)], text, tuple(parameters)))

    def around(send: Send) -> Send:
        async def noting(connection: AsyncConnection, statements: Sequence[Statement]) -> list[Result]:
            pool = pools[id(connection.engine.sync_engine)]
            sent.extend(Sent(pool, each.text) for each in statements)
            return await send(connection, statements)

        return noting

    everything = (storage._writing, storage._reading, storage._listing)
    before = [each.send for each in everything]
    storage.send_through(around)
    for connections in everything:
        event.listen(connections.engine.sync_engine, "before_cursor_execute", executed)
    yield sent
    for connections, send in zip(everything, before, strict=True):
        event.remove(connections.engine.sync_engine, "before_cursor_execute", executed)
        connections.send = send


async def walked(storage: SqlStorage, url: str, sent: Sent) -> list[str]:
    """What the database intends to look through from one end to the other: tables, with how it says so."""
    if storage._writing.dialect.name == "sqlite":
        connection = sqlite3.connect(str(make_url(url).database))
        plan = [str(step[3]) for step in connection.execute(f"EXPLAIN QUERY PLAN {sent.text}", sent.parameters)]
        connection.close()
        return [step for step in plan if step.startswith("SCAN") and step.split()[1] in metadata.tables]
    async with storage._reading.engine.connect() as connected:
        found = await connected.exec_driver_sql(f"EXPLAIN {sent.text}", sent.parameters)
        return [str(dict(step)) for step in found.mappings() if step["type"] in ("ALL", "index") and _is_real(step)]


def _is_real(step: Any) -> bool:
    return step["table"] is not None and not step["table"].startswith("<") and step["rows"] is not None


async def cost(storage: SqlStorage, url: str, sent: Sent) -> int:
    """How many rows a SELECT has MariaDB read, or steps of ten rows or so SQLite make."""
    if storage._writing.dialect.name == "sqlite":
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
        # A row takes some ten steps.
        return steps
    reads = "SHOW SESSION STATUS LIKE 'Handler_read%%'"
    async with storage._reading.engine.connect() as connected:
        before = sum([int(count) for count in (await connected.exec_driver_sql(reads)).scalars(1)])
        (await connected.exec_driver_sql(sent.text, sent.parameters)).all()
        return sum([int(count) for count in (await connected.exec_driver_sql(reads)).scalars(1)]) - before
