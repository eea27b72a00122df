"""Temporary servers of MySQL itself, beside those of MariaDB."""

import os
import platform
from pathlib import Path
from typing import Final

from tests.mariadb import MariaDB, as_user, initialise, made_once

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


def router_plugins() -> Path:
    """Return the folder of MySQL Router's plugins."""
    return _HOME / "usr/lib/mysqlrouter/plugin"


def template(directory: Path) -> Path:
    """Return an initialised data directory below `directory` to copy, created by the first process that calls."""
    return made_once(directory / "mysql-template", _initialised)


def _initialised(directory: Path) -> Path:
    # The server creates it, and wants it to be empty if it exists.
    data = directory / "data"
    initialise([*_server(data), "--initialize-insecure", "--innodb-redo-log-capacity=32M"])
    return data


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
