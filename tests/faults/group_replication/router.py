"""MySQL Router with static routing in front of a group."""

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from sqlalchemy.engine import make_url

from tests import mysql
from tests.faults.group_replication.cluster import Cluster, Member
from tests.faults.service import free_port
from tests.mariadb import DIE_WITH_ME

CONFIGURATION: Final = """\
[DEFAULT]
logging_folder = {directory}
runtime_folder = {directory}
data_folder = {directory}
plugin_folder = {plugins}

[logger]
level = INFO

[routing:writes]
bind_address = 127.0.0.1
bind_port = {port}
destinations = {destinations}
routing_strategy = first-available
protocol = classic
connect_timeout = 1
"""


class Router:
    """A router that sends connections to the first of these members that accepts them."""

    def __init__(self, directory: Path, members: Sequence[Member]) -> None:
        self._port: Final = free_port()
        self._members = members
        self._log = directory / "router.log"
        self._file = directory / "mysqlrouter.conf"
        self._file.write_text(
            CONFIGURATION.format(
                directory=directory,
                plugins=mysql.router_plugins(),
                port=self._port,
                destinations=",".join(member.address for member in members),
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the URL of the application's database through the router."""
        return make_url(self._members[0].url).set(port=self._port).render_as_string(hide_password=False)

    def start(self, cluster: Cluster) -> Self:
        """Start, and wait until it accepts connections."""
        command = [*mysql.program("mysqlrouter"), *mysql.as_router_user(), "-c", str(self._file)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", DIE_WITH_ME, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        cluster.wait_until(self._is_listening)
        return self

    def _is_listening(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=5).close()
        except OSError:
            return False
        return True
