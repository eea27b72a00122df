"""What is asked under an event's lock finds its rows by an index, however many there are."""

import sqlite3
from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql import answers, inventories
from boxoffice.adapters.sql.find import Find
from tests.contract.box_office import new_id

IDS = [new_id() for _ in range(3)]
SEVERAL = [(one, other) for one in IDS[:2] for other in IDS]
KEYS = [(one, f"a key of {one}") for one in IDS]


@pytest.mark.usefixtures("sqlite_storage")
@pytest.mark.parametrize(
    ("find", "lists"),
    [
        (inventories._LOCK, {"ids": IDS}),
        (inventories._TICKET_TYPES, {"ids": IDS}),
        (inventories._BY_ID, {"ids": IDS}),
        (inventories._LIVE_OF_CUSTOMERS, {"customers": SEVERAL[:3]}),
        (inventories._LIVE_OF_CUSTOMERS, {"customers": SEVERAL}),
        (inventories._PAYMENTS, {"ids": IDS}),
        (answers._LOAD, {"keys": KEYS}),
    ],
)
def test_no_table_is_looked_through(sqlite_url: str, find: Find, lists: dict[str, Iterable[Any]]) -> None:
    """SQLite looked at every booking for a list of pairs: behind a million of them each batch took seconds."""
    statement = find.statement(sqlite.dialect(), **lists).text
    connection = sqlite3.connect(str(make_url(sqlite_url).database))
    plan = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    connection.close()
    assert any(step.startswith("SEARCH") for step in plan), plan
    assert not any(step.startswith("SCAN") for step in plan), plan
