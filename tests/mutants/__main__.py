"""Put each fault into a copy of the package and check that a test fails: `python -m tests.mutants [word …]`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import mariadb, mysql

from .faults import FAULTS
from .trial import HERE, Fault, Outcome, Project, Verdict, try_all, try_unchanged


def main(arguments: Sequence[str], project: Project, faults: Sequence[Fault]) -> int:
    """Try the faults whose names contain one of the words, or all. Return 1 if one survives, 2 for wrong use."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="try only faults whose names contain one of these words")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="number of concurrent trials")
    parser.add_argument("--why", action="store_true", help="print the failure of the test that caught the fault")
    options = parser.parse_args(arguments)
    chosen = [
        each for each in faults if not options.words or any(word.lower() in each.name.lower() for word in options.words)
    ]
    if not chosen:
        _say("No fault has such a name.")
        return 2
    if not mysql.is_installed() and any(each.server == "mysql" for each in chosen):
        _say("Faults that need MySQL are not tried, because there is no server here: run tools/mysql.sh.")
        chosen = [each for each in chosen if each.server != "mysql"]
    is_sound = True
    for tests, verdict in try_unchanged(project, chosen, options.jobs):
        if verdict.outcome is not Outcome.SURVIVED:
            is_sound = False
            _say(f"These tests fail without any fault, so they prove nothing: {' '.join(tests)}\n{_why(verdict)}")
    if not is_sound:
        return 1
    survivors: list[str] = []
    for fault, verdict in try_all(project, chosen, options.jobs):
        if verdict.outcome is Outcome.CAUGHT:
            _say(f"{fault.name}: caught by {verdict.test} in {verdict.seconds:.1f} s")
            if options.why:
                _say(_why(verdict))
        else:
            survivors.append(fault.name)
            _say(f"{fault.name}: {verdict.outcome} in {verdict.seconds:.1f} s {verdict.test}\n{_why(verdict)}")
    _say(f"{len(chosen) - len(survivors)} of {len(chosen)} faults were caught.")
    return 1 if survivors else 0


@contextmanager
def with_mariadb(environment: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Return the environment with the URL of a server that all trials share. Raises: MariaDBMissing."""
    if environment.get(mariadb.URL_VARIABLE):
        yield environment
        return
    with (
        tempfile.TemporaryDirectory(prefix="boxoffice-mutants-") as folder,
        mariadb.MariaDB(mariadb.template(Path(folder))) as server,
    ):
        yield {**environment, mariadb.URL_VARIABLE: server.admin_url}


def _why(verdict: Verdict) -> str:
    return "".join(f"    {line}\n" for line in verdict.why.splitlines()[:12]).rstrip()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n".rstrip() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with with_mariadb(os.environ) as with_server:
        sys.exit(main(sys.argv[1:], Project(root=HERE, package=HERE / "src", environment=with_server), FAULTS))
