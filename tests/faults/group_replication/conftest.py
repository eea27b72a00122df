"""A group for all tests of a worker, repaired and emptied between them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import emptied
from tests.faults.group_replication.cluster import Cluster


@pytest.fixture(scope="session")
def started_cluster(mysql_template: Path) -> Iterator[Cluster]:
    """Start a group of three members."""
    with Cluster(mysql_template) as cluster:
        yield cluster


@pytest.fixture
def cluster(started_cluster: Cluster) -> Iterator[Cluster]:
    """Return the group with several primaries and empty tables, and bring all members back afterwards."""
    started_cluster.set_mode(has_several_primaries=True)
    emptied(started_cluster.nodes[0].url)
    yield started_cluster
    started_cluster.mend()


@pytest.fixture
def single_primary(cluster: Cluster) -> Cluster:
    """Return the same group with one primary."""
    return cluster.set_mode(has_several_primaries=False)
