"""The statements of a batch of bookings on MariaDB or MySQL, and a profile of this process: an aid, not a benchmark.

`python -m bench.batches` prints the statements of one batch from the server's log, their number per batch and per
booking, and the processor time of both sides. `--profile 30` prints the 30 functions that take most of this process.
"""

import argparse
import asyncio
import pstats
import tempfile
from contextlib import ExitStack
from cProfile import Profile
from itertools import pairwise
from pathlib import Path

from boxoffice.entrypoints.container import migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb

from . import databases, use_cases

_COUNTED = ("Questions", "Com_commit", "Com_select", "Com_insert", "Com_update", "Bytes_received", "Bytes_sent")
_WIDTH = 150
"""Maximum characters to print of a statement."""


def main() -> None:
    """Parse the arguments and print the statements and counts."""
    parser = argparse.ArgumentParser(prog="bench.batches", description="Show the statements of a batch of bookings.")
    parser.add_argument("--callers", type=int, default=256, help="concurrent callers, who share batches (default 256)")
    parser.add_argument("--bookings", type=int, default=20_000, help="number of bookings (default 20,000)")
    parser.add_argument(
        "--types", type=int, default=1, help="ticket types; customers have bookings of all but the last (default 1)"
    )
    parser.add_argument(
        "--database",
        choices=[*databases.PRODUCTS, "sqlite"],
        default="mariadb",
        help="the database (default mariadb); SQLite logs no statements",
    )
    parser.add_argument("--profile", type=int, default=0, metavar="N", help="show the N most expensive functions")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boxoffice-bench-")))
        database = None
        url = f"sqlite+aiosqlite:///{directory / 'boxoffice.db'}"
        if arguments.database != "sqlite":
            database = stack.enter_context(databases.started(arguments.database, directory))
            url = stack.enter_context(mariadb.fresh_database(database.admin_url))
        asyncio.run(migrate(Settings(database_url=url)))
        if database is not None:
            for statement in _statements(database, url, arguments.callers, arguments.types):
                print(f"  {statement[:_WIDTH]}")
        before = _status(url) if database else {}
        per_second, microseconds = use_cases.book(
            url,
            arguments.callers,
            arguments.bookings,
            processes={"database": [database.pid]} if database else {},
            ticket_types=arguments.types,
        )
        counted = {each: after - before[each] for each, after in _status(url).items()} if database else {}
        print(f"{per_second:,.0f} bookings a second; processor, µs a booking: ", end="")
        print(*(f"{each} {taken:,.1f}" for each, taken in microseconds.items()), sep=", ")
        if counted:
            bookings = arguments.bookings * arguments.types
            print(f"{bookings / counted['Com_commit']:,.1f} bookings in a batch; for each batch, and each booking:")
            for each, count in counted.items():
                print(f"  {each:15} {count / counted['Com_commit']:12,.1f} {count / bookings:12,.2f}")
        if arguments.profile:
            profile = Profile()
            use_cases.book(
                url,
                arguments.callers,
                arguments.bookings,
                processes={},
                ticket_types=arguments.types,
                profile=profile,
            )
            pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(arguments.profile)


def _statements(database: mariadb.MariaDB, url: str, callers: int, ticket_types: int) -> list[str]:
    """Return the statements of the last complete batch with bookings."""
    log = database.directory / "general.log"
    mariadb.execute(url, f"SET GLOBAL general_log_file = '{log}'", "SET GLOBAL general_log = ON")
    use_cases.book(url, callers, callers * 4, processes={}, ticket_types=ticket_types)
    mariadb.execute(url, "SET GLOBAL general_log = OFF")
    # A line has a time, a connection number, a kind and a text; a line without a tab continues the previous text.
    # Statements sent in one round trip are one text.
    texts: list[str] = []
    for line in log.read_text(errors="replace").splitlines():
        if "Query\t" in line:
            texts.append(line.split("\t")[-1])
        elif "\t" not in line and texts:
            texts[-1] += f" {line}"
    statements = [each.strip() for text in texts for each in text.split(";")]
    commits = [number for number, each in enumerate(statements) if each.upper() == "COMMIT"]
    batches = [statements[before + 1 : commit + 1] for before, commit in pairwise(commits)]
    return next(batch for batch in reversed(batches) if any("INTO bookings" in each for each in batch))


def _status(url: str) -> dict[str, int]:
    rows = mariadb.execute(url, "SHOW GLOBAL STATUS")
    found = {str(name): value for name, value in rows}
    return {name: int(str(found[name])) for name in _COUNTED}


if __name__ == "__main__":
    main()
