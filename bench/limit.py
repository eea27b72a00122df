"""The database's own limit on one row, measured with a client in C.

`mariadb-slap`, or `mysqlslap` on MySQL, makes bookings over 32 connections. Each booking is five statements and five
round trips: BEGIN, SELECT … FOR UPDATE, INSERT, UPDATE, COMMIT. A service with such a transaction per booking stays
below this limit in any language. A stored procedure would be faster, but it could not contain the rules.
"""

import os
import subprocess
from typing import Final

from sqlalchemy.engine import make_url

from tests import mariadb

from .databases import PRODUCTS

CONNECTIONS: Final = 32

_STATEMENTS: Final = (
    "START TRANSACTION",
    "SELECT taken FROM limit_events WHERE id = 1 FOR UPDATE",
    "INSERT INTO limit_bookings (event_id, customer_id, quantity) VALUES (1, CONNECTION_ID(), 1)",
    "UPDATE limit_events SET taken = taken + 1 WHERE id = 1",
    "COMMIT",
)
SCHEMA: Final = (
    "CREATE TABLE limit_events (id INT PRIMARY KEY, taken INT NOT NULL) ENGINE=InnoDB",
    """CREATE TABLE limit_bookings (id BIGINT AUTO_INCREMENT PRIMARY KEY, event_id INT NOT NULL,
        customer_id BIGINT NOT NULL, quantity INT NOT NULL) ENGINE=InnoDB""",
    "INSERT INTO limit_events VALUES (1, 0)",
)
_COUNTS: Final = "SELECT taken, (SELECT COUNT(*) FROM limit_bookings) FROM limit_events WHERE id = 1"

_FIRST_TRY: Final = 40
"""Bookings per connection in a first run, which estimates how many fit into the time given."""


def per_second(url: str, database_kind: str, seconds: float) -> float:
    """Return the bookings per second, measured for about `seconds`. Raises: AssertionError."""
    expected = _FIRST_TRY * CONNECTIONS / _run(url, database_kind, _FIRST_TRY)
    each = max(int(expected * seconds / CONNECTIONS), _FIRST_TRY)
    return each * CONNECTIONS / _run(url, database_kind, each)


def _run(url: str, database_kind: str, each: int) -> float:
    """Return the seconds in which every connection makes `each` bookings."""
    ((before, _),) = mariadb.execute(url, _COUNTS)
    booked = each * CONNECTIONS
    to = make_url(url)
    command = [
        *(*PRODUCTS[database_kind].slap(), "--protocol=tcp", f"--host={to.host}", f"--port={to.port}"),
        *(f"--user={to.username}", f"--create-schema={to.database}", "--no-drop", "--csv", "--iterations=1"),
        *(f"--concurrency={CONNECTIONS}", f"--number-of-queries={booked * len(_STATEMENTS)}"),
        *("--delimiter=;", f"--query={';'.join(_STATEMENTS)}"),
    ]
    environment = {**os.environ, "MYSQL_PWD": to.password or ""}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    ((taken, rows),) = mariadb.execute(url, _COUNTS)
    assert taken == rows == int(str(before)) + booked, f"{taken} counted, {rows} rows, after {before} and {booked} more"
    # Columns: engine, load, average, minimum and maximum seconds, connections, statements per connection.
    return float(done.stdout.strip().split(",")[2])
