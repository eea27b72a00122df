"""Literals of the column types of the schema.

Only types are supported whose values need no escaping: numbers, times and enumerated words are written as they are,
text where it is ASCII without a quote, a backslash or a NUL, and everything else in hexadecimal digits.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Boolean, Integer, LargeBinary, String
from sqlalchemy.types import TypeEngine

from ..dialects.features import Features
from ..schema.types import Exact, Id, Moment, Numbers, Word, in_utc, written_numbers

Literal = Callable[[Any], str]
"""Returns the literal of a value or of None."""

NULL: Final = "NULL"

_CACHE_SIZE: Final = 1_024
"""Literals cached of each short text column and of times, whose values repeat within a batch."""

_SHORT: Final = 40
"""Maximum length of a column whose literals are cached: such columns contain currencies and kinds, of few values."""


@lru_cache(maxsize=1_024)
def literal_of(kind: TypeEngine[Any], features: Features) -> Literal:
    """Return the function that writes values of a column type. Raises: TypeError for a type that is not supported."""
    write: Literal
    match kind:
        case Id():
            write = _id
        case Moment():
            write = _moment
        case Word():
            words: dict[StrEnum | None, str] = {word: f"'{word.value}'" for word in kind.words}
            write = {**words, None: NULL}.__getitem__
        case Exact():
            write = _exact
        case Numbers():
            write = _numbers
        case String():
            write = _text(features.hex_text)
            if kind.length is not None and kind.length <= _SHORT:
                write = lru_cache(_CACHE_SIZE)(write)
        case LargeBinary():
            write = _bytes
        case Integer() | Boolean():
            write = _number
        case _:
            raise TypeError(f"{kind!r} has no literals")
    return write


def _id(value: UUID | None) -> str:
    return NULL if value is None else f"x'{value.int:032x}'"


@lru_cache(_CACHE_SIZE)
def _moment(value: datetime | None) -> str:
    return NULL if value is None else f"'{in_utc(value).isoformat(' ', 'microseconds')}'"


def _exact(value: str | None) -> str:
    return NULL if value is None else f"x'{value.encode().hex()}'"


def _numbers(value: tuple[int, ...]) -> str:
    return f"'{written_numbers(value)}'" if value else NULL


def _text(hex_text: str) -> Literal:
    def write(value: str | None) -> str:
        if value is None:
            return NULL
        if value.isascii() and not ("'" in value or "\\" in value or "\0" in value):
            return f"'{value}'"
        return hex_text % value.encode().hex()

    return write


def _bytes(value: bytes | None) -> str:
    return NULL if value is None else f"x'{value.hex()}'"


def _number(value: int | None) -> str:
    return NULL if value is None else f"{value:d}"
