"""A log file that several processes append to and rotate."""

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

from .private_files import OWNER_ONLY


class RotatingFile(logging.Handler):
    """Append each record with one write; rotate at `max_bytes` and keep `backup_count` older files.

    The kernel appends each write atomically, so records of several processes do not mix and writing needs no lock. A
    process that still has the renamed file open completes its write there and opens the new file for the next record,
    so no record is lost. Another program, such as logrotate, may rename the file too.

    Appends are not atomic on a network file system: give each process its own file there.
    """

    def __init__(self, path: Path, max_bytes: int, backup_count: int) -> None:
        """Raises: OSError when the file cannot be opened."""
        super().__init__()
        self._path = path
        self._max_bytes = max_bytes
        self._backup_count = backup_count
        self._file: int | None = None
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        try:
            data = f"{self.format(record)}\n".encode(errors="backslashreplace")
            file = self._file_for(len(data))
            while data:
                # A full disk or a signal may cut a write short.
                data = data[os.write(file, data) :]
        except Exception:  # noqa: BLE001 (handlers of `logging` report their errors on stderr and continue)
            self.handleError(record)

    def close(self) -> None:
        """Close the file; the next record opens it again."""
        self.acquire()
        try:
            if self._file is not None:
                os.close(self._file)
                self._file = None
        finally:
            self.release()
        super().close()

    def _file_for(self, size: int) -> int:
        """Return a descriptor of the file at the path, after rotating it if `size` bytes do not fit."""
        if self._file is None:
            return self._open()
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self._open()
        if (found.st_dev, found.st_ino) != self._opened:
            return self._open()
        if found.st_size and found.st_size + size > self._max_bytes:
            # A file that cannot be renamed keeps growing.
            with suppress(OSError):
                self._rotate(self._file)
            return self._open()
        return self._file

    def _open(self) -> int:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        if self._file is not None:
            os.close(self._file)
        self._file = file
        found = os.fstat(file)
        self._opened = (found.st_dev, found.st_ino)
        return file

    def _rotate(self, file: int) -> None:
        """Rename the files while locking the newest, unless another process has renamed it already."""
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            found = self._path.stat()
            if (found.st_dev, found.st_ino) != self._opened:
                return
            # A process that crashed in this loop left a gap in the numbers; files after the gap stay.
            last = next(
                (each for each in range(1, self._backup_count) if not self._older(each).exists()), self._backup_count
            )
            for each in range(last, 1, -1):
                self._older(each - 1).replace(self._older(each))
            self._path.replace(self._older(1))
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _older(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
