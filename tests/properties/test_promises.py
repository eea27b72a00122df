"""Every promise as an invariant of one state machine, over every adapter."""

import shutil
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from boxoffice.adapters.memory import MemoryStorage
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports import Storage
from boxoffice.entrypoints.harness import BoxOfficeMachine
from tests.databases import emptied

QUICK = settings(max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
FEWER = settings(QUICK, max_examples=20, stateful_step_count=25)


def fresh_copy(template: Path, folder: Path) -> str:
    """The URL of an empty database in a folder that holds nothing else."""
    for leftover in folder.iterdir():
        leftover.unlink()
    shutil.copy(template, folder / "boxoffice.db")
    return f"sqlite+aiosqlite:///{folder / 'boxoffice.db'}"


def test_the_promises_hold_in_memory() -> None:
    class InMemory(BoxOfficeMachine):
        @staticmethod
        async def make_storage() -> Storage:
            return MemoryStorage()

    run_state_machine_as_test(InMemory, settings=QUICK)


def test_the_promises_hold_on_sqlite(sqlite_template: Path, tmp_path: Path) -> None:
    class OnSqlite(BoxOfficeMachine):
        @staticmethod
        async def make_storage() -> Storage:
            return SqlStorage.from_url(fresh_copy(sqlite_template, tmp_path))

    run_state_machine_as_test(OnSqlite, settings=FEWER)


def test_the_promises_hold_on_mariadb(migrated_mysql_url: str) -> None:
    class OnMariaDB(BoxOfficeMachine):
        @staticmethod
        async def make_storage() -> Storage:
            return SqlStorage.from_url(emptied(migrated_mysql_url))

    run_state_machine_as_test(OnMariaDB, settings=FEWER)
