"""A cluster for all tests of a worker, repaired and emptied between them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import mariadb
from tests.databases import emptied
from tests.faults.galera.cluster import HOW_TO_GET_IT, Cluster, is_installed


@pytest.fixture(scope="session")
def started_cluster(mariadb_template: Path) -> Iterator[Cluster]:
    """Start a cluster of three nodes."""
    if not is_installed():
        if os.environ.get(mariadb.URL_VARIABLE):
            pytest.skip("needs a cluster of its own, and Galera is not installed")
        pytest.fail(HOW_TO_GET_IT, pytrace=False)
    with Cluster(mariadb_template) as cluster:
        yield cluster


@pytest.fixture
def cluster(started_cluster: Cluster) -> Iterator[Cluster]:
    """Return the cluster with empty tables, and bring all nodes back afterwards."""
    emptied(started_cluster.nodes[0].url)
    yield started_cluster
    started_cluster.mend()
