"""What was erased leaves SQLite's write-ahead log even while somebody reads."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.dialects import sqlite
from boxoffice.adapters.sql.storage import SqlStorage


@pytest.mark.parametrize("ends", [True, False])
async def test_the_log_is_emptied_once_readers_have_ended(
    ends: bool, migrated_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that does not end is not waited for in vain."""
    monkeypatch.setattr(sqlite, "PURGE_SECONDS", 30 if ends else 0.05)
    file = Path(str(make_url(migrated_sqlite_url).database))
    storage = SqlStorage(migrated_sqlite_url)
    reader = sqlite3.connect(file, isolation_level=None)
    writer = sqlite3.connect(file, isolation_level=None)
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM users").fetchall()
        writer.execute("CREATE TABLE needle_example (one)")
        purging = asyncio.create_task(storage.purge())
        if ends:
            await asyncio.wait([purging], timeout=0.1)
            assert not purging.done()
            reader.execute("COMMIT")
        await purging
        assert (b"needle_example" in file.with_name(f"{file.name}-wal").read_bytes()) is not ends
    finally:
        reader.close()
        writer.close()
        await storage.close()
