"""Counters shared by all processes of a service: each process writes its own, and any of them can read all.

A write is a write to memory. With several processes the memory of each is a mapped file, which outlives its process
and is taken over by the next process that starts, so counters never decrease and files do not accumulate.
"""

import fcntl
import json
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import unpack_from
from typing import Final

from msgspec import Struct

MOST_VALUES: Final = 65_536
"""Maximum values of one process. Series beyond it are not counted, so serving never fails because of metrics."""

_VALUE_BYTES: Final = 8
_SPARE: Final = 64
"""Values at the end that series beyond the maximum write to."""

_BYTES: Final = (MOST_VALUES + _SPARE) * _VALUE_BYTES


class Series(Struct, frozen=True):
    """A metric, the values of its labels, and the number of its adjacent values."""

    metric: str
    labels: tuple[str, ...]
    size: int


class ProcessCounters(Struct, frozen=True):
    """The counters of one process. `is_alive` is False if it has ended and no other process has taken its file over."""

    name: str
    """The number of the process's file, which a later process may take over."""
    is_alive: bool
    series: Sequence[tuple[Series, Sequence[float]]]


class Counters:
    """The counters of a single process, in private memory."""

    def __init__(self) -> None:
        self.values: memoryview[float] = memoryview(bytearray(_BYTES)).cast("d")
        """The values of all series, at the index that `place` returns. Only one thread may write at a time."""
        self._places: dict[tuple[str, tuple[str, ...]], int] = {}
        self.own: list[Series] = []
        """The series of this process, in the order of their values."""
        self._next = 0

    def place(self, metric: str, labels: tuple[str, ...], size: int) -> int:
        """Return the index of a series' first value in `values`, creating the series if needed. Callers cache it."""
        place = self._places.get((metric, labels))
        if place is None:
            place = self._places[metric, labels] = self._add(Series(metric, labels, size))
        return place

    def read_all(self) -> list[ProcessCounters]:
        """Return the counters of all processes of the service, including processes that have ended."""
        return [ProcessCounters("1", True, list(_split(self.own, self.values)))]

    def close(self) -> None:
        """Stop writing. Shared files stay, for other processes to read and take over."""

    def _add(self, series: Series) -> int:
        place = self._next
        if place + series.size > MOST_VALUES:
            return MOST_VALUES
        self._next += series.size
        self.own.append(series)
        return place


class SharedCounters(Counters):
    """The counters of this process, in a directory that all processes of one service share.

    Each file of values has a file of their names beside it. A running process keeps its file of values locked.
    """

    def __init__(self, directory: Path) -> None:
        """Raises: OSError if the directory is not writable."""
        super().__init__()
        self._directory = directory
        self._file, path = _own_file(directory)
        self._mapped = mmap.mmap(self._file, _BYTES)
        self._names = os.open(_names_of(path), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.fchmod(self._names, 0o600)
        self.values: memoryview[float] = memoryview(self._mapped).cast("d")
        self._take_over()

    def read_all(self) -> list[ProcessCounters]:
        """Return the counters of all processes, including this one."""
        return list(_read_all(self._directory))

    def close(self) -> None:
        """Release the files. Later writes change private memory only."""
        if self._file >= 0:
            self.values = memoryview(bytearray(_BYTES)).cast("d")
            os.close(self._names)
            # The mapping keeps the file open, so closing the descriptor alone does not release the lock.
            fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)
            self._file = self._names = -1

    def _take_over(self) -> None:
        """Continue the series of an ended process."""
        text = os.pread(self._names, os.fstat(self._names).st_size, 0)
        complete = text.rpartition(b"\n")[0]
        if len(complete) < len(text):
            # The process was killed while it wrote a name, so it has counted nothing under that name.
            os.ftruncate(self._names, len(complete) + 1 if complete else 0)
        for series in _series_of(complete):
            self._places[series.metric, series.labels] = super()._add(series)

    def _add(self, series: Series) -> int:
        place = super()._add(series)
        if self._names >= 0 and place < MOST_VALUES:
            os.write(self._names, json.dumps([series.metric, series.labels, series.size]).encode() + b"\n")
        return place


def _own_file(directory: Path) -> tuple[int, Path]:
    """Open and lock the file of a process that has ended, or a new one."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = 0
    while True:
        number += 1
        path = directory / f"{number}.numbers"
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        os.fchmod(file, 0o600)
        os.ftruncate(file, _BYTES)
        return file, path


def _read_all(directory: Path) -> Iterator[ProcessCounters]:
    for path in sorted(directory.glob("*.numbers")):
        file = os.open(path, os.O_RDONLY)
        try:
            is_alive = _is_locked(file)
            try:
                series = _series_of(_names_of(path).read_bytes().rpartition(b"\n")[0])
            except FileNotFoundError:
                continue  # Another process is creating it.
            size = sum(each.size for each in series)
            content = os.pread(file, size * _VALUE_BYTES, 0)
            if len(content) == size * _VALUE_BYTES:
                yield ProcessCounters(path.stem, is_alive, list(_split(series, unpack_from(f"{size}d", content))))
        finally:
            os.close(file)


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _names_of(path: Path) -> Path:
    return path.with_suffix(".names")


def _series_of(text: bytes) -> list[Series]:
    return [
        Series(metric, tuple(labels), size)
        for metric, labels, size in (json.loads(line) for line in text.split(b"\n") if line)
    ]


def _split(series: Sequence[Series], values: Sequence[float]) -> Iterator[tuple[Series, Sequence[float]]]:
    place = 0
    for each in series:
        yield each, list(values[place : place + each.size])
        place += each.size
