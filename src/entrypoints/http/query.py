"""Query parameters and cursors: those that a list knows are held to their rules, others are ignored."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final, Generic, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from msgspec import Struct

from ...application.ports import EventKey, WaitingKey
from ...application.queries import Page
from ...domain.fields import moment, text
from .body import id_from
from .exchange import Request
from .problems import FieldProblem, Malformed, pointer

Value = TypeVar("Value")
Key = TypeVar("Key")
Choice = TypeVar("Choice", bound=StrEnum)

GREATEST: Final = 2**63 - 1
"""No database counts further."""

Rule = Callable[[str], Any]


def query(request: Request[Any], **rules: Rule) -> dict[str, Any]:
    """The values of the parameters that are known and given, by name.

    Raises: Malformed for an empty, repeated or unknown value of a known one.
    """
    raw = request.scope["query_string"]
    if not raw:
        return {}
    found: dict[str, Any] = {}
    errors = []
    # Bytes that are no UTF-8 become lone surrogates, which no rule lets pass.
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"):
        if name not in rules:
            continue
        try:
            kept = _once(rules[name], value, is_first=name not in found)
        except ValueError as error:
            kept = None
            errors.append(FieldProblem(pointer(name), str(error)))
        found[name] = kept
    if errors:
        raise Malformed(*errors)
    return found


def _once(rule: Rule, value: str, *, is_first: bool) -> Any:
    if not is_first:
        raise ValueError("must be given once only")
    if not value:
        raise ValueError("must not be empty")
    return rule(value)


def one_of(choices: type[Choice]) -> Rule:
    """One of these words."""

    def rule(value: str) -> Choice:
        if value not in choices._value2member_map_:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return choices(value)

    return rule


def number(least: int, most: int) -> Rule:
    """A whole number in plain digits."""

    def rule(value: str) -> int:
        is_plain = value.isascii() and value.isdigit() and len(value) < 20 and str(int(value)) == value
        if not is_plain or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return rule


def identifier(value: str) -> UUID:
    """An id."""
    found = id_from(value)
    if found is None:
        raise ValueError("must be an id (a UUID)")
    return found


limit: Final = number(1, 100)
sequence_number: Final = number(0, GREATEST)
search_text: Final = text(1, 200)


class Cursors(Generic[Key]):
    """The cursors of one list under one set of filters; those of any other do not fit.

    A cursor is the key to go on after, behind a digest of it and of what it belongs to. That is no secret and no
    signature: a key shows nothing that the list did not, and a made-up one leads nowhere else.
    """

    def __init__(self, kind: Any, *belongs_to: object) -> None:
        self._kind = kind
        self._belongs_to = repr(belongs_to).encode("utf-8", "surrogatepass")

    def write(self, key: Key | None) -> str | None:
        """The cursor for the next page."""
        if key is None:
            return None
        written = msgspec.msgpack.encode(key)
        return urlsafe_b64encode(self._digest(written) + written).rstrip(b"=").decode()

    def read(self, cursor: str) -> Key:
        """The key that a cursor stands for. Raises: ValueError."""
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            digest, written = raw[:_DIGEST], raw[_DIGEST:]
            key: Key = msgspec.msgpack.decode(written, type=self._kind)
            _check_storable(key)
        except (ValueError, msgspec.MsgspecError):
            raise _no_cursor() from None
        if digest != self._digest(written) or self.write(key) != cursor:
            raise _no_cursor()
        return key

    def read_from(self, asked: Mapping[str, Any]) -> Key | None:
        """The key of the cursor among the parameters; None at the start of a list. Raises: Malformed."""
        cursor: str | None = asked.get("cursor")
        if cursor is None:
            return None
        try:
            return self.read(cursor)
        except ValueError as error:
            raise Malformed(FieldProblem(pointer("cursor"), str(error))) from None

    def _digest(self, written: bytes) -> bytes:
        return blake2b(written, digest_size=_DIGEST, key=blake2b(self._belongs_to, digest_size=32).digest()).digest()


_DIGEST: Final = 8


def _check_storable(key: object) -> None:
    """A made-up key may hold what no database can compare with."""
    match key:
        case WaitingKey():
            fits = 0 <= key.ordinal <= GREATEST and 0 <= key.queue_number <= GREATEST
        case EventKey(starts_at=starts_at) if starts_at is not None:
            fits = starts_at.tzinfo is not None and moment(starts_at) == starts_at
        case _:
            fits = True
    if not fits:
        raise _no_cursor()


def _no_cursor() -> ValueError:
    return ValueError("must be a nextCursor of this list with these filters")


def event_cursors(*belongs_to: object) -> Cursors[EventKey]:
    """Cursors of a list of events."""
    return Cursors(EventKey, *belongs_to)


def booking_cursors(*belongs_to: object) -> Cursors[UUID]:
    """Cursors of a list of bookings by age."""
    return Cursors(UUID, *belongs_to)


def payment_cursors(*belongs_to: object) -> Cursors[UUID]:
    """Cursors of a booking's payments."""
    return Cursors(UUID, *belongs_to)


def waiting_cursors(*belongs_to: object) -> Cursors[WaitingKey]:
    """Cursors of a waiting list."""
    return Cursors(WaitingKey, *belongs_to)


class Listed(Struct, Generic[Value], frozen=True, rename="camel"):
    """A piece of a list; `nextCursor` is null at its end."""

    items: list[Value]
    next_cursor: str | None


def page_of(page: Page[Any, Any], view: Callable[[Any], Value], cursors: "Cursors[Any]") -> Listed[Value]:
    """A page as it is answered."""
    return Listed([view(item) for item in page.items], cursors.write(page.next))
