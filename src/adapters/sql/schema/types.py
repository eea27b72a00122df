"""Column types for ids, times, enumerations and exact text, and the types of statements and results."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import DateTime, Dialect, LargeBinary, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine


class Id(TypeDecorator[UUID]):
    """A UUID in 16 bytes, so that UUIDs of version 7 sort by age in every database."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = LargeBinary(16).with_variant(mysql.BINARY(16), "mysql", "mariadb")
    cache_ok: bool | None = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> Any:  # noqa: ARG002 (SQLAlchemy's signature)
        """Return the bytes."""
        return None if value is None else value.bytes

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:  # noqa: ARG002 (as above)
        """Return the id."""
        return None if value is None else UUID(bytes=bytes(value))


class Moment(TypeDecorator[datetime]):
    """A time in UTC with microseconds. SQLAlchemy's own type drops the zone, and MySQL's default the microseconds."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok: bool | None = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ARG002 (as above)
        """Return the naive time in UTC. Raises: ValueError for a naive time."""
        return None if value is None else in_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (as above)
        """Return the aware time in UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


class Word(TypeDecorator[StrEnum]):
    """A member of an enumeration, as text."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = String(16)
    cache_ok: bool | None = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> Any:  # noqa: ARG002 (as above)
        """Return the text."""
        return None if value is None else value.value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002 (as above)
        """Return the member. Raises: ValueError for other text."""
        return None if value is None else self.words(value)


class Exact(TypeDecorator[str]):
    """Short text as bytes, because MySQL's collations before 8.0 ignore trailing spaces."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = LargeBinary(1_020).with_variant(
        mysql.VARBINARY(1_020), "mysql", "mariadb"
    )
    cache_ok: bool | None = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 (as above)
        """Return the bytes."""
        return None if value is None else value.encode()

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 (as above)
        """Return the text."""
        return None if value is None else bytes(value).decode()


class Numbers(TypeDecorator[tuple[int, ...]]):
    """Whole numbers as text, separated by commas; NULL: none."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = Text
    cache_ok: bool | None = True

    def process_bind_param(self, value: tuple[int, ...] | None, dialect: Dialect) -> Any:  # noqa: ARG002 (as above)
        """Return the text."""
        return written_numbers(value) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[int, ...] | None:  # noqa: ARG002 (as above)
        """Return the numbers."""
        return tuple(map(int, value.split(","))) if value else ()


def written_numbers(numbers: tuple[int, ...]) -> str:
    """Return the text of numbers."""
    return ",".join(map(str, numbers))


def in_utc(moment: datetime) -> datetime:
    """Return the naive time in UTC. Raises: ValueError for a naive time."""
    if moment.tzinfo is None:
        raise ValueError("a stored time must have a time zone")
    return moment.astimezone(UTC).replace(tzinfo=None)


Row = tuple[Any, ...]


class Statement(Struct, frozen=True):
    """A statement that contains its values; `expected` is the number of rows that it must change, None: any."""

    text: str
    expected: int | None = None


class Guard(Struct, frozen=True):
    """Statements around all others of a transaction: `end` fails unless `begin` belongs to the same transaction.

    A server may roll back between two statements, because of another node's transaction, and begin a new one with the
    next statement that was sent. Only an error before COMMIT keeps what follows from being committed alone.
    """

    begin: Statement
    end: Statement


class Result(Struct, frozen=True):
    """The rows of a statement, as the driver returns them, and the number of rows that it changed."""

    rows: Sequence[Row]
    changed: int


Digest: LargeBinary = LargeBinary(64).with_variant(mysql.VARBINARY(64), "mysql", "mariadb")
"""Short bytes."""

Gram: LargeBinary = LargeBinary(12).with_variant(mysql.VARBINARY(12), "mysql", "mariadb")
"""Up to three characters as bytes, because `utf8mb4_bin` ignores trailing spaces."""

LongBytes: LargeBinary = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
"""Bytes that may be longer than 64 KiB, the limit of MySQL's BLOB."""

LongText: Text = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
"""Text that may be longer than 64 KiB, the limit of MySQL's TEXT: the first fact of an event with many ticket types."""
