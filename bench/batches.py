"""What a batch of bookings asks of MariaDB, and where the processor's time of this process goes: an aid, no figure.

`python -m bench.batches` prints the statements of one batch as the server logs them, how many of them there are for a
batch and for a booking, and the processor time of both sides; `--profile 30` the functions that take most of ours.
"""

import argparse
import asyncio
import cProfile
import pstats
import tempfile
from pathlib import Path

from boxoffice.entrypoints.container import migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb

from . import use_cases
from .stage import SETTINGS

_COUNTED = ("Questions", "Com_commit", "Com_select", "Com_insert", "Com_update", "Bytes_received", "Bytes_sent")
_WIDTH = 150
"""Characters that are printed of a statement."""


def main() -> None:
    """Look."""
    parser = argparse.ArgumentParser(prog="bench.batches", description="What a batch of bookings asks of MariaDB.")
    parser.add_argument("--callers", type=int, default=256, help="they share batches (default 256)")
    parser.add_argument("--bookings", type=int, default=20_000, help="default 20,000")
    parser.add_argument("--profile", type=int, default=0, metavar="N", help="show the N functions that take most")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="boxoffice-bench-") as name,
        mariadb.MariaDB(mariadb.template(Path(name))) as database,
        mariadb.fresh_database(database.admin_url) as url,
    ):
        mariadb.execute(url, *SETTINGS)
        asyncio.run(migrate(Settings(database_url=url)))
        for statement in _statements(database, url, arguments.callers):
            print(f"  {statement[:_WIDTH]}")
        before = _status(url)
        per_second, microseconds = use_cases.book(
            url, arguments.callers, arguments.bookings, processes={"database": [database.pid]}
        )
        counted = {each: after - before[each] for each, after in _status(url).items()}
        print(f"{per_second:,.0f} bookings a second; processor, µs a booking: ", end="")
        print(*(f"{each} {taken:,.1f}" for each, taken in microseconds.items()), sep=", ")
        print(
            f"{arguments.bookings / counted['Com_commit']:,.1f} bookings in a batch; for each batch, and each booking:"
        )
        for each, count in counted.items():
            print(f"  {each:15} {count / counted['Com_commit']:12,.1f} {count / arguments.bookings:12,.2f}")
        if arguments.profile:
            profile = cProfile.Profile()
            profile.runcall(use_cases.book, url, arguments.callers, arguments.bookings, processes={})
            pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(arguments.profile)


def _statements(database: mariadb.MariaDB, url: str, callers: int) -> list[str]:
    """Those of the last whole batch."""
    log = database.directory / "general.log"
    mariadb.execute(url, f"SET GLOBAL general_log_file = '{log}'", "SET GLOBAL general_log = ON")
    use_cases.book(url, callers, callers * 4, processes={})
    mariadb.execute(url, "SET GLOBAL general_log = OFF")
    # Time, number of the connection, kind and text; a line without the kind goes on with the text before it.
    lines = [line.split("\t")[-1] for line in log.read_text(errors="replace").splitlines() if "Query\t" in line]
    commits = [number for number, line in enumerate(lines) if line.strip().upper() == "COMMIT"]
    return lines[commits[-2] + 1 : commits[-1] + 1]


def _status(url: str) -> dict[str, int]:
    rows = mariadb.execute(url, "SHOW GLOBAL STATUS")
    found = {str(name): value for name, value in rows}
    return {name: int(str(found[name])) for name in _COUNTED}


if __name__ == "__main__":
    main()
