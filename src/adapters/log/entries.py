"""Entries: the public part of a fact, and a commitment to all of it.

An entry is a JSON object with `seq`, `kind`, `at` in seconds, the fact's public values with their stored names, and
`commitment`: the hash of a salt and the private part. The salt follows from the customer's key, so without the key
nobody can find out by trying whose fact it is.
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, get_args
from uuid import UUID

import msgspec
from msgspec import NODEFAULT, UNSET, Struct, UnsetType

from ...application.ports.log.formats import LoggedFact, Opening
from ...domain.facts import (
    AnyFactPayload,
    EventChanged,
    EventInitialized,
    FactPayload,
    TicketTypeAdded,
    TicketTypeChanged,
)

PUBLIC: Final = (
    "ticket_type_id",
    "quantity",
    "left",
    "queue_number",
    "was",
    "by",
    "status",
    "caused_by",
    "passed_over",
    # Those of a draw.
    *("entered_as", "last_entry", "entries", "root", "randomness", "round", "signature"),
)
"""The public values of a fact, where it has them. No person can be found by them."""

PUBLIC_VALUES: Final = (
    *("waitingListPolicy", "maxOvertakes", "status"),
    *("admission", "drawClosesAt", "drawSource", "drawCommitment"),
)
"""The public values of a new event, as facts name them."""

PUBLIC_CHANGES: Final = ("status", "waitingListPolicy", "maxOvertakes")
"""The public ones of its values that may change."""

SALT_BYTES: Final = 16

_COMMITMENT: Final = re.compile(rb'"commitment":"([A-Za-z0-9+/=]{44})"')

_encode = msgspec.json.encode
_decode = msgspec.json.decode


def entry_of(fact: LoggedFact, salt: bytes) -> bytes:
    """Return the entry of a fact."""
    commitment = b64encode(sha256(salt + private_part(fact)).digest())
    public = _PUBLIC_PARTS[fact.kind](fact.data)
    return b'{"seq":%d,"kind":"%b","at":"%bZ"%b,"commitment":"%b"}' % (
        fact.seq,
        fact.kind.encode(),
        _seconds(fact.occurred_at),
        b"," + public[1:-1] if len(public) > 2 else b"",
        commitment,
    )


def private_part(fact: LoggedFact) -> bytes:
    """Return what the commitment is to: JSON with the ids of booking and customer, and all that is stored."""
    booking_id, customer_id = _encode(fact.booking_id), _encode(fact.customer_id)
    return b'{"bookingId":%b,"customerId":%b,"data":%b}' % (booking_id, customer_id, fact.data.encode())


def salt_of(event_id: UUID, seq: int, key: bytes) -> bytes:
    """Return the salt of a fact whose customer has this key."""
    return hmac.digest(key, _salted(event_id) + b"%d" % seq, "sha256")[:SALT_BYTES]


def is_opened_by(entry: bytes, opening: Opening) -> bool:
    """Return whether an entry commits to this."""
    found = _COMMITMENT.search(entry)
    return found is not None and found[1] == b64encode(sha256(opening.salt + opening.private).digest())


# Facts of one transaction have one time, and are of few events.
@lru_cache(maxsize=16)
def _seconds(time: datetime) -> bytes:
    return time.isoformat()[:19].encode()


@lru_cache(maxsize=16)
def _salted(event_id: UUID) -> bytes:
    return f"boxoffice/salt/1/{event_id}/".encode()


class _Changes(Struct):
    """What a fact with changes tells of them."""

    changes: dict[str, Any]
    ticket_type_id: UUID | UnsetType = msgspec.field(default=UNSET, name="ticketTypeId")


class _Initialized(Struct, rename="camel"):
    """What an event's first fact tells."""

    values: dict[str, Any]
    ticket_types: list["_Added"]


class _Added(Struct, rename="camel"):
    """What a fact about a new ticket type tells."""

    ticket_type_id: UUID
    total_tickets: int


def _initialized(data: str) -> bytes:
    fact = _decode(data, type=_Initialized)
    values = {name: fact.values[name] for name in PUBLIC_VALUES if fact.values.get(name) is not None}
    # Events from before there were draws name none.
    return _encode({"admission": "line", **values, "ticketTypes": fact.ticket_types})


def _event_changed(data: str) -> bytes:
    changes = _decode(data, type=_Changes).changes
    # Here null says that there is no bound any more.
    return _encode({"changes": {name: value for name, value in changes.items() if name in PUBLIC_CHANGES}})


def _type_added(data: str) -> bytes:
    return _encode(_decode(data, type=_Added))


def _type_changed(data: str) -> bytes:
    fact = _decode(data, type=_Changes)
    total = {name: value for name, value in fact.changes.items() if name == "totalTickets"}
    return _encode({"ticketTypeId": fact.ticket_type_id, **total})


def _public_part(payload: type[FactPayload]) -> Callable[[str], bytes]:
    """Return a function that reduces the stored content of a kind of facts to its public values.

    Values that are not stored have their defaults. None is left out.
    """
    fields = []
    for field in msgspec.structs.fields(payload):
        if field.name in PUBLIC:
            value = UNSET if field.default is None else field.default
            fields.append((field.name, field.type | None | UnsetType, *([] if value is NODEFAULT else [value])))
    public = msgspec.defstruct(f"Public{payload.__name__}", fields, rename="camel", kw_only=True, gc=False)
    decode, encode = msgspec.json.Decoder(public).decode, msgspec.json.Encoder().encode

    def public_part(data: str) -> bytes:
        return encode(decode(data))

    return public_part


_PUBLIC_PARTS: Final[dict[str, Callable[[str], bytes]]] = {
    **{each.__name__: _public_part(each) for each in get_args(AnyFactPayload)},
    EventInitialized.__name__: _initialized,
    EventChanged.__name__: _event_changed,
    TicketTypeAdded.__name__: _type_added,
    TicketTypeChanged.__name__: _type_changed,
}
