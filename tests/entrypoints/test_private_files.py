"""What the service keeps on a disk is its owner's alone, under any umask, and existing files are closed to others."""

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from boxoffice.application.accounts.create_user import Registration
from boxoffice.domain.decisions.payments.pay import Answer
from boxoffice.entrypoints.container import make_container
from boxoffice.entrypoints.lifespan import running
from boxoffice.entrypoints.private_files import (
    close_folder_to_others,
    close_to_others,
    make_private_database,
    make_private_file,
    make_private_folder,
)
from boxoffice.entrypoints.settings import Settings


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o277])
async def test_all_that_a_service_keeps_is_its_owners_alone(tmp_path: Path, mask: int) -> None:
    data = tmp_path / "new" / "data"
    settings = Settings(database_url=f"sqlite+aiosqlite:///{data}/b.db", metrics_directory=data / "metrics")
    with umask(mask):
        async with running(make_container(settings)) as container:
            await container.storage().check_ready()
            await container.create_user()(
                Registration(name="Ann", email="ann@example.org", password="correct horse battery")
            )
            charge = await container.payment_gateway().find_charge(container.ids().new())
            assert charge.answer is Answer.NOT_FOUND
            found = {path.name: mode(path) for path in data.rglob("*") if path.is_file()}
            folders = {mode(path) for path in (data.parent, data, data / "metrics")}
    assert {"b.db", "b.db-wal", "b.db-shm", "b.db.sandbox.db", "b.db.sandbox.db-wal", "b.db.jwt-secret"} <= set(found)
    assert {"1.names", "1.numbers"} <= set(found)
    assert set(found.values()) == {0o600}
    assert folders == {0o700}


async def test_existing_files_are_closed_to_others_and_one_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path}/b.db")
    async with running(make_container(settings)):
        pass
    for name in ("b.db", "b.db-wal", "b.db-shm"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            async with running(make_container(settings)):
                pass
    (said,) = [each.getMessage() for each in caplog.records if "Others could read" in each.getMessage()]
    assert "b.db, " in said
    assert "b.db-shm" in said
    assert mode(tmp_path / "b.db") == 0o600


@pytest.mark.parametrize(("name", "becomes"), [("data", 0o700), ("shared", 0o755)])
async def test_the_programs_own_folder_is_closed_to_others_and_another_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, becomes: int
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / name
    folder.mkdir()
    folder.chmod(0o755)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            async with running(make_container(Settings(database_url=f"sqlite+aiosqlite:///{name}/boxoffice.db"))):
                pass
    assert mode(folder) == becomes
    said = [each.getMessage() for each in caplog.records if "look into" in each.getMessage()]
    assert said == ["Others could look into data; only the owner can now"] * (becomes == 0o700)


def test_an_existing_folder_keeps_its_mode_and_an_existing_file_its_content(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there").chmod(0o755)
    make_private_folder(tmp_path / "there" / "new")
    assert (mode(tmp_path / "there"), mode(tmp_path / "there" / "new")) == (0o755, 0o700)
    file = tmp_path / "b.db"
    file.write_bytes(b"kept")
    make_private_file(file)
    make_private_database(file)
    assert (file.read_bytes(), mode(file)) == (b"kept", 0o600)


def test_a_file_of_another_user_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    (tmp_path / "b.db").touch(mode=0o644)
    (tmp_path / "b.db").chmod(0o644)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    close_to_others([tmp_path / "b.db", tmp_path / "missing"])
    close_folder_to_others(tmp_path / "open")
    assert [each.getMessage() for each in caplog.records] == [
        f"Others can read {tmp_path / 'b.db'}, and this user may not change that",
        f"Others can look into {tmp_path / 'open'}, and this user may not change that",
    ]
