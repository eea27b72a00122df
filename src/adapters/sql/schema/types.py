"""Column types that lose nothing: ids, times, and the words of the domain."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import DateTime, Dialect, LargeBinary, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql


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


Digest = LargeBinary(64).with_variant(mysql.VARBINARY(64), "mysql", "mariadb")
"""Bytes of a fixed, short length."""

Gram = LargeBinary(12).with_variant(mysql.VARBINARY(12), "mysql", "mariadb")
"""Up to three characters by their bytes: `utf8mb4_bin` ignores spaces at the end."""

LongBytes = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
"""Bytes beyond the 64 KiB at which MySQL's BLOB ends."""

LongText = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
"""MySQL's TEXT ends at 64 KiB, which the first fact of an event with 50 ticket types may exceed."""
