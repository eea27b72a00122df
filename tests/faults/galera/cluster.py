"""A Galera cluster of three servers on loopback, whose nodes can be stopped, killed, paused and isolated."""

import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

from asyncmy.errors import OperationalError
from sqlalchemy.engine import make_url

from tests import mariadb
from tests.databases import migrated
from tests.faults.service import free_port

DATABASE: Final = "boxoffice"
HOW_TO_GET_IT: Final = "No Galera library here: run tools/galera.sh"

_LIBRARIES: Final = tuple(
    Path(folder, "libgalera_smm.so")
    for folder in ("/usr/lib/galera", "/usr/lib64/galera", "/usr/lib64/galera-4", "/usr/lib")
)
_WITHIN: Final = 60.0  # seconds, for a loaded machine

# A silent node is expelled after two seconds instead of five, and after six at most, because tests wait for it.
_PATIENCE: Final = (
    "evs.keepalive_period=PT0.2S",
    "evs.inactive_check_period=PT0.2S",
    "evs.suspect_timeout=PT2S",
    "evs.inactive_timeout=PT6S",
    "evs.install_timeout=PT3S",
)


def is_installed() -> bool:
    """Return whether Galera's library is installed."""
    return any(path.exists() for path in _LIBRARIES)


class Node(mariadb.MariaDB):
    """One server of a cluster, which can start again after any end and catch up."""

    def __init__(self, template_directory: Path, *, password: str, transfers: Path) -> None:
        super().__init__(template_directory, password=password)
        # The users come with the cluster's data, so a joining node must not replicate its init file.
        self.init_file.write_text(f"SET SESSION wsrep_on = OFF;\n{self.init_file.read_text()}")
        self.port = free_port()
        self.group_port: Final = free_port()
        self._transfer_port: Final = free_port()
        self._transfers = transfers
        self._further: tuple[str, ...] = ()
        self.peers: Sequence[Node] = (self,)

    @property
    def url(self) -> str:
        """Return the URL of the application's database on this node."""
        return make_url(self.admin_url).set(database=DATABASE).render_as_string(hide_password=False)

    def found_group(self) -> Self:
        """Start as the first node of a new cluster."""
        self._further = ("--wsrep-new-cluster",)
        return self.start()

    def join(self) -> Self:
        """Start, join the running cluster and catch up."""
        self._further = (f"--wsrep-start-position={self._position()}",)
        return self.start()

    def cut_off(self) -> None:
        """Isolate the node from all other nodes, but not from its clients."""
        mariadb.execute(self.admin_url, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'")

    def reconnect(self) -> None:
        """Undo `cut_off`."""
        mariadb.execute(self.admin_url, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'")

    def status(self, name: str) -> str:
        """Return a status variable, also while the node is not ready; "" if the node does not run."""
        if not self.is_running:
            return ""
        found = mariadb.execute(self.admin_url, f"SHOW GLOBAL STATUS LIKE '{name}'")
        return str(found[0][1]) if found else ""

    def is_ready(self, size: int) -> bool:
        """Return whether the node serves in a cluster of `size` nodes."""
        names = ("ready", "local_state_comment", "cluster_size")
        try:
            found = {name: self.status(f"wsrep_{name}") for name in names}
        except OperationalError:
            return False  # A joining node may close connections until it has caught up.
        return found == {"ready": "ON", "local_state_comment": "Synced", "cluster_size": str(size)}

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement after the node has applied all write sets of the cluster, and return the rows."""
        return mariadb.execute(self.url, "SET SESSION wsrep_sync_wait = 15", statement)

    def _position(self) -> str:
        """Recover the position of the node's data, which no file contains after a crash."""
        command = [*self.command(self.port), "--wsrep-recover"]
        recovered = subprocess.run(
            [each for each in command if each not in self._further],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=_WITHIN,
        )
        found = re.search(r"Recovered position: *(\S+)", recovered.stderr)
        assert found, recovered.stderr
        return found[1]

    def command(self, port: int) -> list[str]:
        """Return the command line with the options of the cluster."""
        library = next(path for path in _LIBRARIES if path.exists())
        options = [
            f"gmcast.listen_addr=tcp://127.0.0.1:{self.group_port}",
            f"ist.recv_addr=127.0.0.1:{self._transfer_port}",
            "gcache.size=16M",
            *_PATIENCE,
        ]
        return [
            *super().command(port),
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--wsrep-on=ON",
            f"--wsrep-provider={library}",
            f"--wsrep-provider-options={';'.join(options)}",
            "--wsrep-cluster-address=gcomm://" + ",".join(f"127.0.0.1:{each.group_port}" for each in self.peers),
            f"--wsrep-node-address=127.0.0.1:{self.group_port}",
            "--wsrep-sst-method=ist",
            *self._further,
        ]

    def environment(self) -> dict[str, str]:
        """Return the environment of the process, in which Galera's library finds `wsrep_sst_ist`."""
        environment = super().environment()
        scripts = str(Path(__file__).parent)
        return {
            **environment,
            "PATH": os.pathsep.join([scripts, environment.get("PATH", os.defpath)]),
            "BOXOFFICE_TRANSFERS": str(self._transfers),
            "BOXOFFICE_NODE": f"127.0.0.1:{self._transfer_port}",
        }


class Cluster:
    """A cluster of three nodes with the application's schema."""

    def __init__(self, template_directory: Path) -> None:
        self.directory: Final = Path(tempfile.mkdtemp(prefix="boxoffice-galera-"))
        self._template = template_directory
        self._password = secrets.token_hex(16)
        self.nodes: list[Node] = []

    def __enter__(self) -> Self:
        try:
            return self._start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill all nodes and remove their files."""
        for node in self.nodes:
            node.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> Self:
        first = self._node(self._template)
        first.found_group()
        # A node accepts connections before it accepts writes.
        wait_until(lambda: first.is_ready(1), self._logs)
        mariadb.execute(first.admin_url, f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        migrated(first.url)
        first.stop()
        # The other nodes start with a copy of its data, so only later writes have to be transferred.
        for _ in range(2):
            self._node(first.data)
        for node in self.nodes:
            node.peers = self.nodes
        first.found_group()
        for node in self.nodes[1:]:
            node.join()
        self.wait_until_ready()
        return self

    def _node(self, template_directory: Path) -> Node:
        node = Node(template_directory, password=self._password, transfers=self.directory)
        self.nodes.append(node)
        return node

    def mend(self) -> None:
        """Bring all nodes back into one cluster."""
        for node in self.nodes:
            if not node.is_running:
                node.kill()
                node.join()
            else:
                node.resume()
                node.reconnect()
        self.wait_until_ready()

    def wait_until_ready(self, *nodes: Node) -> None:
        """Wait until exactly these nodes form the cluster; by default all nodes."""
        together = nodes or tuple(self.nodes)
        wait_until(lambda: all(node.is_ready(len(together)) for node in together), self._logs)

    def wait_until_refused(self, node: Node) -> None:
        """Wait until a node knows that it is isolated and refuses to serve."""
        wait_until(lambda: node.status("wsrep_ready") == "OFF", self._logs)

    def conflicts(self) -> int:
        """Return how many transactions were rolled back because of a conflict with another node's."""
        names = ("wsrep_local_cert_failures", "wsrep_local_bf_aborts")
        return sum(int(node.status(name) or 0) for node in self.nodes for name in names)

    def content(self, node: Node) -> dict[str, object]:
        """Return the rows of each table on a node."""
        # Not CHECKSUM TABLE, which depends on the order of the rows.
        return {str(name): sorted(node.rows(f"SELECT * FROM {name}"), key=repr) for (name,) in node.rows("SHOW TABLES")}

    def _logs(self) -> str:
        return "\n\n".join(node.log.read_text(errors="replace")[-3000:] for node in self.nodes)


def wait_until(is_so: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Poll a condition. Raises: AssertionError with the text of `otherwise` after a minute."""
    deadline = time.monotonic() + _WITHIN
    while not is_so():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.05)
