"""Run many seeds, in several processes."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Final

from msgspec import Struct, field

from .run import simulate

SEEDS_OF_A_PIECE: Final = 20
"""Seeds that a worker runs before it reports."""


class Failure(Struct, frozen=True):
    """A seed that broke a promise, with the problems found."""

    seed: int
    problems: list[str]


class Totals(Struct):
    """The sums over many seeds."""

    seeds: int = 0
    operations: int = 0
    bookings: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: "Totals") -> None:
        """Add the sums of other seeds."""
        self.seeds += other.seeds
        self.operations += other.operations
        self.bookings += other.bookings
        self.faults += other.faults
        self.outcomes += other.outcomes
        self.verdicts += other.verdicts
        self.failures += other.failures


def simulate_here(seeds: range, operations: int) -> Totals:
    """Run seeds sequentially in this process."""
    totals = Totals()
    for seed in seeds:
        with _without_gc():
            report = simulate(seed, operations)
        totals.seeds += 1
        totals.operations += operations
        totals.bookings += report.bookings
        totals.faults.update(report.faults)
        totals.outcomes.update(report.outcomes)
        totals.verdicts.update(report.verdicts)
        if report.problems:
            totals.failures.append(Failure(seed, report.problems))
    return totals


@contextmanager
def _without_gc() -> Iterator[None]:
    """Collect garbage only between two seeds: during one it is slow and finds little."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def simulate_many(
    seeds: range, operations: int, *, jobs: int, progress: Callable[[Totals], None] = lambda _: None
) -> Totals:
    """Run all seeds in several processes; call `progress` with the sums so far."""
    totals = Totals()
    for some in _in_pieces(seeds, operations, jobs):
        totals.add(some)
        progress(totals)
    totals.failures.sort(key=lambda failure: failure.seed)
    return totals


def _in_pieces(seeds: range, operations: int, jobs: int) -> Iterator[Totals]:
    pieces = [seeds[first : first + SEEDS_OF_A_PIECE] for first in range(0, len(seeds), SEEDS_OF_A_PIECE)]
    if jobs == 1:
        yield from (simulate_here(piece, operations) for piece in pieces)
        return
    # Spawned processes inherit no state of this one, for example its logging.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as workers:
        try:
            yield from workers.map(simulate_here, pieces, [operations] * len(pieces))
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)
            raise
