"""Lists in pages: cursors, and the parameters that every list takes."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from functools import partial
from hashlib import blake2b
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from ...application.ports.queries import EventKey, WaitingKey
from ...domain.values.fields import utc_time
from .problems.problem import FieldProblem, Malformed, pointer
from .request import JsonRequest

Key = TypeVar("Key")

GREATEST: Final = 2**63 - 1
"""No database counts further."""

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Items on a page, at most.")]
Cursor = Annotated[
    str | None, QueryParameter(min_length=1, description="The `nextCursor` of the page before, with the same filters.")
]

_PLAIN_NUMBER: Final = re.compile("0|[1-9][0-9]{0,18}")


def check_parameters(request: JsonRequest[Any], *names: str) -> None:
    """Check that none of these parameters is repeated or empty, that texts are UTF-8 and numbers plain digits.

    Litestar takes `01`, `1.0`, `null` for nothing, any bytes and the last of several. Raises: Malformed.
    """
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    given = [(name, value) for name, value in pairs if name in names]
    counts = Counter(name for name, _ in given)
    flaws = [(name, "must be given only once") for name, count in counts.items() if count > 1]
    for name, value in given:
        if not value:
            flaws.append((name, "must not be empty"))
        elif any("\udc80" <= character <= "\udcff" for character in value):
            flaws.append((name, "must be UTF-8"))
        elif name in {"status", "ticketTypeId"} and value.lower() == "null":
            flaws.append((name, "must be left out where nothing is chosen"))
        elif name in {"after", "limit"} and not _PLAIN_NUMBER.fullmatch(value):
            flaws.append((name, "must be a whole number in plain digits"))
    if flaws:
        raise Malformed(*(FieldProblem(pointer(name), flaw) for name, flaw in flaws))


class Cursors(Generic[Key]):
    """The cursors of one list under one set of filters; those of any other do not fit.

    A cursor is the key to go on after, behind a digest of it and of what it belongs to. It is neither secret nor
    signed: a key reveals nothing that the list did not, and a made-up one leads nowhere else.
    """

    def __init__(self, kind: type[Key], *belongs_to: object) -> None:
        self._kind = kind
        self._digest_key = blake2b(repr(belongs_to).encode("utf-8", "surrogatepass"), digest_size=32).digest()

    def write(self, key: Key | None) -> str | None:
        """Return the cursor for the next page."""
        if key is None:
            return None
        written = msgspec.msgpack.encode(key)
        return urlsafe_b64encode(self._digest(written) + written).rstrip(b"=").decode()

    def read(self, cursor: str | None) -> Key | None:
        """Return the key that a cursor stands for; None at the start of a list. Raises: Malformed."""
        if cursor is None:
            return None
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            key = msgspec.msgpack.decode(raw[_DIGEST:], type=self._kind)
            _check_storable(key)
        except (ValueError, msgspec.MsgspecError):
            raise _NO_CURSOR from None
        if self.write(key) != cursor:
            raise _NO_CURSOR
        return key

    def _digest(self, written: bytes) -> bytes:
        return blake2b(written, digest_size=_DIGEST, key=self._digest_key).digest()


_DIGEST: Final = 8
_NO_CURSOR: Final = Malformed(FieldProblem(pointer("cursor"), "must be a nextCursor of this list with these filters"))


def _check_storable(key: object) -> None:
    """Check that a database can compare with a key, which may be made up. Raises: ValueError."""
    if isinstance(key, EventKey) and key.starts_at is not None:
        utc_time(key.starts_at)
    elif isinstance(key, WaitingKey) and not (0 <= key.ordinal <= GREATEST and 0 <= key.queue_number <= GREATEST):
        raise ValueError("must be counted by a database")


event_cursors = partial(Cursors, EventKey)
"""Make the cursors of a list of events, given what they belong to."""

id_cursors = partial(Cursors, UUID)
"""The same for a list in the order of ids."""

waiting_cursors = partial(Cursors, WaitingKey)
"""The same for a waiting list."""
