"""How databases differ in the bulk statements that they accept."""

from msgspec import Struct


class Features(Struct, frozen=True, eq=False, kw_only=True):
    """What a database accepts. There is one instance for each database, compared by identity."""

    hex_text: str
    """A text literal of the hexadecimal digits of its UTF-8 bytes, which replace `%s`."""

    insert_or_update: str
    """Precedes the assignments to a row whose key exists; the columns of the key replace `{key}`."""

    new_value: str
    """The value that would have been inserted into the column `{column}`, in such an assignment."""

    locks_rows: bool
    """Whether a SELECT may lock the rows that it finds."""

    listed_row: str
    """Precedes the parentheses of each row of a list that is named in a WITH clause and selected from."""

    min_joined_values: int | None
    """Minimum length of a list that is joined as a table, because for IN the optimizer may scan one; None: never."""
