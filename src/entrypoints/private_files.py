"""Files that their owner alone may read, whatever the umask is."""

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
    """Make a folder, and those above it, where they are missing. Raises: OSError."""
    for each in (*reversed(folder.parents), folder):
        if each.is_dir():
            continue
        try:
            each.mkdir(mode=_FOLDER)
        except OSError:
            # Another process may have made it meanwhile.
            if not each.is_dir():
                raise
        else:
            each.chmod(_FOLDER)


def make_private_file(path: Path) -> None:
    """Make an empty file where there is none. Raises: OSError."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        return
    try:
        os.fchmod(file, OWNER_ONLY)
    finally:
        os.close(file)


def make_private_database(path: Path) -> None:
    """Make an SQLite file where there is none, and close an existing one to others. Raises: OSError.

    SQLite gives the files that it makes beside a database the database's own mode.
    """
    make_private_file(path)
    close_to_others(path.with_name(f"{path.name}{suffix}") for suffix in _SQLITE_SUFFIXES)


def close_to_others(paths: Iterable[Path]) -> None:
    """Take the rights of others from existing files, by name: an SQLite file that is open must not be opened again.

    One warning names the files that were changed, another one those that could not be.
    """
    changed: list[str] = []
    left: list[str] = []
    for path in paths:
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if stat.S_ISREG(mode) and mode & _OTHERS:
                try:
                    path.chmod(OWNER_ONLY)
                except OSError:
                    left.append(str(path))
                else:
                    changed.append(str(path))
    if changed:
        _log.warning("Others could read %s; only the owner can now", ", ".join(changed))
    if left:
        _log.warning("Others can read %s, and this user may not change that", ", ".join(left))
