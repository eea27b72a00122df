"""A log file that several processes append to and rotate."""

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

from .private_files import OWNER_ONLY


class RotatingFile(logging.Handler):
    """Append each record with one write; at `most_bytes` begin a new file and keep `kept` older ones.

    The system appends each write as a whole, so lines of several processes never mix, and writing needs no lock. A
    process that still has the renamed file open completes its write there and takes the new file for the next record,
    so no line is lost. Another program may rename the file too.

    A network file system may not append as a whole: give each process a file of its own there.
    """

    def __init__(self, path: Path, most_bytes: int, kept: int) -> None:
        """Raises: OSError where the file cannot be opened."""
        super().__init__()
        self._path = path
        self._most_bytes = most_bytes
        self._kept = kept
        self._file: int | None = None
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, which may have several lines."""
        try:
            data = f"{self.format(record)}\n".encode(errors="backslashreplace")
            file = self._file_for(len(data))
            while data:
                # The rest of a write that a full disk or a signal cut off.
                data = data[os.write(file, data) :]
        except Exception:  # noqa: BLE001 (as every handler of logging: it says so on stderr and goes on)
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
        """The file that the path names now, with room for so many bytes."""
        if self._file is None:
            return self._open()
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self._open()
        if (found.st_dev, found.st_ino) != self._opened:
            return self._open()
        if found.st_size and found.st_size + size > self._most_bytes:
            # Where it cannot be renamed, it grows.
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
        """Rename the files under a lock of the newest, unless another process did so before it had the lock."""
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            found = self._path.stat()
            if (found.st_dev, found.st_ino) != self._opened:
                return
            # A process that died here left a gap: what is behind it stays.
            last = next((each for each in range(1, self._kept) if not self._older(each).exists()), self._kept)
            for each in range(last, 1, -1):
                self._older(each - 1).replace(self._older(each))
            self._path.replace(self._older(1))
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _older(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
