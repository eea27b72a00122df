"""MySQL Router with static routing in front of a group."""

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from sqlalchemy.engine import make_url

from tests import mysql
from tests.faults.group_replication.cluster import Member
from tests.faults.service import free_port
from tests.mariadb import DIE_WITH_ME

CONFIGURATION: Final = """\
[routing:boxoffice]
bind_address = 127.0.0.1
bind_port = {port}
destinations = {destinations}
routing_strategy = first-available
protocol = classic
connect_timeout = 1
"""

_FOLDERS: Final = """\
[DEFAULT]
logging_folder = {directory}
runtime_folder = {directory}
data_folder = {directory}
plugin_folder = {plugins}

"""


class Router:
    """A router that leads connections to one of these members, the first of them if it can."""

    def __init__(self, directory: Path, members: Sequence[Member]) -> None:
        self._port: Final = free_port()
        self._members = members
        self._log = directory / "output.log"
        self._file = directory / "mysqlrouter.conf"
        destinations = ",".join(member.address for member in members)
        self._file.write_text(
            _FOLDERS.format(directory=directory, plugins=mysql.router_plugins())
            + CONFIGURATION.format(port=self._port, destinations=destinations)
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the URL of the application's database through the router."""
        return make_url(self._members[0].url).set(port=self._port).render_as_string(hide_password=False)

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", DIE_WITH_ME, "sh", *mysql.program("mysqlrouter"), "-c", str(self._file)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self._process.kill()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait(timeout=30)

    def is_listening(self) -> bool:
        """Return whether it accepts connections."""
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=5).close()
        except OSError:
            return False
        return True
