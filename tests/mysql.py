"""Temporary servers of MySQL itself, beside those of MariaDB."""

import fcntl
import os
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.mariadb import MariaDB, as_user

REQUIRED_VARIABLE: Final = "BOXOFFICE_REQUIRE_MYSQL"
"""Whether a test fails, rather than being skipped, where there is no MySQL."""

_TOOL: Final = Path(__file__).parents[1] / "tools" / "mysql.sh"
_HOME: Final = Path(os.environ.get("BOXOFFICE_MYSQL_HOME") or _TOOL.parents[1] / ".venv" / "mysql") / "root"

# Durable as in production, but small and without a binary log, because several servers run at once.
_SETTINGS: Final = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--mysqlx=OFF",
    "--skip-log-bin",
    "--secure-file-priv=NULL",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=64M",
    "--innodb-redo-log-capacity=32M",
    "--max-connections=400",
    "--performance-schema=OFF",
)


class MySQLMissing(RuntimeError):
    """MySQL's server was not fetched."""


def program(name: str) -> list[str]:
    """Return the command that runs a program of MySQL. Raises: MySQLMissing."""
    if not is_installed():
        raise MySQLMissing("No MySQL server here: run tools/mysql.sh")
    return [str(_TOOL), "run", name]


def is_installed() -> bool:
    """Return whether servers can be started on this machine."""
    return _HOME.is_dir() and platform.machine() == "x86_64"


def _server(data: Path) -> list[str]:
    return [
        *program("mysqld"),
        "--no-defaults",
        f"--basedir={_HOME / 'usr'}",
        f"--lc-messages-dir={_HOME / 'usr/share/mysql'}",
        f"--plugin-dir={_HOME / 'usr/lib/mysql/plugin'}",
        *as_user(),
        f"--datadir={data}",
    ]


def template(directory: Path) -> Path:
    """Return an initialised data directory below `directory` to copy, created by the first process that calls."""
    made = directory / "mysql-template"
    with (directory / "mysql-template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            # It has to be empty, and to end with the name that it is given.
            unfinished = Path(tempfile.mkdtemp(prefix="mysql-", dir=directory)) / "data"
            initialised = subprocess.run(
                [*_server(unfinished), "--initialize-insecure", "--innodb-redo-log-capacity=32M"],
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            if initialised.returncode != 0:
                raise RuntimeError(f"mysqld --initialize failed:\n{initialised.stdout}\n{initialised.stderr}")
            unfinished.rename(made)
    return made


class MySQL(MariaDB):
    """A server of MySQL itself, with the same handles."""

    def user_statement(self, password: str) -> str:
        """See `MariaDB`. It locks the root of --initialize-insecure, which has no password."""
        return (
            "ALTER USER root@localhost ACCOUNT LOCK;\n"
            f"CREATE USER IF NOT EXISTS boxoffice@'127.0.0.1' IDENTIFIED BY '{password}'"
        )

    def command(self, port: int) -> list[str]:
        """See `MariaDB`."""
        return [
            *_server(self.data),
            *_SETTINGS,
            f"--tmpdir={self.directory}",
            f"--socket={self.directory / 'socket'}",
            f"--pid-file={self.directory / 'pid'}",
            f"--port={port}",
            f"--init-file={self.init_file}",
        ]
