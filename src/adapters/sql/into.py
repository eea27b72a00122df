"""Many rows into one table, written out as the database reads them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Dialect, Insert

from .types import Literal, Statement, literal_of

LONGEST: Final = 1_000_000
"""Characters of a statement, beyond which it takes no more rows; a packet holds 16 MB by default."""


class Into:
    """An INSERT of whole rows; each row names every column of the table that is not computed.

    The drivers' own way from a row to the server took twice as long as the server needed for the row. What is written
    out instead are numbers, and hexadecimal digits for all that might hold anything: there is nothing to escape.
    """

    def __init__(self, statement: Insert) -> None:
        self._columns = [column for column in statement.table.c if column.computed is None]
        self._values = itemgetter(*(column.name for column in self._columns))
        self._statement = statement
        self._written: dict[str, _Written] = {}

    def statements(self, rows: Sequence[Mapping[str, Any]], dialect: Dialect) -> Iterator[Statement]:
        """Statements for all rows, in their order. Raises: KeyError where a row lacks a column."""
        written = self._written.get(dialect.name)
        if written is None:
            written = self._written[dialect.name] = self._write(dialect)
        return written.statements(map(self._values, rows))

    def text(self, dialect: Dialect) -> str:
        """The statement for one row, in the words of a database."""
        return str(self._statement.compile(dialect=dialect, column_keys=[column.name for column in self._columns]))

    def _write(self, dialect: Dialect) -> "_Written":
        before, _, rest = self.text(dialect).partition(" VALUES (")
        _, _, after = rest.partition(")")
        return _Written(f"{before} VALUES ", [literal_of(column.type, dialect.name) for column in self._columns], after)


class _Written:
    """An INSERT in the words of one database."""

    def __init__(self, before: str, literals: list[Literal], after: str) -> None:
        self._before = before
        self._literals = literals
        self._after = after

    def statements(self, rows: Iterable[Sequence[Any]]) -> Iterator[Statement]:
        literals = self._literals
        together: list[str] = []
        length = 0
        for values in rows:
            row = ",".join([literal(value) for literal, value in zip(literals, values, strict=True)])
            if together and length + len(row) > LONGEST:
                yield self._of(together)
                together, length = [], 0
            together.append(row)
            length += len(row)
        if together:
            yield self._of(together)

    def _of(self, rows: list[str]) -> Statement:
        return Statement(f"{self._before}({'),('.join(rows)}){self._after}")
