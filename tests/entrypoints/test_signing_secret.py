"""The signing secret: given, kept beside the embedded database for its owner alone, or asked for."""

import os
import stat
from pathlib import Path

import pytest

from boxoffice.entrypoints.settings import Settings, SettingsError
from boxoffice.entrypoints.signing_secret import signing_secret, stored_secret
from tests.constants import SECRET


def on_sqlite(directory: Path) -> Settings:
    return Settings(database_url=f"sqlite+aiosqlite:///{directory}/data/b.db")


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as error:
        stored_secret(path)
    return str(error.value)


def test_a_given_secret_is_used_and_none_is_kept(tmp_path: Path) -> None:
    settings = Settings(database_url=on_sqlite(tmp_path).database_url, jwt_secret=SECRET)
    assert signing_secret(settings) == SECRET
    assert list(tmp_path.rglob("*")) == []


def test_in_memory_every_start_has_its_own() -> None:
    settings = Settings(database_url="memory://")
    first, second = signing_secret(settings), signing_secret(settings)
    assert first != second
    assert len(first.encode()) >= 32


def test_the_kept_secret_lies_beside_the_database_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)  # A umask that takes nothing away: the mode must be ours.
    try:
        secret = signing_secret(on_sqlite(tmp_path))
    finally:
        os.umask(before)
    (file,) = (tmp_path / "data").iterdir()
    assert file.name == "b.db.jwt-secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text(encoding="utf-8") == secret
    assert len(set(secret)) > 20
    assert len(secret) >= 43


def test_the_kept_secret_stays(tmp_path: Path) -> None:
    assert signing_secret(on_sqlite(tmp_path)) == signing_secret(on_sqlite(tmp_path))
    assert signing_secret(on_sqlite(tmp_path)) != signing_secret(on_sqlite(tmp_path / "elsewhere"))


def test_the_first_secret_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The narrowest moment of the race, made certain: the secret of another process appears right before ours."""
    path = tmp_path / "secret"

    def overtaken(link: Path, draft: Path) -> None:
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600, "not even for a moment is it readable by others"
        path.touch(mode=0o600)
        path.write_text(SECRET)
        os.link(draft, link)

    monkeypatch.setattr(Path, "hardlink_to", overtaken)
    assert stored_secret(path) == SECRET
    assert list(tmp_path.iterdir()) == [path]


def test_a_crash_before_the_end_leaves_no_half_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "secret"
    monkeypatch.setattr(os, "fsync", crash)
    assert "No space left on device" in refusal(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o610])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_text(SECRET)
    path.chmod(mode)
    message = refusal(path)
    assert message == f"{path} must be readable by its owner only; run: chmod 600 {path}"
    path.chmod(0o600)
    assert stored_secret(path) == SECRET


@pytest.mark.parametrize("content", ["", " \n", "hush" * 7 + "hus\n", "hush" * 8, "hush-changeme-hush-please-now-hush"])
def test_a_secret_that_is_too_short_or_guessed_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text(content)
    message = refusal(path)
    assert message.startswith(f"{path} must contain 32 random bytes")
    assert "hush" not in message


def test_the_end_of_the_line_that_an_editor_adds_is_not_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text(SECRET + "\n")
    assert stored_secret(path) == SECRET


def test_a_secret_has_to_be_set_where_none_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refusal(tmp_path / "file" / "secret")
    assert message.startswith("BOXOFFICE_JWT_SECRET is not set, and a generated secret cannot be stored in ")
    (tmp_path / "folder").mkdir(mode=0o700)
    assert "BOXOFFICE_JWT_SECRET is not set" in refusal(tmp_path / "folder")
