"""Numbers that all processes of a service see: each writes its own, whoever is asked reads them all.

Writing one is writing to memory. Where several processes serve, the memory is a file of each that stays when its
process is killed, and that the next process to start goes on with: so counters never fall, files do not pile up, and
nothing is lost with a process but what it had not counted yet.
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

MOST_NUMBERS: Final = 65_536
"""Numbers of one process. Whatever would be beyond is not counted, which is better than not to serve."""

_NUMBER: Final = 8
_SPARE: Final = 64
"""Room at the end for what is not counted."""

_BYTES: Final = (MOST_NUMBERS + _SPARE) * _NUMBER


class Series(Struct, frozen=True):
    """What some numbers side by side mean: a metric, the values of its labels, and how many numbers they are."""

    metric: str
    labels: tuple[str, ...]
    size: int


class Found(Struct, frozen=True):
    """What one process wrote. `is_alive` False: it has ended, and nobody has gone on with its numbers yet."""

    name: str
    """The process's number among those of the service; the next process to start may have the same."""
    is_alive: bool
    series: Sequence[tuple[Series, Sequence[float]]]


class Counters:
    """The numbers of this process, in memory that nobody else sees."""

    def __init__(self) -> None:
        self.values: memoryview[float] = memoryview(bytearray(_BYTES)).cast("d")
        """The numbers themselves; `place` says which is which. To be written by one thread at a time."""
        self._places: dict[tuple[str, tuple[str, ...]], int] = {}
        self.own: list[Series] = []
        """The series of this process, in the order of their numbers."""
        self._next = 0

    def place(self, metric: str, labels: tuple[str, ...], size: int) -> int:
        """Where in `values` the numbers of a series begin. Not for each time that one is written: keep it."""
        place = self._places.get((metric, labels))
        if place is None:
            place = self._places[metric, labels] = self._add(Series(metric, labels, size))
        return place

    def everybodys(self) -> list[Found]:
        """The numbers of all processes of the service, those that ended included."""
        return [Found("1", True, list(_cut(self.own, self.values)))]

    def close(self) -> None:
        """Write no more. The numbers stay for others to read, and to go on with."""

    def _add(self, series: Series) -> int:
        place = self._next
        if place + series.size > MOST_NUMBERS:
            return MOST_NUMBERS
        self._next += series.size
        self.own.append(series)
        return place


class SharedCounters(Counters):
    """The numbers of this process in a directory that all processes of the service have in common, and no others.

    Beside each file of numbers is one with their names. Who has the first one locked is alive.
    """

    def __init__(self, directory: Path) -> None:
        """Raises: OSError where the directory cannot be written to."""
        super().__init__()
        self._directory = directory
        self._file, path = _own_file(directory)
        self._mapped = mmap.mmap(self._file, _BYTES)
        self._names = os.open(_names_of(path), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.fchmod(self._names, 0o600)
        self.values = memoryview(self._mapped).cast("d")
        self._go_on()

    def everybodys(self) -> list[Found]:
        """The numbers of all processes, this one among them."""
        return list(_found(self._directory))

    def close(self) -> None:
        """Let go of the files; what is written from now on is seen by nobody."""
        if self._file >= 0:
            self.values = memoryview(bytearray(_BYTES)).cast("d")
            os.close(self._names)
            # What is mapped holds the file open, and so would keep its lock.
            fcntl.flock(self._file, fcntl.LOCK_UN)
            os.close(self._file)
            self._file = self._names = -1

    def _go_on(self) -> None:
        """With what a process wrote that has ended."""
        text = os.pread(self._names, os.fstat(self._names).st_size, 0)
        whole = text.rpartition(b"\n")[0]
        if len(whole) < len(text):
            # Killed while it wrote a name: nothing was counted under that one yet.
            os.ftruncate(self._names, len(whole) + 1 if whole else 0)
        for series in _series_of(whole):
            self._places[series.metric, series.labels] = super()._add(series)

    def _add(self, series: Series) -> int:
        place = super()._add(series)
        if self._names >= 0 and place < MOST_NUMBERS:
            os.write(self._names, json.dumps([series.metric, series.labels, series.size]).encode() + b"\n")
        return place


def _own_file(directory: Path) -> tuple[int, Path]:
    """The file of a process that has ended, or a new one; locked until it is closed."""
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


def _found(directory: Path) -> Iterator[Found]:
    for path in sorted(directory.glob("*.numbers")):
        file = os.open(path, os.O_RDONLY)
        try:
            is_alive = _is_locked(file)
            try:
                series = _series_of(_names_of(path).read_bytes().rpartition(b"\n")[0])
            except FileNotFoundError:
                continue  # It is just being made.
            size = sum(each.size for each in series)
            content = os.pread(file, size * _NUMBER, 0)
            if len(content) == size * _NUMBER:
                yield Found(path.stem, is_alive, list(_cut(series, unpack_from(f"{size}d", content))))
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


def _cut(series: Sequence[Series], values: Sequence[float]) -> Iterator[tuple[Series, Sequence[float]]]:
    place = 0
    for each in series:
        yield each, list(values[place : place + each.size])
        place += each.size
