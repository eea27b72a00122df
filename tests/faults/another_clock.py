"""`boxoffice` in a process whose clock is set from outside: by a file that holds how many seconds it is ahead.

python another_clock.py FILE serve --port 8000
"""

import mmap
import os
import struct
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from uuid_utils import compat

from boxoffice.adapters.system import SystemClock, Uuid7Ids
from boxoffice.entrypoints.cli import main

_AHEAD = struct.Struct("d")
_FILE = "CLOCK_FILE"


class ClockFile:
    """How many seconds the clock of whoever reads the file is ahead; a change is seen at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(_AHEAD.pack(0))
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), _AHEAD.size)

    def set(self, seconds: float) -> None:
        """Let the clock jump to so many seconds ahead of the machine's; a negative number puts it behind."""
        self._bytes[:] = _AHEAD.pack(seconds)

    def now(self) -> datetime:
        """What time it is by that clock."""
        (ahead,) = _AHEAD.unpack(self._bytes[:])
        return datetime.now(UTC) + timedelta(seconds=ahead)


def _new_id(clock: ClockFile) -> UUID:
    return compat.uuid7(nanoseconds=int(clock.now().timestamp() * 1_000_000) * 1_000)


def live_by(clock: ClockFile) -> None:
    """From now on this process knows no other time."""
    setattr(SystemClock, "now", lambda _: clock.now())  # noqa: B010 - types know no other clock
    setattr(Uuid7Ids, "new", lambda _: _new_id(clock))  # noqa: B010


if __name__ == "__main__":
    # The workers of the service are started anew, with this module as `__mp_main__`.
    os.environ[_FILE] = sys.argv[1]
    live_by(ClockFile(Path(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))

if __name__ == "__mp_main__":
    live_by(ClockFile(Path(os.environ[_FILE])))
