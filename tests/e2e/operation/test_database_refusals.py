"""Every command explains in one line, without secrets, why a database cannot be used."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.application.ports.errors import Unavailable
from boxoffice.entrypoints.cli import main
from tests import mariadb
from tests.constants import SECRET
from tests.faults.load_clients import applications, new_event

MessageOf = Callable[[str], str]
COMMANDS: Final = (
    ("serve", "--port", "0"),
    ("migrate",),
    ("verify",),
    ("sweep",),
    ("grant", "a@b.c", "admin"),
    ("user", "list"),
)


@pytest.fixture(params=COMMANDS, ids=lambda command: command[0])
def message_of(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> MessageOf:
    """Return a function that runs a command on a database, and returns its only line of output."""
    for name in os.environ:
        if name.startswith("BOXOFFICE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BOXOFFICE_JWT_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)
    command: Sequence[str] = request.param

    def run(url: str) -> str:
        monkeypatch.setenv("BOXOFFICE_DATABASE_URL", url)
        assert main(command) == 1
        output = capsys.readouterr()
        assert output.out == ""
        (line,) = output.err.splitlines()
        assert line.startswith("boxoffice: ")
        assert "hush" not in line
        assert "(1" not in line, "the driver's raw error tuple"
        return line

    return run


@pytest.fixture
def stranger(mysql_admin_url: str) -> Iterator[str]:
    """Create a user without rights, whose password is `hush`, and return its name."""
    name = f"u{uuid4().hex[:12]}"
    mariadb.execute(mysql_admin_url, f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY 'hush'")
    yield name
    mariadb.execute(mysql_admin_url, f"DROP USER '{name}'@'127.0.0.1'")


def changed(url: str, **parts: str) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)  # type: ignore[arg-type]


def test_a_refusal_of_the_server_is_explained(mysql_url: str, stranger: str, message_of: MessageOf) -> None:
    denied = "Access denied: the server refused user or password."
    assert denied in message_of(changed(mysql_url, password="hush"))
    no_rights = "Access denied: the user has no rights on this database"
    assert no_rights in message_of(changed(mysql_url, username=stranger, password="hush"))
    assert "There is no database of this name on the server" in message_of(changed(mysql_url, database="missing"))


def test_a_missing_server_is_explained(message_of: MessageOf) -> None:
    assert "nothing listens on its host and port" in message_of("mysql+asyncmy://owner:hush@127.0.0.1:1/b")
    assert "host is unknown" in message_of("mysql+asyncmy://owner:hush@nowhere.invalid/b")


@pytest.fixture
def newer_sqlite_url(migrated_sqlite_url: str) -> str:
    """A file with the schema of a newer version."""
    with closing(sqlite3.connect(str(make_url(migrated_sqlite_url).database))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'newer'")
    return migrated_sqlite_url


@pytest.fixture
def newer_mysql_url(migrated_mysql_url: str) -> Iterator[str]:
    """The database that all tests share, which has the schema of a newer version meanwhile."""
    ((version,),) = mariadb.execute(migrated_mysql_url, "SELECT version_num FROM alembic_version")
    mariadb.execute(migrated_mysql_url, "UPDATE alembic_version SET version_num = 'newer'")
    yield migrated_mysql_url
    mariadb.execute(migrated_mysql_url, f"UPDATE alembic_version SET version_num = '{version}'")


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def test_a_newer_schema_is_left_alone(kind: str, request: pytest.FixtureRequest, message_of: MessageOf) -> None:
    message = message_of(request.getfixturevalue(f"newer_{kind}_url"))
    assert "is at version newer" in message
    assert "Run that one, or restore a backup" in message


def test_a_file_that_is_no_database_is_explained(tmp_path: Path, message_of: MessageOf) -> None:
    (tmp_path / "b.db").touch(mode=0o600)
    (tmp_path / "b.db").write_bytes(b"no database, but text" * 400)
    assert "The file is not an SQLite database" in message_of("sqlite+aiosqlite:///b.db")


@pytest.mark.parametrize("lacking", ["INSERT", "UPDATE", "DELETE", "INSERT UPDATE DELETE"])
async def test_an_account_that_lacks_rights_is_not_ready(
    lacking: str, migrated_mysql_url: str, mysql_admin_url: str, stranger: str
) -> None:
    rights = ", ".join({"SELECT", "INSERT", "UPDATE", "DELETE"} - set(lacking.split()))
    name = make_url(migrated_mysql_url).database
    mariadb.execute(mysql_admin_url, f"GRANT {rights} ON `{name}`.* TO '{stranger}'@'127.0.0.1'")
    url = changed(migrated_mysql_url, username=stranger, password="hush")
    storage = SqlStorage.from_url(url)
    with pytest.raises(Unavailable, match=r"Command denied: the user lacks rights on this database\. GRANT SELECT"):
        await storage.check_ready()
    await storage.close()
    if "INSERT" in lacking:
        async with applications(url) as (container,):
            with pytest.raises(Unavailable, match="Command denied"):
                await new_event(container, 3)
