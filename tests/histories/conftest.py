"""A migrated SQLite file of the test's own."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "boxoffice.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite+aiosqlite:///{path}"
