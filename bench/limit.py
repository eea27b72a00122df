"""The database's own limit on one row, as a client in C meets it.

32 connections of `mariadb-slap`, each with one booking after the other, as five statements and five round trips: BEGIN,
SELECT … FOR UPDATE, INSERT, UPDATE, COMMIT. A service that gives each booking a transaction of such statements stays
below, in whatever language it is written. (A procedure inside the server, with no client in the way, does twice as
many; nobody's rules live there.)
"""

import os
import subprocess
from typing import Final

from sqlalchemy.engine import make_url

from tests import mariadb

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
"""Bookings of each connection that show how many to ask for, so that the measurement takes about as long as told."""


def per_second(url: str, seconds: float) -> float:
    """Bookings a second over 32 connections, measured for about so many seconds. Raises: AssertionError."""
    expected = _FIRST_TRY * CONNECTIONS / _run(url, _FIRST_TRY)
    each = max(int(expected * seconds / CONNECTIONS), _FIRST_TRY)
    return each * CONNECTIONS / _run(url, each)


def _run(url: str, each: int) -> float:
    """The seconds in which every connection books so often."""
    ((before, _),) = mariadb.execute(url, _COUNTS)
    booked = each * CONNECTIONS
    to = make_url(url)
    command = [
        *("mariadb-slap", "--no-defaults", "--protocol=tcp", "--skip-ssl", f"--host={to.host}", f"--port={to.port}"),
        *(f"--user={to.username}", f"--create-schema={to.database}", "--no-drop", "--csv", "--iterations=1"),
        *(f"--concurrency={CONNECTIONS}", f"--number-of-queries={booked * len(_STATEMENTS)}"),
        *("--delimiter=;", f"--query={';'.join(_STATEMENTS)}"),
    ]
    environment = {**os.environ, "MYSQL_PWD": to.password or ""}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    ((taken, rows),) = mariadb.execute(url, _COUNTS)
    assert taken == rows == int(str(before)) + booked, f"{taken} counted, {rows} rows, after {before} and {booked} more"
    # engine, load, average, least and most seconds, connections, statements of each
    return float(done.stdout.strip().split(",")[2])
