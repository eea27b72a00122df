"""What MariaDB accepts and MySQL does not. `MySQLDialect` serves both; the first connection shows which one it is."""

from typing import Final

from msgspec.structs import replace

from . import mysql

FEATURES: Final = replace(
    mysql.FEATURES,
    insert_or_update="ON DUPLICATE KEY UPDATE",
    new_value="VALUES({column})",
    listed_row="",
    # For IN it makes an index range for each value, also if the table was empty when statistics were collected.
    min_joined_values=16,
)
