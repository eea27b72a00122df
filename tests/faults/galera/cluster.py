"""A Galera cluster of three servers on loopback, whose nodes can be stopped, killed, paused and isolated."""

import os
import re
import secrets
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self

from asyncmy.errors import OperationalError

from tests import mariadb
from tests.databases import migrated
from tests.faults import cluster
from tests.faults.cluster import DATABASE, WITHIN
from tests.faults.service import free_port

HOW_TO_GET_IT: Final = "No Galera library here: run tools/galera.sh"

_LIBRARIES: Final = tuple(
    Path(folder, "libgalera_smm.so")
    for folder in ("/usr/lib/galera", "/usr/lib64/galera", "/usr/lib64/galera-4", "/usr/lib")
)

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


class Node(cluster.Node):
    """One server of a cluster, which can start again after any end and catch up."""

    waits = "SET SESSION wsrep_sync_wait = 15"

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

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Stop the process until the context ends."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

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

    def _position(self) -> str:
        """Recover the position of the node's data, which no file contains after a crash."""
        command = [*self.command(self.port), "--wsrep-recover"]
        recovered = subprocess.run(
            [each for each in command if each not in self._further],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=WITHIN,
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


class Cluster(cluster.Cluster[Node]):
    """A Galera cluster. Every node takes writes."""

    def __init__(self, template_directory: Path) -> None:
        super().__init__()
        self._template = template_directory
        self._password = secrets.token_hex(16)

    def start(self) -> None:
        """See `cluster.Cluster`."""
        first = self._node(self._template)
        first.found_group()
        # A node accepts connections before it accepts writes.
        self.wait_until_ready(first)
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

    def _node(self, template_directory: Path) -> Node:
        node = Node(template_directory, password=self._password, transfers=self.directory)
        self.nodes.append(node)
        return node

    def mend(self) -> None:
        """See `cluster.Cluster`."""
        for node in self.nodes:
            if not node.is_running:
                node.kill()
                node.join()
            else:
                node.resume()
                node.reconnect()
        self.wait_until_ready()

    def are_ready(self, nodes: Sequence[Node]) -> bool:
        """See `cluster.Cluster`."""
        return all(node.is_ready(len(nodes)) for node in nodes)

    def writers(self, nodes: Sequence[Node]) -> list[Node]:
        """See `cluster.Cluster`."""
        return [node for node in nodes if node.status("wsrep_ready") == "ON"]

    def wait_until_refused(self, node: Node) -> None:
        """Wait until a node knows that it is isolated and refuses to serve."""
        self.wait_until(lambda: node.status("wsrep_ready") == "OFF")

    def conflicts(self) -> int:
        """See `cluster.Cluster`."""
        names = ("wsrep_local_cert_failures", "wsrep_local_bf_aborts")
        return sum(int(node.status(name) or 0) for node in self.nodes for name in names)
