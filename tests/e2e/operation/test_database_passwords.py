"""Users and passwords in the database's URL are sent as the database's other clients send them: in UTF-8."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from boxoffice.adapters.sql.dialects.mysql import MySQLDialect
from tests import mariadb
from tests.e2e.operation.conftest import serve_a_customer
from tests.faults.service import boxoffice

ASCII: Final = "a:b/c@d%e"
BEYOND_LATIN_1: Final = "пароль 🔑"

UrlOf = Callable[[str], str]


@pytest.fixture
def url_of(mysql_url: str, mysql_admin_url: str) -> Iterator[UrlOf]:
    """Return a function that creates a user with this password, and returns its URL."""
    name = f"ü{uuid4().hex[:12]}"

    def create(password: str) -> str:
        mariadb.execute(
            mysql_admin_url,
            f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY '{password}'",
            f"GRANT ALL ON `{make_url(mysql_url).database}`.* TO '{name}'@'127.0.0.1'",
        )
        return make_url(mysql_url).set(username=name, password=password).render_as_string(hide_password=False)

    yield create
    mariadb.execute(mysql_admin_url, f"DROP USER IF EXISTS '{name}'@'127.0.0.1'")


@pytest.mark.parametrize("password", [ASCII, "hüsh", BEYOND_LATIN_1], ids=ascii)
async def test_any_password_signs_in(password: str, url_of: UrlOf) -> None:
    """With caching_sha2_password (MySQL) the second connection is one that the server has cached."""
    url = make_url(url_of(password))
    for _ in range(2):
        engine = MySQLDialect().reading(url)
        async with engine.connect() as connected:
            assert (await connected.execute(text("SELECT CURRENT_USER()"))).scalar_one() == f"{url.username}@127.0.0.1"
        await engine.dispose()


def test_every_command_and_the_ledger_sign_in(url_of: UrlOf, tmp_path: Path) -> None:
    url = url_of(BEYOND_LATIN_1)
    migrated = boxoffice(url, tmp_path, "migrate")
    assert migrated.returncode == 0, migrated.stderr
    serve_a_customer(url, tmp_path)
