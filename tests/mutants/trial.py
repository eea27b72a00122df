"""One fault tried: a copy of the package with it, and the tests that should notice."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from .watch import Failed

Tried = TypeVar("Tried")

HERE: Final = Path(__file__).resolve().parents[2]
"""Where `tests` is found."""

OVERHEAD: Final = 60.0
"""Seconds that starting pytest, and a server for it, may take on a busy machine."""


class Change(Struct, frozen=True):
    """A text that stands once in a file, given by its path below the package, and what stands there instead."""

    file: str
    old: str
    new: str


class Fault(Struct, frozen=True):
    """What is wrong, said as a sentence, how the code is changed for it, and the tests that should notice."""

    name: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]


class DoesNotApply(Exception):
    """A text that should be replaced does not stand in its file exactly once, or what comes of it is no Python."""


class Project(Struct, frozen=True, kw_only=True):
    """Where the package and its tests are; a single test that takes longer than `seconds` hangs."""

    root: Path
    package: Path
    environment: Mapping[str, str]
    seconds: int = 120


class Outcome(StrEnum):
    """What became of a trial. Only a test that ran and failed has caught a fault."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    HUNG = "HUNG"
    BROKEN = "BROKEN"


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of a trial, which test said so and why, and the seconds that it took."""

    outcome: Outcome
    seconds: float
    test: str = ""
    why: str = ""


def mutated(package: Path, fault: Fault) -> dict[str, str]:
    """The files that a fault changes, as they are with it. Raises: DoesNotApply."""
    texts: dict[str, str] = {}
    for change in fault.changes:
        if change.file not in texts:
            if not (package / change.file).is_file():
                raise DoesNotApply(f"there is no {change.file}")
            texts[change.file] = (package / change.file).read_text()
        found = texts[change.file].count(change.old)
        if found != 1:
            raise DoesNotApply(f"stands {found} times in {change.file}: {change.old!r}")
        texts[change.file] = texts[change.file].replace(change.old, change.new)
    for file, text in texts.items():
        try:
            compile(text, file, "exec")
        except SyntaxError as error:
            raise DoesNotApply(f"{file} is no Python any more: {error}") from error
    return texts


def try_tests(project: Project, tests: Iterable[str], fault: Fault | None = None) -> Verdict:
    """Run tests against a copy of the package, with this fault or as it is."""
    try:
        texts = mutated(project.package, fault) if fault else {}
    except DoesNotApply as error:
        return Verdict(outcome=Outcome.BROKEN, seconds=0, why=str(error))
    with tempfile.TemporaryDirectory(prefix="boxoffice-mutant-", ignore_cleanup_errors=True) as name:
        # With its compiled files, which hold as long as the sources keep their times: the start is quicker.
        package = Path(name) / "copy" / "boxoffice"
        shutil.copytree(project.package, package)
        for file, text in texts.items():
            (package / file).write_text(text)
        began = monotonic()
        code, said = _run(project, Path(name), tests)
        return _judged(code, said, Path(name) / "told", monotonic() - began)


def try_all(project: Project, faults: Iterable[Fault], jobs: int) -> Iterator[tuple[Fault, Verdict]]:
    """Each fault with its verdict, in their order, so many at a time."""
    return _side_by_side([(fault, partial(try_tests, project, fault.tests, fault)) for fault in faults], jobs)


def try_unchanged(project: Project, faults: Iterable[Fault], jobs: int) -> Iterator[tuple[tuple[str, ...], Verdict]]:
    """Each selection of tests against the package as it is, once. Only what survives this proves anything."""
    selections = dict.fromkeys(fault.tests for fault in faults)
    return _side_by_side([(tests, partial(try_tests, project, tests)) for tests in selections], jobs)


def _side_by_side(trials: Iterable[tuple[Tried, Callable[[], Verdict]]], jobs: int) -> Iterator[tuple[Tried, Verdict]]:
    with ThreadPoolExecutor(jobs) as threads:
        begun = [(tried, threads.submit(trial)) for tried, trial in trials]
        try:
            for tried, verdict in begun:
                yield tried, verdict.result()
        finally:
            # Whoever interrupts waits for those that run, and not for all the others.
            threads.shutdown(wait=False, cancel_futures=True)


def _run(project: Project, folder: Path, tests: Iterable[str]) -> tuple[int | None, str]:
    """The exit code, None where it did not end in time, and what was said."""
    command = [
        *(sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "--timeout", str(project.seconds)),
        *("-p", "no:cacheprovider", "-p", "tests.mutants.watch"),
        *("--told", str(folder / "told"), "--basetemp", str(folder / "pytest"), *tests),
    ]
    environment = {**project.environment, "PYTHONPATH": os.pathsep.join([str(folder / "copy"), str(HERE)])}
    environment.pop("PYTEST_ADDOPTS", None)
    said = folder / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=project.root, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            code: int | None = process.wait(project.seconds * 2 + OVERHEAD)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            # With all that it started, while its id is still its own.
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return code, said.read_text(errors="replace")


def _judged(code: int | None, said: str, told: Path, seconds: float) -> Verdict:
    if code == 0:
        return Verdict(outcome=Outcome.SURVIVED, seconds=seconds)
    if not told.exists():
        outcome = Outcome.HUNG if code is None else Outcome.BROKEN
        return Verdict(outcome=outcome, seconds=seconds, why=said.strip()[-2_000:])
    failed = msgspec.json.decode(told.read_bytes(), type=Failed)
    if failed.has_hung or code is None:
        outcome = Outcome.HUNG
    elif failed.phase == "call" and not failed.never_ran:
        outcome = Outcome.CAUGHT
    else:
        outcome = Outcome.BROKEN
    return Verdict(outcome=outcome, seconds=seconds, test=failed.test, why=failed.why)
