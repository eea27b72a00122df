"""What the benchmarks send to MariaDB and MySQL themselves works on both."""

from pathlib import Path

import pytest

from bench import databases, large, limit
from boxoffice.entrypoints.container import make_container, migrate
from boxoffice.entrypoints.settings import Settings
from tests import mariadb, servers


def test_the_limit_on_one_row_counts_every_booking(mysql_url: str) -> None:
    mariadb.execute(mysql_url, *limit.SCHEMA)
    assert limit.per_second(mysql_url, servers.KIND, seconds=0) > 0
    (counts,) = mariadb.execute(mysql_url, "SELECT taken, (SELECT COUNT(*) FROM limit_bookings) FROM limit_events")
    assert counts[0] == counts[1] != 0


async def test_copied_bookings_keep_the_promises(mysql_url: str) -> None:
    await migrate(Settings(database_url=mysql_url))
    container = make_container(Settings(database_url=mysql_url))
    try:
        event = await large.crowded_event(container, mysql_url, 600)
        verdict = await container.verify_promises()()
    finally:
        await container.turnstile().close()
        await container.storage().close()
    assert verdict.breaches == []
    rows = mariadb.execute(
        mysql_url, f"SELECT COUNT(*) FROM bookings WHERE event_id = x'{event.event_id.hex}' GROUP BY ticket_type_id"
    )
    assert rows == [(300,), (300,)]


@pytest.mark.usefixtures("server_template")
def test_a_server_is_durable_and_has_the_sizes_of_production(run_directory: Path) -> None:
    with databases.started(servers.KIND, run_directory) as server:
        settings = "@@innodb_buffer_pool_size >> 30, @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite, @@log_bin"
        assert mariadb.execute(server.admin_url, f"SELECT {settings}") in ([(1, 1, 1, 0)], [(1, 1, "ON", 0)])
        assert ("MariaDB" in databases.version(server.admin_url)) == (servers.KIND == "mariadb")
