"""The kind of server that a run's tests start: MariaDB, or MySQL with `BOXOFFICE_TEST_SERVER=mysql`."""

import os
import shlex
from pathlib import Path
from typing import Final

from tests import mariadb, mysql
from tests.mariadb import MariaDB, MariaDBMissing
from tests.mysql import MySQL, MySQLMissing

VARIABLE: Final = "BOXOFFICE_TEST_SERVER"
KIND: Final = os.environ.get(VARIABLE, "mariadb")
MISSING: Final = (MariaDBMissing, MySQLMissing)

if KIND not in ("mariadb", "mysql"):
    raise ValueError(f"{VARIABLE} must be mariadb or mysql")


def are_installed() -> bool:
    """Return whether servers of this run's kind can be started on this machine."""
    return mysql.is_installed() if KIND == "mysql" else mariadb.is_installed()


def client() -> str:
    """Return the shell command of the server's own client, without a connection. Raises: what MISSING names."""
    if KIND == "mysql":
        return shlex.join([*mysql.program("mysql"), "--no-defaults"])
    return shlex.join([mariadb.program("mariadb"), "--no-defaults", "--skip-ssl"])


def template(directory: Path) -> Path:
    """Return an initialised data directory of this run's kind below `directory`. Raises: what MISSING names."""
    return mysql.template(directory) if KIND == "mysql" else mariadb.template(directory)


def server(template: Path) -> MariaDB:
    """Return a server of this run's kind with a copy of the template, not started yet."""
    return MySQL(template) if KIND == "mysql" else MariaDB(template)
