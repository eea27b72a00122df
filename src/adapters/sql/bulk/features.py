"""How databases differ in the bulk statements that they accept."""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Dialect


class Features(Struct, frozen=True, eq=False, kw_only=True):
    """What a database accepts. There is one instance for each database, compared by identity."""

    hex_text: str
    """A text literal of the hexadecimal digits of its UTF-8 bytes, which replace `%s`."""

    insert_or_skip: str
    """Begins an INSERT that leaves out rows whose key exists."""

    insert_or_update: str
    """Precedes the assignments to a row whose key exists; the columns of the key replace `{key}`."""

    new_value: str
    """The value that would have been inserted into the column `{column}`, in such an assignment."""

    locks_rows: bool
    """Whether a SELECT may lock the rows that it finds."""

    listed_row: str
    """Precedes the parentheses of each row of a list that is named in a WITH clause and selected from."""

    joins_lists: bool
    """Whether a long list is joined as a table rather than given to IN."""


SQLITE: Final = Features(
    hex_text="CAST(x'%s' AS TEXT)",
    insert_or_skip="INSERT OR IGNORE INTO",
    insert_or_update="ON CONFLICT ({key}) DO UPDATE SET",
    new_value="excluded.{column}",
    locks_rows=False,
    listed_row="",
    joins_lists=False,
)
MYSQL: Final = Features(
    hex_text="_utf8mb4 x'%s'",
    insert_or_skip="INSERT IGNORE INTO",
    insert_or_update="AS new ON DUPLICATE KEY UPDATE",
    new_value="new.{column}",
    locks_rows=True,
    listed_row="ROW",
    joins_lists=True,
)
MARIADB: Final = replace(MYSQL, insert_or_update="ON DUPLICATE KEY UPDATE", new_value="VALUES({column})", listed_row="")

_MYSQL_NAMES: Final = frozenset({"mysql", "mariadb"})


def features_of(dialect: Dialect) -> Features:
    """Return the features of a database. Whether it is MariaDB is known after the first connection.

    Raises: ValueError for a kind of database without features here.
    """
    name = dialect.name
    if name == "sqlite":
        return SQLITE
    if name in _MYSQL_NAMES:
        return MARIADB if getattr(dialect, "is_mariadb", False) else MYSQL
    raise ValueError(f"{name} has no features for bulk statements")
