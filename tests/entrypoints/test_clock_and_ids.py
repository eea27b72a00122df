"""The machine's time is in UTC; ids are of version 7 and sort by their age."""

import subprocess
import sys
from datetime import UTC, datetime
from uuid import RFC_4122, UUID

from boxoffice.adapters.system import SystemClock, Uuid7Ids


def test_the_time_is_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


def test_ids_are_uuids_of_version_7_in_the_type_of_the_standard_library() -> None:
    made = Uuid7Ids().new()
    assert type(made) is UUID
    assert (made.version, made.variant) == (7, RFC_4122)


def test_ids_tell_when_they_were_made() -> None:
    before = int(datetime.now(UTC).timestamp() * 1_000)
    made = Uuid7Ids().new().int >> 80
    assert before <= made <= int(datetime.now(UTC).timestamp() * 1_000)


def test_ids_of_one_process_sort_by_their_age_whoever_makes_them() -> None:
    makers = [Uuid7Ids() for _ in range(3)]
    made = [makers[number % 3].new() for number in range(50_000)]
    assert made == sorted(set(made))


def test_two_processes_never_make_the_same() -> None:
    code = "from boxoffice.adapters.system import Uuid7Ids; i = Uuid7Ids(); [print(i.new()) for _ in range(2000)]"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    made = [line for process in processes for line in process.communicate(timeout=60)[0].split()]
    assert len(made) == len(set(made)) == 4_000
