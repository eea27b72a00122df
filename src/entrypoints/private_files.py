"""Files that only their owner may read, under any umask."""

import logging
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

OWNER_ONLY: Final = 0o600
_FOLDER: Final = 0o700
_OTHERS: Final = 0o077

_SQLITE_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")

_log = logging.getLogger(__name__)


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents. Raises: OSError."""
    for each in (*reversed(folder.parents), folder):
        if each.is_dir():
            continue
        try:
            each.mkdir(mode=_FOLDER)
        except OSError:
            # Another process may have created it meanwhile.
            if not each.is_dir():
                raise
        else:
            each.chmod(_FOLDER)


def close_folder_to_others(folder: Path) -> None:
    """Remove others' access to a folder that is this program's alone, and log it."""
    if folder.stat().st_mode & _OTHERS:
        try:
            folder.chmod(_FOLDER)
        except OSError:
            _log.warning("Others can look into %s, and this user may not change that", folder)
        else:
            _log.warning("Others could look into %s; only the owner can now", folder)


def make_private_file(path: Path) -> None:
    """Create an empty file if none exists. Raises: OSError."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        return
    try:
        os.fchmod(file, OWNER_ONLY)
    finally:
        os.close(file)


def make_private_database(path: Path) -> None:
    """Create an SQLite file if none exists; otherwise remove others' access to it. Raises: OSError.

    SQLite creates the files beside a database with the mode of the database.
    """
    make_private_file(path)
    close_to_others(path.with_name(f"{path.name}{suffix}") for suffix in _SQLITE_SUFFIXES)


def close_to_others(paths: Iterable[Path]) -> None:
    """Remove others' access to existing files, and log which were changed and which could not be.

    It changes them by path: closing a second descriptor of an open SQLite file would release its locks.
    """
    changed: list[str] = []
    unchanged: list[str] = []
    for path in paths:
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if stat.S_ISREG(mode) and mode & _OTHERS:
                try:
                    path.chmod(OWNER_ONLY)
                except OSError:
                    unchanged.append(str(path))
                else:
                    changed.append(str(path))
    if changed:
        _log.warning("Others could read %s; only the owner can now", ", ".join(changed))
    if unchanged:
        _log.warning("Others can read %s, and this user may not change that", ", ".join(unchanged))
