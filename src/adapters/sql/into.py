"""Many rows into one table, handed to the driver as it wants them."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect, Insert

from .types import stored


class Into:
    """An INSERT of whole rows; each row names every column of the table that is not computed.

    SQLAlchemy's own way from a row to the driver took three times as long as the database needed for the row, so it
    makes the statement and the columns' types make the values.
    """

    def __init__(self, statement: Insert) -> None:
        columns = [column for column in statement.table.c if column.computed is None]
        self._names = [column.name for column in columns]
        self._values = itemgetter(*self._names)
        self._converted: list[tuple[int, Callable[[Any], Any]]] = [
            (place, convert)
            for place, convert in enumerate(stored(column.type) for column in columns)
            if convert is not None
        ]
        self._statement = statement
        self._texts: dict[str, str] = {}

    def text(self, dialect: Dialect) -> str:
        """The statement in the words of a database."""
        text = self._texts.get(dialect.name)
        if text is None:
            compiled = self._statement.compile(dialect=dialect, column_keys=self._names)
            text = self._texts[dialect.name] = str(compiled)
        return text

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """The rows' values in the order of the statement. Raises: KeyError where a row lacks a column."""
        converted = []
        for row in rows:
            values = list(self._values(row))
            for place, convert in self._converted:
                if values[place] is not None:
                    values[place] = convert(values[place])
            converted.append(tuple(values))
        return converted
