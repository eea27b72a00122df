"""What the tests of clusters need of a cluster of any kind."""

import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, Self, TypeVar

from sqlalchemy.engine import make_url

from tests import mariadb
from tests.mariadb import MariaDB

DATABASE: Final = "boxoffice"

WITHIN: Final = 60.0
"""Seconds, for a loaded machine."""


class Node(MariaDB):
    """One server of a cluster."""

    waits: str
    """The statement after which a session sees everything that the cluster has committed."""

    @property
    def url(self) -> str:
        """Return the URL of the application's database on this node."""
        return make_url(self.admin_url).set(database=DATABASE).render_as_string(hide_password=False)

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement after the node has applied everything that the cluster has committed; return the rows."""
        return mariadb.execute(self.url, self.waits, statement)


AnyNode = TypeVar("AnyNode", bound=Node)


class Cluster(ABC, Generic[AnyNode]):
    """A cluster of three nodes with the application's schema."""

    def __init__(self) -> None:
        self.directory: Final = Path(tempfile.mkdtemp(prefix="boxoffice-cluster-"))
        self.nodes: list[AnyNode] = []

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill all nodes and remove their files."""
        for node in self.nodes:
            node.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    @abstractmethod
    def start(self) -> None:
        """Start all nodes, with an empty database."""

    @abstractmethod
    def mend(self) -> None:
        """Bring all nodes back into one cluster."""

    @abstractmethod
    def are_ready(self, nodes: Sequence[AnyNode]) -> bool:
        """Return whether exactly these nodes form the cluster and serve."""

    @abstractmethod
    def writers(self, nodes: Sequence[AnyNode]) -> list[AnyNode]:
        """Return those of these nodes that take writes."""

    @abstractmethod
    def conflicts(self) -> int:
        """Return how many transactions were rolled back because of a conflict with another node's."""

    def wait_until_ready(self, *nodes: AnyNode) -> None:
        """Wait until exactly these nodes form the cluster; by default all nodes."""
        self.wait_until(lambda: self.are_ready(nodes or self.nodes))

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Poll a condition. Raises: AssertionError with the nodes' logs after a minute."""
        deadline = time.monotonic() + WITHIN
        while not is_so():
            assert time.monotonic() < deadline, self._logs()
            time.sleep(0.05)

    def content(self, node: AnyNode) -> dict[str, object]:
        """Return the rows of each table on a node."""
        # Not CHECKSUM TABLE, which depends on the order of the rows.
        return {str(name): sorted(node.rows(f"SELECT * FROM {name}"), key=repr) for (name,) in node.rows("SHOW TABLES")}

    def _logs(self) -> str:
        return "\n\n".join(node.log.read_text(errors="replace")[-3000:] for node in self.nodes)
