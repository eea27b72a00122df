"""The kind of server that a run's tests start: MariaDB, or MySQL with `BOXOFFICE_TEST_SERVER=mysql`."""

import os
from collections.abc import Callable
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


def factory(directory: Path) -> Callable[[], MariaDB]:
    """Return what makes a server of this run's kind, from a template below `directory`. Raises: what MISSING names."""
    if KIND == "mysql":
        template = mysql.template(directory)
        return lambda: MySQL(template)
    template = mariadb.template(directory)
    return lambda: MariaDB(template)
