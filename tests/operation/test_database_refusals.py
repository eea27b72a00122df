"""Every command explains in one line, without secrets, why a database cannot be used."""

import os
from collections.abc import Iterator, Sequence
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
from tests.contract.storage_driver import StorageDriver
from tests.databases import migrated

COMMANDS: Final = (
    ("serve", "--port", "0"),
    ("migrate",),
    ("verify",),
    ("sweep",),
    ("grant", "a@b.c", "admin"),
    ("user", "list"),
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("BOXOFFICE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("BOXOFFICE_JWT_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def message_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "MessageOf":
    return MessageOf(monkeypatch, capsys)


class MessageOf:
    """Run a command that fails, and return its message."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, url: str, command: Sequence[str]) -> str:
        """Return the only line of the command's output."""
        self._monkeypatch.setenv("BOXOFFICE_DATABASE_URL", url)
        assert main(command) == 1
        output = self._capsys.readouterr()
        assert output.out == ""
        (line,) = output.err.splitlines()
        assert line.startswith("boxoffice: ")
        assert "hush" not in line
        assert "(1" not in line, "the driver's raw error tuple"
        return line


@pytest.fixture
def stranger(mysql_url: str, mysql_admin_url: str) -> Iterator[str]:
    """Create a user without rights, whose password is `hush`, and return its name."""
    name = f"u{uuid4().hex[:12]}"
    mariadb.execute(mysql_admin_url, f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY 'hush'")
    yield name
    mariadb.execute(mysql_admin_url, f"DROP USER '{name}'@'127.0.0.1'")


def as_user(url: str, name: str) -> str:
    return make_url(url).set(username=name, password="hush").render_as_string(hide_password=False)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_what_the_server_refuses_is_said(
    command: Sequence[str], mysql_url: str, stranger: str, message_of: MessageOf
) -> None:
    wrong = make_url(mysql_url).set(password="hush").render_as_string(hide_password=False)
    assert "Access denied: the server refused user or password." in message_of(wrong, command)
    assert "Access denied: the user has no rights on this database" in message_of(as_user(mysql_url, stranger), command)
    missing = make_url(mysql_url).set(database="missing").render_as_string(hide_password=False)
    assert "There is no database of this name on the server" in message_of(missing, command)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_server_that_is_not_there_is_said(command: Sequence[str], message_of: MessageOf) -> None:
    assert "nothing listens on its host and port" in message_of("mysql+asyncmy://owner:hush@127.0.0.1:1/b", command)
    assert "host is unknown" in message_of("mysql+asyncmy://owner:hush@nowhere.invalid/b", command)


@pytest.mark.mysql
@pytest.mark.parametrize("kind", ["sqlite", "mysql"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_newer_schema_is_left_alone_and_said(
    kind: str, command: Sequence[str], request: pytest.FixtureRequest, message_of: MessageOf
) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    if kind == "mysql":
        mariadb.execute(migrated(url), "UPDATE alembic_version SET version_num = 'newer'")
    else:
        age_sqlite(url)
    sentence = message_of(url, command)
    assert "is at version newer" in sentence
    assert "Run that one, or restore a backup" in sentence


def age_sqlite(url: str) -> None:
    import sqlite3

    with sqlite3.connect(str(make_url(url).database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'newer'")
    connection.close()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_file_that_is_no_database_is_said(command: Sequence[str], tmp_path: Path, message_of: MessageOf) -> None:
    (tmp_path / "b.db").touch(mode=0o600)
    (tmp_path / "b.db").write_bytes(b"no database, but text" * 400)
    assert "The file is not an SQLite database" in message_of("sqlite+aiosqlite:///b.db", command)


async def test_an_account_that_may_only_read_is_not_ready_and_its_writes_are_refused(
    mysql_url: str, mysql_admin_url: str, stranger: str
) -> None:
    name = make_url(migrated(mysql_url)).database
    mariadb.execute(mysql_admin_url, f"GRANT SELECT ON `{name}`.* TO '{stranger}'@'127.0.0.1'")
    storage = SqlStorage.from_url(as_user(mysql_url, stranger))
    with pytest.raises(Unavailable, match=r"Command denied: the user lacks rights on this database\. GRANT SELECT"):
        await storage.check_ready()
    with pytest.raises(Unavailable, match="Command denied"):
        await StorageDriver(storage).initialize(3)
    await storage.close()


@pytest.mark.parametrize("lacking", ["INSERT", "UPDATE", "DELETE"])
async def test_each_right_that_is_lacking_is_noticed(
    lacking: str, mysql_url: str, mysql_admin_url: str, stranger: str
) -> None:
    rights = ", ".join({"SELECT", "INSERT", "UPDATE", "DELETE"} - {lacking})
    name = make_url(migrated(mysql_url)).database
    mariadb.execute(mysql_admin_url, f"GRANT {rights} ON `{name}`.* TO '{stranger}'@'127.0.0.1'")
    storage = SqlStorage.from_url(as_user(mysql_url, stranger))
    with pytest.raises(Unavailable, match="Command denied"):
        await storage.check_ready()
    await storage.close()
