"""`boxoffice` in a process whose clock is set from outside, by a file with the seconds that it is ahead.

python another_clock.py FILE serve --port 8000
"""

import mmap
import os
import struct
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from uuid_utils import compat

from boxoffice.adapters.system import SystemClock, Uuid7Ids
from boxoffice.entrypoints.cli import main

_AHEAD = struct.Struct("d")
_FILE = "CLOCK_FILE"


class ClockFile:
    """A clock that all processes share which open the same file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(_AHEAD.pack(0))
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), _AHEAD.size)

    def set(self, seconds: float) -> None:
        """Set how many seconds the clock is ahead of the machine's; a negative number puts it behind."""
        self._bytes[:] = _AHEAD.pack(seconds)

    def now(self) -> datetime:
        """Return the time of this clock."""
        (ahead,) = _AHEAD.unpack(self._bytes[:])
        return datetime.now(UTC) + timedelta(seconds=ahead)


def use(clock: ClockFile) -> None:
    """Replace the clock of this process, and the time in its new ids."""
    setattr(SystemClock, "now", lambda _: clock.now())  # noqa: B010 - mypy rejects an assignment to a method
    new = compat.uuid7
    setattr(Uuid7Ids, "new", lambda _: new(nanoseconds=int(clock.now().timestamp() * 1e6) * 1_000))  # noqa: B010


if __name__ == "__main__":
    # The workers start as new processes, with this module as `__mp_main__`.
    os.environ[_FILE] = sys.argv[1]
    use(ClockFile(Path(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))

if __name__ == "__mp_main__":
    use(ClockFile(Path(os.environ[_FILE])))
