"""What COMMIT is worth: it is on the disk when it is answered, and without an answer nobody claims to know."""

import sqlite3

import pytest
from asyncmy.errors import OperationalError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from boxoffice.adapters.sql.mysql import MySQL
from boxoffice.adapters.sql.sqlite import SQLite
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.adapters.sql.transaction import Trouble
from tests.contract.box_office import new_user

FULL = 2


async def test_every_connection_to_sqlite_syncs_each_commit_to_the_disk(sqlite_storage: SqlStorage) -> None:
    async with sqlite_storage.begin() as unit_of_work:
        await unit_of_work.users.add(new_user())
        for setting, expected in (("synchronous", FULL), ("journal_mode", "wal"), ("foreign_keys", 1)):
            ((value,),) = await unit_of_work._transaction.rows(text(f"PRAGMA {setting}"))
            assert value == expected, setting


@pytest.mark.parametrize("code", [1047, 1053, 1180, 1290, 1317])
def test_a_server_that_answers_a_commit_with_going_away_leaves_the_outcome_unknown(code: int) -> None:
    error = DBAPIError("COMMIT", None, OperationalError(code, "not now"))
    assert MySQL().diagnose(error, committing=True) is Trouble.LOST
    assert MySQL().diagnose(error, committing=False) is Trouble.AWAY


def test_a_disk_that_fails_in_a_commit_leaves_the_outcome_unknown() -> None:
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    error = DBAPIError("COMMIT", None, failure)
    assert SQLite().diagnose(error, committing=True) is Trouble.LOST
    assert SQLite().diagnose(error, committing=False) is Trouble.AWAY
