"""The public text of a log's entries, as a stranger reads it."""

from typing import Final

from msgspec import UNSET, MsgspecError, Struct, UnsetType, json
from msgspec.structs import replace

from ...domain.log.merkle import leaf_hash
from .refused import Refused


class TypeEntry(Struct, frozen=True, gc=False, rename="camel"):
    """A ticket type that an event begins with."""

    ticket_type_id: str
    total_tickets: int


class Changes(Struct, frozen=True, gc=False, rename="camel"):
    """What an edit changed of what decides who is served."""

    status: str | UnsetType = UNSET
    waiting_list_policy: str | UnsetType = UNSET
    max_overtakes: int | UnsetType | None = UNSET


class Entry(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """One fact, as far as it is public. What else an entry says is ignored."""

    seq: int
    kind: str
    at: str
    commitment: str
    ticket_type_id: str | None = None
    quantity: int | None = None
    queue_number: int | None = None
    was: str | None = None
    by: str | None = None
    status: str | None = None
    caused_by: int | None = None
    passed_over: int | None = None
    left: int | None = None
    waiting_list_policy: str | None = None
    max_overtakes: int | None = None
    admission: str | None = None
    ticket_types: list[TypeEntry] = []
    total_tickets: int | None = None
    changes: Changes = Changes()
    draw_closes_at: str | None = None
    draw_commitment: str | None = None
    entered_as: int | None = None
    last_entry: int | None = None
    entries: int | None = None
    root: str | None = None
    randomness: str | None = None
    round: int | None = None
    signature: str | None = None
    leaf: bytes = b""
    """The entry's hash, which it does not say itself."""


_DECODER: Final = json.Decoder(Entry)


def read_entry(text: bytes) -> Entry:
    """Return what an entry says.

    Raises: Refused: not an entry.
    """
    try:
        return replace(_DECODER.decode(text), leaf=leaf_hash(text))
    except MsgspecError as error:
        raise Refused(f"an entry cannot be read: {error}") from None
