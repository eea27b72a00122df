"""The database accounts of the manual: one migrates, the other serves and cannot change the schema."""

from pathlib import Path

import pytest

from tests import accounts, mariadb
from tests.e2e.operation.conftest import serve_a_customer
from tests.faults.service import boxoffice
from tests.mariadb import MariaDB


def test_one_migrates_and_the_other_serves_and_cannot_change_the_schema(own_server: MariaDB, tmp_path: Path) -> None:
    url_of = accounts.create(own_server.admin_url)
    refused = boxoffice(url_of["serving"], tmp_path, "migrate")
    assert refused.returncode == 1
    assert "denied" in refused.stderr
    assert "Traceback" not in refused.stderr
    for _ in range(2):
        assert boxoffice(url_of["migrating"], tmp_path, "migrate").returncode == 0
    serve_a_customer(url_of["serving"], tmp_path)
    for command in ("sweep", "verify"):
        done = boxoffice(url_of["serving"], tmp_path, command)
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
            mariadb.execute(url_of["serving"], statement)
