"""Checks after a trial: the promises over the database, and the clients' history against what is stored."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy.engine import make_url

from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.harness.history import History, Stored, check_promises
from boxoffice.entrypoints.settings import Settings
from tests import mariadb
from tests.faults.service import boxoffice

_RELEASED_WITHIN: Final = 30.0  # seconds


async def stored(database_url: str, history: History) -> Stored:
    """Return what is stored about the events of a history."""
    storage = make_container(Settings(database_url=database_url)).storage()
    try:
        return await Stored.load(storage, history)
    finally:
        await storage.close()


async def judge(database_url: str, directory: Path, history: History, *, before: Stored | None = None) -> None:
    """Check that `boxoffice verify` finds no breach, and that the history agrees with what is stored.

    `before` is what was stored when the history began; None: its events were new.
    """
    verdict = await asyncio.to_thread(boxoffice, database_url, directory, "verify")
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    breaches = check_promises(history, await stored(database_url, history), before=before)
    assert not breaches, f"{len(breaches)} breaches, the first of them: {breaches[:5]}"


def check_holding(url: str, event_id: UUID, holding: Mapping[UUID, UUID | None]) -> None:
    """Check that the live bookings of an event are those that its customers know of (MariaDB)."""
    rows = mariadb.execute(
        url,
        f"SELECT HEX(customer_id), HEX(id) FROM bookings WHERE event_id = X'{event_id.hex}'"
        " AND status IN ('waitlisted', 'held', 'confirmed')",
    )
    live = sorted((UUID(str(customer_id)), UUID(str(booking_id))) for customer_id, booking_id in rows)
    known = sorted((customer_id, booking_id) for customer_id, booking_id in holding.items() if booking_id)
    assert live == known, set(live) ^ set(known)


async def check_nothing_is_left(url: str, *, most_connections: int) -> None:
    """Wait until no transaction is open on a database, and at most so many connections (MariaDB)."""
    name = make_url(url).database
    admin_url = make_url(url).set(database="").render_as_string(hide_password=False)
    statement = (
        "SELECT (SELECT COUNT(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p "
        f"ON p.id = t.trx_mysql_thread_id WHERE p.db = '{name}'),"
        f" (SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{name}')"
    )
    deadline = time.monotonic() + _RELEASED_WITHIN
    while True:
        ((transactions, connections),) = await asyncio.to_thread(mariadb.execute, admin_url, statement)
        # A running server opens a short transaction every second.
        if transactions == 0 and int(str(connections)) <= most_connections:
            return
        assert time.monotonic() < deadline, (transactions, connections)
        await asyncio.sleep(mariadb.BETWEEN_LOOKS)
