"""The database and the two accounts of the operations guide, on a server of the tests."""

import re
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from tests import mariadb

MANUAL: Final = Path(__file__).parents[1] / "docs" / "operations.md"
NAME: Final = "event-ticket-booking-service"
PASSWORD: Final = "s3cret"

OURS: Final = {"boxoffice_admin": "migrating", "boxoffice": "serving"}
"""The names of the accounts here, because the tests' servers have a user named `boxoffice`."""


def create(admin_url: str) -> dict[str, str]:
    """Create them by the manual's statements, and return the URLs of the database by our names of the accounts."""
    (sql,) = re.findall(r"```sql\n(CREATE DATABASE.*?)```", MANUAL.read_text(), re.DOTALL)
    assert sql.count("'…'") == 2
    _execute(admin_url, sql.replace("'…'", f"'{PASSWORD}'"))
    return {name: url_of(admin_url, name, NAME) for name in OURS.values()}


def grant_on_restored(admin_url: str) -> None:
    """Grant them their rights on a restored database by the manual's statements."""
    (sql,) = re.findall(r"```sql\n(GRANT .*?)```", MANUAL.read_text(), re.DOTALL)
    _execute(admin_url, sql)


def url_of(admin_url: str, name: str, database: str) -> str:
    """Return the URL with which an account uses a database."""
    url = make_url(admin_url).set(username=name, password=PASSWORD, database=database)
    return url.render_as_string(hide_password=False)


def _execute(admin_url: str, sql: str) -> None:
    # The tests' servers resolve no names and accept loopback connections only.
    sql = sql.replace("'%'", "'127.0.0.1'")
    for name, ours in OURS.items():
        sql = sql.replace(f"'{name}'@", f"'{ours}'@")
    mariadb.execute(admin_url, *(statement for part in sql.split(";") if (statement := part.strip())))
