"""Run all rows in rounds, verify the promises after each round and print the table. See `python -m bench --help`."""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from . import databases, results
from .rows import OVERLOAD_CONNECTIONS, ROWS, Figure, Round
from .stage import allow_connections, has_peer, stage, verify

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Parse the arguments and run the benchmarks."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure each figure beside its baseline.")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds to take medians over (default 3)")
    parser.add_argument("--only", action="append", help="run only rows whose name contains this text; repeatable")
    parser.add_argument(
        "--customers", type=int, default=100_000, help="number of customers, more than one run books (default 100,000)"
    )
    parser.add_argument(
        "--database", choices=databases.PRODUCTS, default="mariadb", help="the server to start (default mariadb)"
    )
    parser.add_argument("--keep", action="store_true", help="write the results to bench/results")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if not arguments.only or any(text in row.name for text in arguments.only)]
    if not rows:
        parser.error("no row has this name")
    if not has_peer() and any(row.needs_peer for row in rows):
        print("Node or the packages of bench/peer are missing: skipping the rows that need them.", flush=True)
        rows = [row for row in rows if not row.needs_peer]
    allow_connections(OVERLOAD_CONNECTIONS)
    found: dict[str, list[Figure]] = {row.name: [] for row in rows}
    begun = time.monotonic()
    with stage(arguments.customers, arguments.database) as set_up:
        database_version = databases.version(set_up.large_url)
        for number in range(arguments.rounds):
            round_ = Round(set_up)
            # Every other round runs in reverse order, so that no row is always first and no figure is always measured
            # before its baseline.
            for row in rows if number % 2 == 0 else reversed(rows):
                if number % 2 == 0:
                    ours = row.ours(round_)
                    figure = Figure(ours, row.baseline(round_))
                else:
                    baseline = row.baseline(round_)
                    figure = Figure(row.ours(round_), baseline)
                found[row.name].append(figure)
                print(f"{number + 1}/{arguments.rounds} {results.line(row, [figure])}", flush=True)
            set_up.verify()
            print(f"All promises hold after {time.monotonic() - begun:,.0f} s.", flush=True)
        verify(set_up.large_url)
    print(results.table(rows, found))
    if arguments.keep:
        results.keep(
            rows,
            found,
            RESULTS,
            datetime.now(UTC),
            seconds=time.monotonic() - begun,
            database_kind=arguments.database,
            database_version=database_version,
        )
    sys.exit(0 if all(results.is_good(row, found[row.name]) for row in rows) else 1)


if __name__ == "__main__":
    main()
