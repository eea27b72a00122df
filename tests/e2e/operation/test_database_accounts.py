"""The database accounts of the manual: one migrates, the other serves and cannot change the schema."""

import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy.engine import make_url

from tests import mariadb
from tests.e2e.operation.conftest import buy_and_cancel
from tests.faults.service import boxoffice, servers
from tests.mariadb import MariaDB

MANUAL = Path(__file__).parents[3] / "docs" / "operations.md"
NAME = "event-ticket-booking-service"


@pytest.fixture
def accounts(own_server: MariaDB) -> dict[str, str]:
    """Create the manual's accounts and return their URLs by name."""
    (sql,) = re.findall(r"```sql\n(CREATE DATABASE.*?)```", MANUAL.read_text(), re.DOTALL)
    assert sql.count("'…'") == 2
    # The tests' server resolves no names and accepts loopback connections only.
    sql = sql.replace("'…'", "'s3cret'").replace("'%'", "'127.0.0.1'")
    statements = [statement for statement in (part.strip() for part in sql.split(";")) if statement]
    # The tests' server already has a user named `boxoffice`.
    names = dict(zip(("boxoffice_admin", "boxoffice"), ("migrating", "serving"), strict=True))
    for name, ours in names.items():
        statements = [statement.replace(f"'{name}'@", f"'{ours}'@") for statement in statements]
    mariadb.execute(own_server.admin_url, *statements)
    url = make_url(own_server.admin_url).set(password="s3cret", database=NAME)
    return {name: url.set(username=name).render_as_string(hide_password=False) for name in names.values()}


def test_one_migrates_and_the_other_serves_and_cannot_change_the_schema(
    accounts: dict[str, str], tmp_path: Path
) -> None:
    refused = boxoffice(accounts["serving"], tmp_path, "migrate")
    assert refused.returncode == 1
    assert "denied" in refused.stderr
    assert "Traceback" not in refused.stderr
    for _ in range(2):
        assert boxoffice(accounts["migrating"], tmp_path, "migrate").returncode == 0
    with servers(accounts["serving"], tmp_path, 1) as (server,):
        event_id = buy_and_cancel(server.url)
        assert httpx.get(f"{server.url}/status/{event_id}", timeout=60).status_code == 200
        assert server.terminate() == 0
        assert not server.complaints()
    for command in ("sweep", "verify"):
        done = boxoffice(accounts["serving"], tmp_path, command)
        assert done.returncode == 0, done.stdout + done.stderr
    for statement in (
        "CREATE TABLE of_mine (id INT)",
        "DROP TABLE bookings",
        "ALTER TABLE bookings ADD COLUMN of_mine INT",
        "CREATE INDEX of_mine ON bookings (quantity)",
        "TRUNCATE TABLE bookings",
        "CREATE DATABASE of_mine",
        "SELECT * FROM mysql.user",
        "GRANT SELECT ON *.* TO 'serving'@'127.0.0.1'",
    ):
        with pytest.raises(Exception, match="denied"):
            mariadb.execute(accounts["serving"], statement)
