"""Pagination: cursors and query parameters of lists."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from hashlib import blake2b
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from ...application.ports.queries import EventKey, WaitingKey
from ...domain.values.fields import Rule, utc_time
from .problems.problem import FieldProblem, Malformed, pointer
from .request import JsonRequest

Key = TypeVar("Key")

GREATEST: Final = 2**63 - 1
"""The largest integer of the databases."""

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="The most items of the page.")]
Cursor = Annotated[
    str | None,
    QueryParameter(min_length=1, description="The `nextCursor` of the previous page, with the same filters."),
]

_PLAIN_NUMBER: Final = re.compile("0|[1-9][0-9]{0,18}")


def check_parameters(request: JsonRequest[Any], *names: str) -> None:
    """Check that these parameters are neither repeated nor empty, that text is UTF-8 and numbers are plain digits.

    Litestar accepts `01`, `1.0`, `null` and any bytes, and the last of repeated parameters. Raises: Malformed.
    """
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    given = [(name, value) for name, value in pairs if name in names]
    counts = Counter(name for name, _ in given)
    problems = [(name, "must be given only once") for name, count in counts.items() if count > 1]
    for name, value in given:
        if not value:
            problems.append((name, "must not be empty"))
        elif any("\udc80" <= character <= "\udcff" for character in value):
            problems.append((name, "must be UTF-8"))
        elif name in {"status", "when", "mine", "ticketTypeId"} and value.lower() == "null":
            problems.append((name, "must be omitted instead of null"))
        elif name in {"after", "limit"} and not _PLAIN_NUMBER.fullmatch(value):
            problems.append((name, "must be a whole number in plain digits"))
    if problems:
        raise Malformed(*(FieldProblem(pointer(name), detail) for name, detail in problems))


def search_text(q: str | None, rule: Rule) -> str | None:
    """Return the checked text of a search; None without one. Raises: Malformed."""
    try:
        return None if q is None else rule(q)
    except ValueError as error:
        raise Malformed(FieldProblem(pointer("q"), str(error))) from None


class Cursors(Generic[Key]):
    """The cursors of one list with one set of filters; those of another list or set are refused.

    A cursor is the key of the last item behind a digest of that key, the list and its filters. It is neither secret
    nor signed: a key reveals nothing beyond the list, and a forged one leads only to items of the same list.
    """

    def __init__(self, kind: type[Key], *scope: object) -> None:
        self._kind = kind
        self._digest_key = blake2b(repr(scope).encode("utf-8", "surrogatepass"), digest_size=32).digest()

    def write(self, key: Key | None) -> str | None:
        """Return the cursor for the next page."""
        if key is None:
            return None
        written = msgspec.msgpack.encode(key)
        return urlsafe_b64encode(self._digest(written) + written).rstrip(b"=").decode()

    def read(self, cursor: str | None) -> Key | None:
        """Return the key of a cursor; None without one. Raises: Malformed."""
        if cursor is None:
            return None
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            key = msgspec.msgpack.decode(raw[_DIGEST:], type=self._kind)
            _check_storable(key)
        except (ValueError, msgspec.MsgspecError):
            raise _INVALID_CURSOR from None
        if self.write(key) != cursor:
            raise _INVALID_CURSOR
        return key

    def _digest(self, written: bytes) -> bytes:
        return blake2b(written, digest_size=_DIGEST, key=self._digest_key).digest()


_DIGEST: Final = 8
_INVALID_CURSOR: Final = Malformed(
    FieldProblem(pointer("cursor"), "must be a nextCursor of this list with these filters")
)


def _check_storable(key: object) -> None:
    """Check that a database can compare with a key, which may be forged. Raises: ValueError."""
    if isinstance(key, int) and not 0 <= key < GREATEST:
        raise ValueError("must be within the range of the database")
    if isinstance(key, EventKey) and key.starts_at is not None:
        utc_time(key.starts_at)
    elif isinstance(key, WaitingKey) and not (0 <= key.ordinal <= GREATEST and 0 <= key.queue_number <= GREATEST):
        raise ValueError("must be within the range of the database")


def event_cursors(*scope: object) -> Cursors[EventKey]:
    """Return the cursors of a list of events. `scope` is the list with its filters."""
    return Cursors(EventKey, *scope)


def id_cursors(*scope: object) -> Cursors[UUID]:
    """Return the cursors of a list in the order of ids."""
    return Cursors(UUID, *scope)


def number_cursors(*scope: object) -> Cursors[int]:
    """Return the cursors of a list in the order of numbers."""
    return Cursors(int, *scope)


def waiting_cursors(*scope: object) -> Cursors[WaitingKey]:
    """Return the cursors of a waiting list."""
    return Cursors(WaitingKey, *scope)
