"""The simulate command: run the service with faults in virtual time and check its promises."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TextIO

from msgspec import structs

from ...application.ports.errors import Unavailable
from ..harness.simulation import Report, Totals, simulate, simulate_many

SHOWN: Final = 20
"""The most problems that are printed for one seed."""

WIDTH: Final = 40
"""Characters of the progress bar."""


def simulate_one(seed: int, operations: int, history: Path | None) -> int:
    """Run one seed and print a summary. Return 1 if a promise was broken. Raises: Unavailable."""
    report = simulate(seed, operations)
    if history is not None:
        try:
            history.write_bytes(report.history)
        except OSError as error:
            raise Unavailable(f"The history cannot be written to {history}: {error.strerror}") from error
    print(f"Seed {seed}, {operations} operations")
    for name, value in structs.asdict(report.scenario).items():
        if name not in ("seed", "operations"):
            print(f"  {name}: {_text(value)}")
    print(f"Took {report.seconds:.6f} virtual seconds and {report.turns} iterations of the event loop.")
    print(f"Faults: {_counts(report.faults)}")
    print("Answers:")
    for outcome, count in sorted(report.outcomes.items()):
        print(f"  {count:4} {outcome}")
    print(f"Stored {report.bookings} bookings and {report.facts} facts. Linearizability: {_counts(report.verdicts)}")
    print(f"Digest {report.digest}")
    if not report.problems:
        print("Every promise holds.")
        return 0
    _print_problems(report)
    return 1


def simulate_seeds(first: int, count: int, operations: int, jobs: int) -> int:
    """Run many seeds and print the totals and how to replay each failure. Return 1 if a promise was broken."""
    bar = _Bar(count, sys.stderr)
    totals = simulate_many(range(first, first + count), operations, jobs=jobs, progress=bar.show)
    bar.end()
    print(f"{totals.seeds} seeds from {first} on, {operations} operations each, {totals.bookings} bookings")
    print(f"Faults: {_counts(totals.faults)}")
    print(f"Answers: {_counts(totals.outcomes)}")
    print(f"Linearizability: {_counts(totals.verdicts)}")
    if not totals.failures:
        print("Every promise holds.")
        return 0
    for failure in totals.failures:
        print(f"BROKEN {failure.problems[0].splitlines()[0]}")
        print(f"       replay: {replay(failure.seed, operations)}")
    print(f"{len(totals.failures)} of {totals.seeds} seeds broke a promise.")
    return 1


def replay(seed: int, operations: int) -> str:
    """Return the command that runs a seed again."""
    return f"boxoffice simulate --seed {seed} --operations {operations}"


def _print_problems(report: Report) -> None:
    for problem in report.problems[:SHOWN]:
        print(f"BROKEN {problem}")
    if len(report.problems) > SHOWN:
        print(f"and {len(report.problems) - SHOWN} more")
    print(f"Replay: {replay(report.seed, report.operations)}")


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return _counts(value)
    return str(value)


def _counts(counts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nothing"


class _Bar:
    """A progress bar in a terminal; otherwise a line for each tenth of the seeds."""

    def __init__(self, count: int, stream: TextIO) -> None:
        self._count = count
        self._stream = stream
        self._started = time.monotonic()
        self._shown = 0

    def show(self, totals: Totals) -> None:
        share = totals.seeds / self._count
        elapsed = time.monotonic() - self._started
        left = elapsed / share - elapsed
        text = f"{totals.seeds}/{self._count} seeds, {len(totals.failures)} broken, {elapsed:.0f} s, {left:.0f} s left"
        if self._stream.isatty():
            filled = int(share * WIDTH)
            self._stream.write(f"\r[{'#' * filled}{'.' * (WIDTH - filled)}] {text} ")
            self._stream.flush()
        elif int(share * 10) > self._shown:
            self._shown = int(share * 10)
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def end(self) -> None:
        if self._stream.isatty():
            self._stream.write("\n")
