"""An INSERT of many rows: shared values are written once, and every row is read back unchanged."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, String, Table, select
from sqlalchemy.dialects.mysql import asyncmy

from boxoffice.adapters.sql.bulk.insert import MIN_SHARED_ROWS, BulkInsert
from boxoffice.adapters.sql.engine.pool import ConnectionPool
from boxoffice.adapters.sql.schema.types import Exact, Id, LongText, Moment, Word
from boxoffice.domain.booking import BookingStatus
from tests.adapters.sql.extra_tables import extra_tables
from tests.contract.storage_driver import NOW, new_id

# In MySQL's words two of the columns are words of its own.
ROWS = Table(
    "rows_to_be_written",
    MetaData(),
    Column("id", Id(), primary_key=True),
    Column("other", Id()),
    Column("key", Exact()),
    Column("rank", Integer(), nullable=False),
    Column("number", BigInteger()),
    Column("flag", Boolean(), nullable=False),
    Column("word", Word(BookingStatus), nullable=False),
    Column("name", String(200)),
    Column("data", LongText, nullable=False),
    Column("at", Moment()),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)
INSERT = BulkInsert(ROWS)
NAMES = [column.name for column in ROWS.c]


@pytest.fixture
async def pool(pool: ConnectionPool) -> AsyncIterator[ConnectionPool]:
    """A pool for each kind of database, with the table in it."""
    async with extra_tables(pool, ROWS.metadata):
        yield pool


def row(turn: int, /, **own: Any) -> dict[str, Any]:
    """A row that has nothing for itself but its id and what is told, by turns."""
    alike: dict[str, Any] = dict.fromkeys(NAMES) | {
        "rank": 1,
        "number": 1,
        "flag": True,
        "word": BookingStatus.HELD,
        "data": "",
    }
    return alike | {"id": new_id()} | {name: values[turn % len(values)] for name, values in own.items()}


async def written(pool: ConnectionPool, rows: list[dict[str, Any]]) -> list[str]:
    """The statements that wrote these rows, all of which came back as they were."""
    engine, send = pool.engine, pool.send
    statements = INSERT.statements(rows, engine.dialect)
    async with engine.begin() as connection:
        await send(connection, statements)
    async with engine.connect() as connection:
        found = [dict(each) for each in (await connection.execute(select(ROWS))).mappings()]
    assert sorted(found, key=lambda each: each["id"].int) == sorted(rows, key=lambda each: each["id"].int)
    return [each.text for each in statements]


TEXTS = ["", "plain", "it's", "a\\b", "Zoë 🎟", "\0", "x" * 70_000, "%s %d {}"]
OWN: dict[str, dict[str, list[Any]]] = {
    "nothing": {},
    "two equal numbers in the first row": {"rank": [1, 2], "number": [1, 3]},
    "null first": {"other": [None, new_id()], "key": [None, "k"], "number": [None, 2**62], "at": [None, NOW]},
    "null later": {"other": [new_id(), None], "key": ["k ", None], "number": [-(2**62), None], "at": [NOW, None]},
    "texts": {"name": [each[:200] for each in TEXTS], "data": TEXTS, "key": [each[:200] for each in TEXTS]},
    "words": {"word": list(BookingStatus), "flag": [True, False]},
    "moments": {"at": [NOW + timedelta(microseconds=each) for each in range(7)]},
    "all": {
        "other": [new_id(), new_id()],
        "key": ["a", "b"],
        "rank": [1, 2],
        "number": [3, 4],
        "flag": [True, False],
        "word": list(BookingStatus),
        "name": ["a", "b"],
        "data": ["a", "b"],
        "at": [None, NOW],
    },
}


@pytest.mark.parametrize("own", OWN)
async def test_many_rows_come_back_whatever_they_have_in_common(pool: ConnectionPool, own: str) -> None:
    await written(pool, [row(number, **OWN[own]) for number in range(MIN_SHARED_ROWS)])


async def test_what_all_have_in_common_is_said_once(pool: ConnectionPool) -> None:
    shared = new_id()
    (text,) = await written(pool, [row(number, other=[shared], rank=[1, 2]) for number in range(MIN_SHARED_ROWS)])
    assert text.count(shared.hex) == 1
    assert text.count(BookingStatus.HELD) == 1


async def test_few_rows_say_all_they_have(pool: ConnectionPool) -> None:
    shared = new_id()
    (text,) = await written(pool, [row(number, other=[shared]) for number in range(MIN_SHARED_ROWS - 1)])
    assert text.count(shared.hex) == MIN_SHARED_ROWS - 1


async def test_what_one_of_many_does_not_have_is_not_in_common(pool: ConnectionPool) -> None:
    rows = [row(number) for number in range(MIN_SHARED_ROWS)]
    rows[MIN_SHARED_ROWS // 2] |= {"name": "another", "other": new_id()}
    await written(pool, rows)


async def test_more_than_fits_into_a_statement_goes_into_several(pool: ConnectionPool) -> None:
    shared = new_id()
    rows = [row(number, other=[shared], name=["a", "b"], data=["x" * 30_000 + str(number)]) for number in range(80)]
    texts = await written(pool, rows)
    assert [text.count(shared.hex) for text in texts] == [1, 1, 1]


def test_mysql_selects_from_rows_in_its_own_words() -> None:
    dialect = asyncmy.dialect()
    shared = new_id()
    (text,) = (
        each.text for each in INSERT.statements([row(n, other=[shared]) for n in range(MIN_SHARED_ROWS)], dialect)
    )
    assert text.count("ROW(") == MIN_SHARED_ROWS
    assert text.count(shared.hex) == 1
