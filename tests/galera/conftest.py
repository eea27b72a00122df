"""A cluster for the tests of a worker, whole again before each of them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import mariadb
from tests.concurrency.crew import Crew, Process
from tests.databases import emptied

from .cluster import HOW_TO_GET_IT, Cluster, Node, is_installed


@pytest.fixture(scope="session")
def started_cluster(mariadb_template: Path) -> Iterator[Cluster]:
    """Three nodes, one cluster."""
    if not is_installed():
        if os.environ.get(mariadb.URL_VARIABLE):
            pytest.skip("needs a cluster of its own, and there is no Galera here")
        pytest.fail(HOW_TO_GET_IT, pytrace=False)
    with Cluster(mariadb_template) as cluster:
        yield cluster


@pytest.fixture
def cluster(started_cluster: Cluster) -> Iterator[Cluster]:
    """The same three nodes, with nothing in their tables but the schema; whatever became of them is mended."""
    emptied(started_cluster.nodes[0].url)
    yield started_cluster
    started_cluster.mend()


@pytest.fixture(scope="session")
def process_pool() -> Iterator[list[Process]]:
    """Processes that one test has left for the next."""
    pool: list[Process] = []
    yield pool
    for process in pool:
        process.kill()


@pytest.fixture
def crew_on(process_pool: list[Process]) -> Iterator[Callable[[Node], Crew]]:
    """`crew_on(node)`: processes that work on that node."""
    crews: list[Crew] = []

    def hire(node: Node) -> Crew:
        crews.append(Crew(node.url, process_pool))
        return crews[-1]

    yield hire
    for crew in crews:
        crew.dismiss()
