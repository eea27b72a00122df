"""What became of it: the promises over the database, and the clients' history against what is stored."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy.engine import make_url

from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.harness.history import History
from boxoffice.entrypoints.harness.history.promises import check_promises
from boxoffice.entrypoints.harness.history.stored import Stored
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.faults.service import boxoffice

_QUIET_WITHIN: Final = 30.0  # seconds
_LIVE: Final = "('waitlisted', 'held', 'confirmed')"


async def stored(database_url: str, history: History) -> Stored:
    """What is stored of the events that a history is about."""
    storage = make_container(Settings(database_url=database_url)).storage()
    try:
        return await Stored.load(storage, history)
    finally:
        await storage.close()


async def judge(database_url: str, directory: Path, history: History, *, before: Stored | None = None) -> None:
    """`boxoffice verify` finds every promise kept, and so does whoever holds the history against what is stored.

    `before` is what was stored when the history began; None: its events were new.
    """
    verdict = await asyncio.to_thread(boxoffice, database_url, directory, "verify")
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    breaches = check_promises(history, await stored(database_url, history), before=before)
    assert not breaches, f"{len(breaches)} breaches, the first of them: {breaches[:5]}"


def check_holding(url: str, event_id: UUID, holding: Mapping[UUID, UUID | None]) -> None:
    """Whoever was told last that they have a booking has that one, and nobody else has any (MariaDB)."""
    rows = mariadb.execute(
        url,
        f"SELECT HEX(customer_id), HEX(id) FROM bookings WHERE event_id = X'{event_id.hex}' AND status IN {_LIVE}",
    )
    kept = {UUID(str(customer_id)): UUID(str(booking_id)) for customer_id, booking_id in rows}
    told = {customer_id: booking_id for customer_id, booking_id in holding.items() if booking_id}
    assert kept == told, f"of {len(told)} bookings these differ: {kept.items() ^ told.items()}"
    assert len(rows) == len(kept)


async def check_nothing_is_left(url: str, *, most_connections: int) -> None:
    """No transaction is open, and so no lock is held, and there are no connections but those of who lives."""
    database = make_url(url).database
    deadline = time.monotonic() + _QUIET_WITHIN
    while True:
        (transactions,), (connections,) = await asyncio.to_thread(_left, url, str(database))
        # The background work of a server that lives has a transaction every second, for a moment.
        if (transactions == 0 and connections <= most_connections) or time.monotonic() > deadline:
            break
        await asyncio.sleep(mariadb.BETWEEN_LOOKS)
    assert (transactions, connections <= most_connections) == (0, True), (transactions, connections)


def _left(url: str, database: str) -> list[tuple[int, ...]]:
    admin_url = make_url(url).set(database="").render_as_string(hide_password=False)
    rows = mariadb.execute(
        admin_url,
        "SELECT (SELECT COUNT(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p "
        f"ON p.id = t.trx_mysql_thread_id WHERE p.db = '{database}')"
        f" UNION ALL SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{database}'",
    )
    return [(int(str(count)),) for (count,) in rows]
