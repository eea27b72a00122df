"""The trial of a fault: run the tests that should fail against a copy of the package with the fault."""

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
from msgspec.structs import replace

from tests import mariadb, servers

from .watch import Failed

Tried = TypeVar("Tried")

HERE: Final = Path(__file__).resolve().parents[2]
"""The directory of `tests`."""

OVERHEAD: Final = 60.0
"""Seconds to start pytest, and a server for it, on a busy machine."""


class Change(Struct, frozen=True):
    """The replacement of a text that occurs once in a file, given by its path below the package."""

    file: str
    old: str
    new: str


class Fault(Struct, frozen=True):
    """A fault, described by a sentence, with the changes of the code and the tests that should fail.

    `server` is the kind of server on which the tests run.
    """

    name: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]
    server: str = "mariadb"


class DoesNotApply(Exception):
    """A text to replace does not occur exactly once in its file, or the result is not valid Python."""


class Project(Struct, frozen=True, kw_only=True):
    """A package and its tests. A test that takes longer than `seconds` counts as hanging."""

    root: Path
    package: Path
    environment: Mapping[str, str]
    seconds: int = 120

    def on(self, server: str) -> "Project":
        """Return the project with its tests on this kind of server. Those on MySQL start their own."""
        environment = {**self.environment, servers.VARIABLE: server}
        if server == "mysql":
            environment.pop(mariadb.URL_VARIABLE, None)
        return replace(self, environment=environment)


class Outcome(StrEnum):
    """The outcome of a trial. A fault is caught only if a test ran and failed."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    HUNG = "HUNG"
    BROKEN = "BROKEN"


class Verdict(Struct, frozen=True, kw_only=True):
    """The outcome of a trial, the test that decided it and its failure, and the duration in seconds."""

    outcome: Outcome
    seconds: float
    test: str = ""
    why: str = ""


def mutated(package: Path, fault: Fault) -> dict[str, str]:
    """Return the files that a fault changes, with their changed text. Raises: DoesNotApply."""
    texts: dict[str, str] = {}
    for change in fault.changes:
        if change.file not in texts:
            if not (package / change.file).is_file():
                raise DoesNotApply(f"{change.file} does not exist")
            texts[change.file] = (package / change.file).read_text()
        found = texts[change.file].count(change.old)
        if found != 1:
            raise DoesNotApply(f"occurs {found} times in {change.file}: {change.old!r}")
        texts[change.file] = texts[change.file].replace(change.old, change.new)
    # Others are templates.
    for file, text in texts.items():
        if not file.endswith(".py"):
            continue
        try:
            compile(text, file, "exec")
        except SyntaxError as error:
            raise DoesNotApply(f"{file} is no longer valid Python: {error}") from error
    return texts


def try_tests(project: Project, tests: Iterable[str], fault: Fault | None = None) -> Verdict:
    """Run tests against a copy of the package, with or without a fault."""
    try:
        texts = mutated(project.package, fault) if fault else {}
    except DoesNotApply as error:
        return Verdict(outcome=Outcome.BROKEN, seconds=0, why=str(error))
    with tempfile.TemporaryDirectory(prefix="boxoffice-mutant-", ignore_cleanup_errors=True) as name:
        # With the compiled files, which stay valid because the copies keep their times: imports are faster.
        package = Path(name) / "copy" / "boxoffice"
        shutil.copytree(project.package, package)
        for file, text in texts.items():
            (package / file).write_text(text)
        began = monotonic()
        code, output = _run(project, Path(name), tests)
        return _judge(code, output, Path(name) / "failure", monotonic() - began)


def try_all(project: Project, faults: Iterable[Fault], jobs: int) -> Iterator[tuple[Fault, Verdict]]:
    """Yield each fault with its verdict, in order, with `jobs` concurrent trials."""
    return _side_by_side(
        [(fault, partial(try_tests, project.on(fault.server), fault.tests, fault)) for fault in faults], jobs
    )


def try_unchanged(project: Project, faults: Iterable[Fault], jobs: int) -> Iterator[tuple[tuple[str, ...], Verdict]]:
    """Yield a verdict for each selection of tests without a fault. A selection that fails proves nothing."""
    selections = dict.fromkeys((fault.tests, fault.server) for fault in faults)
    return _side_by_side([(tests, partial(try_tests, project.on(server), tests)) for tests, server in selections], jobs)


def _side_by_side(trials: Iterable[tuple[Tried, Callable[[], Verdict]]], jobs: int) -> Iterator[tuple[Tried, Verdict]]:
    with ThreadPoolExecutor(jobs) as threads:
        begun = [(tried, threads.submit(trial)) for tried, trial in trials]
        try:
            for tried, verdict in begun:
                yield tried, verdict.result()
        finally:
            # An interrupt waits for running trials only.
            threads.shutdown(wait=False, cancel_futures=True)


def _run(project: Project, folder: Path, tests: Iterable[str]) -> tuple[int | None, str]:
    """Return the exit code (None after the timeout) and the output."""
    command = [
        *(sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "--timeout", str(project.seconds)),
        *("-p", "no:cacheprovider", "-p", "tests.mutants.watch"),
        *("--failure-report", str(folder / "failure"), "--basetemp", str(folder / "pytest"), *tests),
    ]
    environment = {**project.environment, "PYTHONPATH": os.pathsep.join([str(folder / "copy"), str(HERE)])}
    environment.pop("PYTEST_ADDOPTS", None)
    log = folder / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=project.root, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            code: int | None = process.wait(project.seconds * 2 + OVERHEAD)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            # The whole process group, whose id is valid until `wait`.
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return code, log.read_text(errors="replace")


def _judge(code: int | None, output: str, report: Path, seconds: float) -> Verdict:
    if code == 0:
        return Verdict(outcome=Outcome.SURVIVED, seconds=seconds)
    if not report.exists():
        outcome = Outcome.HUNG if code is None else Outcome.BROKEN
        return Verdict(outcome=outcome, seconds=seconds, why=output.strip()[-2_000:])
    failed = msgspec.json.decode(report.read_bytes(), type=Failed)
    if failed.has_hung or code is None:
        outcome = Outcome.HUNG
    elif failed.phase == "call" and not failed.never_ran:
        outcome = Outcome.CAUGHT
    else:
        outcome = Outcome.BROKEN
    return Verdict(outcome=outcome, seconds=seconds, test=failed.test, why=failed.why)
