"""A thousand seeds of two hundred operations each, in which everything goes wrong and every promise holds.

`make simulate` runs ten thousand and more.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from boxoffice.adapters.memory.repositories import MemoryEventRepository
from boxoffice.adapters.memory.transaction import Locks
from boxoffice.adapters.observability.process import ProcessStatistics
from boxoffice.domain.tickets.ticket_type import TicketType
from boxoffice.entrypoints.cli import main
from boxoffice.entrypoints.harness.simulation import Totals, simulate, simulate_here, simulate_many
from boxoffice.entrypoints.harness.simulation.scenario import DISASTERS, TROUBLES, scenario_of
from tests.command_line import run_command

BOXOFFICE: Final = Path(sys.executable).with_name("boxoffice")
OPERATIONS: Final = 200
PIECES: Final = 12

FAULTS: Final = frozenset(
    {
        *(set(TROUBLES) - {"crash-at-a-step"}),
        *(set(DISASTERS) - {"crash"}),
        *(f"crash:{step}" for step in ("begin", "lock", "load", "save", "commit", "committed", "read")),
        "crash:anywhere",
        "client-gone",
        "disable",
    }
)
"""All that can go wrong, and at every step that a process can die at; that it does so while it ends is too rare."""

OUTCOMES: Final = frozenset(
    {
        *(f"book {outcome}" for outcome in ("confirmed", "held", "waitlisted", "already-booked", "limit-exceeded")),
        *(f"book {outcome} again" for outcome in ("confirmed", "held", "waitlisted", "already-booked")),
        *(f"{call} unknown (Unavailable)" for call in ("book", "cancel", "pay", "status", "booking", "total")),
        *(f"{call} unknown (Gone)" for call in ("book", "cancel", "pay", "status", "booking", "total")),
        *(f"pay {outcome}" for outcome in ("confirmed", "payment-declined", "payment-not-due", "hold-expired")),
        *(f"{call} ok" for call in ("status", "total", "pause", "resume", "policy", "promote", "edit")),
        *(f"desk {outcome}" for outcome in ("confirmed", "held", "waitlisted", "already-booked", "not-allowed")),
        *(f"desk {outcome} again" for outcome in ("confirmed", "waitlisted", "already-booked")),
        *("desk unknown (Gone)", "desk unknown (Unavailable)"),
        "waiting_list ok",
        "book sold-out",
        "book exceeds-capacity",
        "book not-on-sale",
        "book unknown (TimeoutError)",
        "call_off ok",
        "cancel already-cancelled",
        "cancel cancelled",
        "cancel cancelled again",
        "cancel not-found",
        "complete ok",
        *(f"give_back {outcome}" for outcome in ("confirmed", "held", "waitlisted", "exceeds-booking")),
        *("give_back already-cancelled", "give_back payment-under-way"),
        *("give_back unknown (Gone)", "give_back unknown (Unavailable)"),
        *("pay unknown (PaymentUnknown)", "pay unknown (PaymentActionRequired)"),
        "total capacity-below-taken",
    }
)
"""What clients are answered, each of it in some seeds."""


@pytest.fixture(autouse=True)
def without_process_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """They say nothing about a simulation, and to read them as often as its clock says takes a fifth of its time."""
    monkeypatch.setattr(ProcessStatistics, "sample", lambda _: [])


@pytest.mark.slow
@pytest.mark.parametrize("piece", range(PIECES))
def test_every_promise_holds(
    piece: int, times: Callable[[int, int], int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    count = times(408, 12_000) // PIECES
    totals = simulate_here(range(piece * count, (piece + 1) * count), OPERATIONS)
    assert not totals.failures, "\n".join(
        f"{failure.problems[0]}\nreplay: boxoffice simulate --seed {failure.seed} --operations {OPERATIONS}"
        for failure in totals.failures
    )
    _check_together(piece, totals, tmp_path_factory.getbasetemp())


def _check_together(piece: int, totals: Totals, folder: Path) -> None:
    """Check, in the piece that ends last, that over all pieces everything happened."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    part = folder / f"simulation-{piece}.json"
    part.with_suffix(".part").write_text(json.dumps([totals.faults, totals.outcomes, totals.verdicts]))
    part.with_suffix(".part").rename(part)
    pieces = [json.loads(each.read_text()) for each in folder.glob("simulation-*.json")]
    if len(pieces) == PIECES:
        faults, outcomes, verdicts = (sum((Counter(each[kind]) for each in pieces), Counter()) for kind in range(3))
        assert FAULTS <= faults.keys() <= FAULTS | {"crash:ending"}, faults.keys() ^ FAULTS
        assert outcomes.keys() >= OUTCOMES, sorted(OUTCOMES - outcomes.keys())
        assert verdicts["linearizable"] > verdicts["undecided"] > 0


def test_a_seed_is_replayed_byte_for_byte(tmp_path: Path) -> None:
    """In other processes too, whose hashes of text differ."""

    def replay(hash_seed: str) -> tuple[str, bytes]:
        history = tmp_path / hash_seed
        ran = subprocess.run(
            [BOXOFFICE, "simulate", "--seed", "11", "--operations", "120", "--history", history],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout, history.read_bytes()

    first, second = replay("1"), replay("2")
    assert first == second
    here = simulate(11, 120)
    assert here.digest in first[0]
    assert here.history == first[1]


def test_seeds_differ_in_what_they_are_about() -> None:
    scenarios = [scenario_of(seed, OPERATIONS) for seed in range(200)]
    assert {each.processes for each in scenarios} == {1, 2, 3}
    assert {event.policy for each in scenarios for event in each.events} == {"strict", "fill"}
    assert all(8 <= each.clients <= 32 for each in scenarios)
    assert any(not each.troubles and not each.disasters for each in scenarios)
    assert set().union(*(each.troubles for each in scenarios)) == set(TROUBLES)
    assert set().union(*(each.disasters for each in scenarios)) == set(DISASTERS)


def test_several_processes_find_the_same() -> None:
    seeds = range(100, 140)
    assert simulate_many(seeds, 20, jobs=2) == simulate_many(seeds, 20, jobs=1)


# A simulation that finds nothing has to be one that could have.


async def holds_nothing(*_: object) -> bool:
    return False


def shared_lock(self: Locks, key: object, claim: Any = Locks.claim) -> Any:
    return claim(self, object())


def must_wait_for_tickets_only(self: TicketType, quantity: int, *_: object) -> bool:
    return quantity > self.available


@pytest.mark.parametrize(
    ("target", "name", "wrong", "problem"),
    [
        (MemoryEventRepository, "was_committed", holds_nothing, ""),
        (Locks, "claim", shared_lock, ""),
        (TicketType, "must_wait", must_wait_for_tickets_only, "promise 5"),
    ],
    ids=["a lookup that lies", "a lock that excludes no one", "a newcomer who jumps the line"],
)
def test_a_fault_is_found(
    target: type, name: str, wrong: Callable[..., Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, name, wrong)
    problems = (each for seed in range(50) for each in simulate(seed, OPERATIONS).problems)
    assert problem in next(problems)


# The command.


def test_it_says_what_happened_in_many_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seeds", "3", "--from", "4", "--operations", "30", "--jobs", "1"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("3 seeds from 4 on, 30 operations each, ")
    assert said.out.endswith("Every promise holds.\n")
    assert "3/3 seeds, 0 broken" in said.err


def test_a_seed_that_breaks_something_is_said_with_the_command_that_shows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TicketType, "must_wait", must_wait_for_tickets_only)
    assert main(["simulate", "--seeds", "20", "--jobs", "1"]) == 1
    said = capsys.readouterr().out
    command = next(line for line in said.splitlines() if "replay: boxoffice " in line).partition("boxoffice ")[2]
    assert main(command.split()) == 1
    alone = capsys.readouterr().out
    assert "BROKEN promise 5" in alone
    assert f"Replay: boxoffice {command}\n" in alone


def test_a_history_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seed", "1", "--operations", "5", "--history", str(tmp_path)]) == 1
    assert f"The history cannot be written to {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["--history h.jsonl", "--seed -1", "--seeds 0", "--operations many"])
def test_wrong_use_is_reported(arguments: str, tmp_path: Path) -> None:
    ran = run_command(("simulate", *arguments.split()), tmp_path, os.environ)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert arguments.split(maxsplit=1)[0] in ran.stderr
