"""A migrated SQLite file for each test."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "boxoffice.db")
    return f"sqlite+aiosqlite:///{tmp_path / 'boxoffice.db'}"
