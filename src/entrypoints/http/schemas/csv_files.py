"""CSV files of any size: RFC 4180, as spreadsheets open them, in chunks of bounded size."""

import csv
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from io import StringIO
from typing import Final

MEDIA_TYPE: Final = "text/csv"
"""Litestar adds the charset."""

BOM: Final = "\ufeff"
"""Spreadsheets take a file without it for one in the encoding of their system."""

ROWS: Final = 1_000
"""Most rows of a chunk."""

Cell = str | int | None
"""None is an empty cell."""

_CALCULATED: Final = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of cells that spreadsheets calculate (OWASP, CSV injection)."""


def csv_headers(name: str) -> dict[str, str]:
    """Return the headers of a file that is to be saved under this name."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


async def csv_chunks(header: Sequence[str], pages: AsyncIterator[Iterable[Sequence[Cell]]]) -> AsyncIterator[bytes]:
    """Yield a file with these columns: the header at once, then the rows as they come."""
    yield (BOM + _lines([header])).encode()
    async for page in pages:
        for rows in _some(page):
            yield _lines(rows).encode()


def _some(rows: Iterable[Sequence[Cell]]) -> Iterator[list[Sequence[Cell]]]:
    """Split rows into groups of at most `ROWS`, of which only one is in memory at a time."""
    group: list[Sequence[Cell]] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS:
            yield group
            group = []
    if group:
        yield group


def _lines(rows: Iterable[Sequence[Cell]]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([[_defused(cell) for cell in row] for row in rows])
    return text.getvalue()


def _defused(cell: Cell) -> Cell:
    """Return a cell that spreadsheets show as it is."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_CALCULATED) else cell
