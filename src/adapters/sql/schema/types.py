"""Column types that lose nothing: ids, times, and the words of the domain."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import Boolean, Column, DateTime, Dialect, Integer, LargeBinary, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine


class Id(TypeDecorator[UUID]):
    """A UUID in 16 bytes, so that version 7 ones sort by their age in every database."""

    impl = LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:  # noqa: ARG002 (SQLAlchemy's signature)
        """The bytes."""
        return None if value is None else value.bytes

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:  # noqa: ARG002 (as above)
        """The id."""
        return None if value is None else UUID(bytes=bytes(value))


class Moment(TypeDecorator[datetime]):
    """A time in UTC to the microsecond; SQLAlchemy's own type would drop the zone, MySQL's the microseconds."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ARG002 (as above)
        """The time in UTC, without saying so. Raises: ValueError for a time that does not say its zone."""
        return None if value is None else in_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (as above)
        """The time, saying that it is in UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


class Word(TypeDecorator[StrEnum]):
    """One of the words of an enumeration, as text."""

    impl = String(16)
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> Any:  # noqa: ARG002 (as above)
        """The text."""
        return None if value is None else value.value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002 (as above)
        """The word. Raises: ValueError for text that is none."""
        return None if value is None else self.words(value)


class Exact(TypeDecorator[str]):
    """Short text by its bytes: MySQL's collations before 8.0 take trailing spaces for nothing."""

    impl = LargeBinary(1_020).with_variant(mysql.VARBINARY(1_020), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 (as above)
        """The bytes."""
        return None if value is None else value.encode()

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 (as above)
        """The text."""
        return None if value is None else bytes(value).decode()


def in_utc(moment: datetime) -> datetime:
    """The time in UTC, without saying so. Raises: ValueError for a time that does not say its zone."""
    if moment.tzinfo is None:
        raise ValueError("a time to be stored must say its zone")
    return moment.astimezone(UTC).replace(tzinfo=None)


Row = tuple[Any, ...]


class Statement(Struct, frozen=True):
    """A statement that says all its values itself, and how many rows it changes, where that is known."""

    text: str
    expected: int | None = None


class Result(Struct, frozen=True):
    """The rows that a statement found, as the driver has them, and how many it changed."""

    rows: Sequence[Row]
    changed: int


def is_mariadb(dialect: Dialect) -> bool:
    """Whether it is known to be MariaDB, which it is from the first connection on."""
    return bool(getattr(dialect, "is_mariadb", False))


Literal = Callable[[Any], str]
"""Makes a value what stands for it in a statement."""

Read = Callable[[Any], Any]
"""Makes what the driver has of a value the value."""

NULL: Final = "NULL"


@lru_cache(maxsize=1_024)
def literal_of(kind: TypeEngine[Any], dialect: str) -> Literal:
    """How a column's values are written: as numbers, words of ours, plain text, and hexadecimal digits for any other.

    Plain text is ASCII without a quote, a backslash or a NUL. So nothing is ever escaped.
    """
    match kind:
        case Id():
            return _id
        case Moment():
            return _moment
        case Word():
            words: dict[StrEnum | None, str] = {word: f"'{word.value}'" for word in kind.words}
            return {**words, None: NULL}.__getitem__
        case Exact():
            write = _text("x'", "'")
        case String():
            write = _text("CAST(x'", "' AS TEXT)") if dialect == "sqlite" else _text("_utf8mb4 x'", "'")
            if kind.length is not None and kind.length <= _SHORT:
                write = lru_cache(maxsize=1_024)(write)
        case LargeBinary():
            write = _bytes
        case _:
            write = _number
    return write


_SHORT: Final = 40
"""Characters of a column whose values are few: names of currencies and kinds."""


def placeholder_of(column: Column[Any], dialect: str, value: str) -> tuple[str, str, Literal]:
    """How a row is written with `%`: the column's place in it, and what goes there.

    That is an expression of Python's for `value`, which may call `write`, the last of the three.
    """
    write = literal_of(column.type, dialect)
    if not column.nullable and isinstance(column.type, Id):
        return "x'%032x'", f"{value}.int", write
    if not column.nullable and isinstance(column.type, Integer | Boolean):
        return "%d", value, write
    return "%s", f"write({value})", write


def _text(before: str, after: str) -> Literal:
    is_plain_text = before != "x'"

    def write(value: str | None) -> str:
        if value is None:
            return NULL
        if is_plain_text and value.isascii() and not ("'" in value or "\\" in value or "\0" in value):
            return f"'{value}'"
        return f"{before}{value.encode().hex()}{after}"

    return write


def _bytes(value: bytes | None) -> str:
    return NULL if value is None else f"x'{value.hex()}'"


def _number(value: int | None) -> str:
    return NULL if value is None else f"{value:d}"


def _id(value: UUID | None) -> str:
    return NULL if value is None else f"x'{value.int:032x}'"


@lru_cache(maxsize=1_024)
def _moment(value: datetime | None) -> str:
    """SQLite has no times, and MySQL reads this form of them."""
    return NULL if value is None else f"'{in_utc(value).isoformat(' ', 'microseconds')}'"


def reading_of(kind: TypeEngine[Any], dialect: Dialect) -> Read | None:
    """How what a SELECT finds in a column becomes a value; None: it is one."""
    match kind:
        case Id():
            return _found_id
        case Word():
            words: dict[str | None, StrEnum | None] = {word.value: word for word in kind.words}
            return {**words, None: None}.__getitem__
        case Moment() if dialect.name != "sqlite":
            return _found_moment
        case _:
            read: Read | None = kind.dialect_impl(dialect).result_processor(dialect, None)
            return read


_uuid: Final = msgspec.msgpack.Decoder(UUID).decode
_SIXTEEN_BYTES: Final = b"\xc4\x10"
"""How MessagePack says that so many follow. Its decoder makes an id of them six times as fast as `uuid.UUID` does."""


def _found_moment(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)


def id_of(value: bytes) -> UUID:
    """The id of 16 bytes."""
    return _uuid(_SIXTEEN_BYTES + value)


def _found_id(value: bytes | None) -> UUID | None:
    return None if value is None else _uuid(_SIXTEEN_BYTES + value)


Digest = LargeBinary(64).with_variant(mysql.VARBINARY(64), "mysql", "mariadb")
"""Bytes of a fixed, short length."""

Gram = LargeBinary(12).with_variant(mysql.VARBINARY(12), "mysql", "mariadb")
"""Up to three characters by their bytes: `utf8mb4_bin` ignores spaces at the end."""

LongBytes = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
"""Bytes beyond the 64 KiB at which MySQL's BLOB ends."""

LongText = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
"""MySQL's TEXT ends at 64 KiB, which the first fact of an event with 50 ticket types may exceed."""
