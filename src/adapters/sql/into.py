"""Many rows into one table, written out as the database reads them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import starmap
from operator import itemgetter
from typing import Any, Final, cast

from sqlalchemy import Column, Dialect, Insert

from .types import Statement, placeholder_of

LONGEST: Final = 1_000_000
"""Characters of a statement, beyond which it takes no more rows; a packet holds 16 MB by default."""

Values = Callable[[Any], Sequence[Any]]
"""Takes the values of a row out of what it is made of, in the order of the table's columns."""


class Into:
    """An INSERT of whole rows; each row has a value for every column of the table that is not computed.

    The drivers' own way from a row to the server took twice as long as the server needed for the row. What is written
    out instead needs no escaping (`literal_of`).
    """

    def __init__(self, statement: Insert, values: Values | None = None) -> None:
        """Without `values` a row is a mapping by the names of the columns."""
        self._columns: list[Column[Any]] = [
            cast("Column[Any]", each) for each in statement.table.c if each.computed is None
        ]
        self._values = values or itemgetter(*(column.name for column in self._columns))
        self._statement = statement
        self._written: dict[str, _Written] = {}

    def statements(self, rows: Sequence[Any], dialect: Dialect) -> Iterator[Statement]:
        """Statements for all rows, in their order. Raises: KeyError where a row lacks a column."""
        if not rows:
            return iter(())
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
        return _Written(f"{before} VALUES ", _row_of(self._columns, dialect.name), after)


class _Written:
    """An INSERT in the words of one database."""

    def __init__(self, before: str, row: Callable[..., str], after: str) -> None:
        self._before = before
        self._row = row
        self._after = after

    def statements(self, rows: Iterable[Sequence[Any]]) -> Iterator[Statement]:
        written = list(starmap(self._row, rows))
        if sum(map(len, written)) <= LONGEST:
            yield self._of(written)
            return
        together: list[str] = []
        length = 0
        for row in written:
            if length + len(row) > LONGEST and together:
                yield self._of(together)
                together, length = [], 0
            together.append(row)
            length += len(row)
        yield self._of(together)

    def _of(self, rows: list[str]) -> Statement:
        return Statement(f"{self._before}{','.join(rows)}{self._after}")


def _row_of(columns: Sequence[Column[Any]], dialect: str) -> Callable[..., str]:
    """One function for a whole row, made of its columns as `dataclasses` makes its methods: a call for each value took
    as long as the server needed for the row.
    """
    names = [f"value_{number}" for number in range(len(columns))]
    known: dict[str, Any] = {}
    places, taken = [], []
    for name, column in zip(names, columns, strict=True):
        place, expression, known[f"write_{name}"] = placeholder_of(column, dialect, name)
        places.append(place)
        taken.append(expression.replace("write(", f"write_{name}("))
    known["row"] = f"({','.join(places)})"
    # Nothing but the names above is in it, and nothing that anybody sent.
    made: Callable[..., str] = eval(f"lambda {', '.join(names)}: row % ({', '.join(taken)},)", known)  # noqa: S307
    return made
