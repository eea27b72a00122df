"""Every promise as an invariant of one state machine: in memory, on all adapters in lockstep, and over HTTP.

A run that fails is reported as it was found, in time. With `--long` it is searched again and shrunk: what
was kept of a run that was not shrunk, Hypothesis takes to be as short as it can be.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from structlog.testing import capture_logs

from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.harness import BoxOffice, BoxOfficeMachine, HarnessClock, InProcess, Lockstep
from boxoffice.entrypoints.settings import Settings
from tests import mariadb, servers
from tests.databases import emptied, migrated
from tests.properties.over_http import OverHttp

SECRET = "a secret of the tests, long enough"

SHRUNK = tuple(phase for phase in Phase if phase is not Phase.reuse)
AS_FOUND = tuple(phase for phase in Phase if phase not in (Phase.shrink, Phase.explain))

Times = Callable[[int, int], int]


def tried(examples: int, steps: int, *, phases: tuple[Phase, ...]) -> settings:
    """So many runs of so many steps."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=phases,
        print_blob=False,
    )


@pytest.fixture(scope="session")
def phases(pytestconfig: pytest.Config) -> tuple[Phase, ...]:
    """Whether a run that fails is shrunk, for which Hypothesis takes five minutes at most."""
    return SHRUNK if pytestconfig.getoption("--long") else AS_FOUND


def on(database_url: str) -> Container:
    return make_container(Settings(database_url=database_url, jwt_secret=SECRET, rate_limits=False))


def fresh_copy(template: Path, folder: Path) -> str:
    """The URL of an empty database in a folder that holds nothing else."""
    for leftover in folder.iterdir():
        leftover.unlink()
    shutil.copy(template, folder / "boxoffice.db")
    return f"sqlite+aiosqlite:///{folder / 'boxoffice.db'}"


@pytest.mark.timeout(1_800)
def test_the_promises_hold_in_memory(times: Times, phases: tuple[Phase, ...]) -> None:
    class InMemory(BoxOfficeMachine):
        async def make_box_office(self, clock: HarnessClock) -> BoxOffice:
            return InProcess(on("memory://"), clock)

    run_state_machine_as_test(InMemory, settings=tried(times(300, 5_000), 40, phases=phases))


@pytest.fixture
def on_servers(request: pytest.FixtureRequest, migrated_mysql_url: str) -> Iterator[dict[str, str]]:
    """Migrated databases: one of MariaDB, and in a run with MySQL one of each."""
    if servers.KIND == "mariadb":
        yield {"MariaDB": migrated_mysql_url}
        return
    template: Path = request.getfixturevalue("mariadb_template")
    with mariadb.MariaDB(template) as server, mariadb.fresh_database(server.admin_url) as url:
        yield {"MySQL": migrated_mysql_url, "MariaDB": migrated(url)}


@pytest.mark.timeout(1_800)
def test_all_adapters_keep_them_in_lockstep(
    times: Times, phases: tuple[Phase, ...], sqlite_template: Path, tmp_path: Path, on_servers: dict[str, str]
) -> None:
    class OnAll(BoxOfficeMachine):
        async def make_box_office(self, clock: HarnessClock) -> BoxOffice:
            urls = {
                "memory": "memory://",
                "SQLite": fresh_copy(sqlite_template, tmp_path),
                **{name: emptied(url) for name, url in on_servers.items()},
            }
            return Lockstep({name: InProcess(on(url), clock) for name, url in urls.items()})

    run_state_machine_as_test(OnAll, settings=tried(times(12, 400), 25, phases=phases))


@pytest.mark.timeout(1_800)
def test_they_hold_over_http(times: Times, phases: tuple[Phase, ...]) -> None:
    class Served(BoxOfficeMachine):
        async def make_box_office(self, clock: HarnessClock) -> BoxOffice:
            return Lockstep(
                {
                    "in process": InProcess(on("memory://"), clock),
                    "over HTTP": OverHttp(on("memory://"), clock),
                }
            )

    structlog.reset_defaults()
    with capture_logs():
        run_state_machine_as_test(Served, settings=tried(times(40, 800), 25, phases=phases))
