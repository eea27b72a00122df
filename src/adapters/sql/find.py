"""A SELECT whose lists are written out, so that it can be sent together with others."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Column, Dialect, Select

from .types import Row, Statement, literal_of, reading_of

_LIST: Final = re.compile(r"\(__\[POSTCOMPILE_(\w+)\]\)")
"""How SQLAlchemy leaves a list open until it knows its length."""


class Find:
    """A SELECT of columns in which each of `lists`, named as its parameter, holds values for these columns."""

    def __init__(self, statement: Select[Any], **lists: Sequence[Column[Any]]) -> None:
        self._statement = statement
        self._lists = lists
        self._written: dict[str, _Written] = {}

    def statement(self, dialect: Dialect, **lists: Iterable[Any]) -> Statement:
        """With these values; they may be none."""
        return Statement(self._in(dialect).text(lists))

    def rows(self, dialect: Dialect, found: Sequence[Row]) -> list[Row]:
        """What was found, as the columns' types have it."""
        return self._in(dialect).rows(found) if found else []

    def _in(self, dialect: Dialect) -> "_Written":
        written = self._written.get(dialect.name)
        if written is None:
            written = self._written[dialect.name] = _Written(self._statement, self._lists, dialect)
        return written


class _Written:
    """A SELECT in the words of one database."""

    def __init__(self, statement: Select[Any], lists: dict[str, Sequence[Column[Any]]], dialect: Dialect) -> None:
        text = str(statement.compile(dialect=dialect))
        self._literals = {name: [literal_of(each.type, dialect.name) for each in of] for name, of in lists.items()}
        # Rows among rows are a list for MySQL and a table for SQLite.
        self._before_rows = "VALUES " if dialect.name == "sqlite" else ""
        self._pieces = _LIST.split(text)
        readings = [reading_of(each.type, dialect) for each in statement.selected_columns]
        self._read = [(place, read) for place, read in enumerate(readings) if read is not None]

    def text(self, lists: dict[str, Iterable[Any]]) -> str:
        written = {name: f"({self._values(name, values) or 'NULL'})" for name, values in lists.items()}
        # What stands between two pieces is the name of a list.
        return "".join([written[piece] if number % 2 else piece for number, piece in enumerate(self._pieces)])

    def _values(self, name: str, values: Iterable[Any]) -> str:
        literals = self._literals[name]
        if len(literals) == 1:
            return ",".join(map(literals[0], values))
        first, second = literals
        written = ",".join([f"({first(one)},{second(other)})" for one, other in values])
        return f"{self._before_rows}{written}" if written else ""

    def rows(self, found: Sequence[Row]) -> list[Row]:
        return [self._row(row) for row in found]

    def _row(self, row: Row) -> Row:
        values = list(row)
        for place, read in self._read:
            values[place] = read(values[place])
        return tuple(values)
