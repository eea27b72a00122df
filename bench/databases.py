"""The servers that can be measured: MariaDB and MySQL, as the tests start them, with the sizes of production servers.

Both are durable: each COMMIT waits for the redo log on the disk. Neither writes a binary log, which MySQL would by
default; it would add a second write to each COMMIT, of which the usual way makes many more.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests import mariadb, mysql
from tests.mariadb import MariaDB
from tests.mysql import MySQL

_BUFFER_POOL: Final = "SET GLOBAL innodb_buffer_pool_size = 1 << 30"


class Product(Struct, frozen=True):
    """A database product."""

    name: str
    server: Callable[[Path], MariaDB]
    """Returns a new server, not started yet, with its template below a directory."""
    sizes: Sequence[str]
    """Set sizes of a production server; with those of the tests, a large event would measure the disk."""
    slap: Callable[[], Sequence[str]]
    """Returns the command of its load generator in C, without TLS, as the services connect."""


PRODUCTS: Final[Mapping[str, Product]] = {
    "mariadb": Product(
        "MariaDB",
        lambda directory: MariaDB(mariadb.template(directory)),
        (_BUFFER_POOL, "SET GLOBAL innodb_log_file_size = 256 << 20"),
        lambda: (mariadb.program("mariadb-slap"), "--no-defaults", "--skip-ssl"),
    ),
    "mysql": Product(
        "MySQL",
        lambda directory: MySQL(mysql.template(directory)),
        (_BUFFER_POOL, "SET GLOBAL innodb_redo_log_capacity = 256 << 20"),
        lambda: (
            *mysql.program("mysqlslap"),
            *("--no-defaults", "--ssl-mode=DISABLED", "--get-server-public-key"),
        ),
    ),
}
"""The products by the names that `--database` takes."""


@contextmanager
def started(kind: str, directory: Path) -> Iterator[MariaDB]:
    """Start a temporary server. Raises: MariaDBMissing, MySQLMissing."""
    product = PRODUCTS[kind]
    with product.server(directory) as server:
        mariadb.execute(server.admin_url, *product.sizes)
        yield server


def version(url: str) -> str:
    """Return the name and version of a server."""
    ((found,),) = mariadb.execute(url, "SELECT CONCAT_WS(' ', VERSION(), @@version_comment)")
    return str(found)
