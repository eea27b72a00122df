"""Bodies of the door: what scanners need, scans and their answers, and tickets that were let in more than once."""

from base64 import urlsafe_b64encode
from typing import Annotated, ClassVar, Final
from uuid import UUID

from msgspec import Meta

from ....application.door.queries import ConflictSeen, DoorList
from ....application.door.record_check_ins import CodeScan, ScanSeen
from ....domain.decisions.check_in import UndoneCheckIn
from ....domain.tickets.check_in import CHECK_IN_RULES, MOST_SCANS, ScanResult
from ....domain.tickets.ticket import ticket_id
from ....domain.values.fields import Rules
from ..decoding import RequestBody
from .fields import Device, NextCursor, Time, View

CODE_FORMAT: Final = "BX1"
"""What codes begin with: the format that docs/tickets.md describes."""

MOST_BYTES: Final = 256 * 1024
"""The largest body of check-ins: 500 codes do not fit into 64 KiB."""

_TicketId = Annotated[UUID, Meta(description="The ticket's id.")]
_Number = Annotated[int, Meta(description="The ticket's number within the event.", examples=[7])]
_HolderName = Annotated[str | None, Meta(description="The name of who has the ticket; `null` once it is erased.")]
_CheckInId = Annotated[UUID, Meta(description="The entry's id, which its scanner chose.")]


class UsedTicketView(View, frozen=True, kw_only=True):
    """A ticket that was let in."""

    ticket_id: _TicketId
    at: Annotated[Time, Meta(description="When: the earliest time of its entries.")]


class ReissuedTicketView(View, frozen=True, kw_only=True):
    """A ticket whose older codes are void."""

    ticket_id: _TicketId
    serial: Annotated[int, Meta(description="The serial number of the code that is valid.", examples=[2])]


class DoorView(View, frozen=True, kw_only=True):
    """What a scanner needs to judge codes without a network."""

    event_id: Annotated[UUID, Meta(description="The event's id, which is in every code.")]
    name: Annotated[str, Meta(description="The event's name.")]
    starts_at: Annotated[Time | None, Meta(description="When the event starts; `null`: not known.")]
    time_zone: Annotated[str, Meta(description="The time zone of the event, an IANA name.", examples=["Europe/Paris"])]
    code_format: Annotated[str, Meta(description="What codes begin with.", examples=[CODE_FORMAT])]
    public_key: Annotated[str, Meta(description="The key that codes are signed for: 32 bytes in base64url, unpadded.")]
    void: Annotated[list[UUID], Meta(description="The tickets that nobody may come in with, by number.")]
    used: Annotated[list[UsedTicketView], Meta(description="The tickets that were let in, by number; none is void.")]
    reissued: Annotated[list[ReissuedTicketView], Meta(description="Tickets that have another code than their first.")]
    as_of: Annotated[Time, Meta(description="When it was read; the ETag ignores this time.")]

    @classmethod
    def at(cls, door: DoorList) -> "DoorView":
        """Return what a scanner needs of an event."""
        event = door.event
        return cls(
            event_id=event.id,
            name=event.name,
            starts_at=event.starts_at,
            time_zone=event.time_zone,
            code_format=CODE_FORMAT,
            public_key=urlsafe_b64encode(door.public_key).rstrip(b"=").decode(),
            void=door.void,
            used=[UsedTicketView.of(each) for each in door.used],
            reissued=[ReissuedTicketView.of(each) for each in door.reissued],
            as_of=door.as_of,
        )


class ScanRequest(RequestBody, frozen=True, kw_only=True):
    """A scan of a code."""

    rules: ClassVar[Rules] = CHECK_IN_RULES

    id: Annotated[
        UUID, Meta(description="The scanner's name for this scan, a random UUID. The first with an id counts.")
    ]
    code: Annotated[str, Meta(min_length=1, max_length=1_000, description="The text that was scanned, as it is.")]
    at: Annotated[Time, Meta(description="When it was scanned, by the scanner's clock.")]
    device: Annotated[Device, Meta(description="The scanner, in its own words.", examples=["Gate 2"])]
    offline: Annotated[
        bool, Meta(description="Whether its holder was let in without a network, before this request.")
    ] = False

    def to_scan(self) -> CodeScan:
        """Return the scan for the use case."""
        return CodeScan(id=self.id, code=self.code, at=self.at, device=self.device, is_offline=self.offline)


class CheckInsRequest(RequestBody, frozen=True, kw_only=True):
    """Scans of one or more scanners, in any order."""

    items: Annotated[list[ScanRequest], Meta(min_length=1, max_length=MOST_SCANS, description="The scans.")]


class ScanView(View, frozen=True, kw_only=True):
    """The answer to a scan. A scan that is sent again gets the same answer, whatever happened meanwhile."""

    id: Annotated[UUID, Meta(description="The scan's id.")]
    result: Annotated[
        ScanResult,
        Meta(
            description="`admitted`; `already-used`: the holder came in at that time or before; `void`: the ticket was "
            "given back, or its booking or event cancelled, or another code replaced this one; `unknown`: not a code; "
            "`other-event`: a code of another event."
        ),
    ]
    ticket_id: Annotated[UUID | None, Meta(description="The ticket; `null` where the code is not of this event.")]
    holder_name: _HolderName
    admitted_at: Annotated[
        Time | None, Meta(description="When the ticket was let in, as far as it was known then; `null`: it was not.")
    ]


class CheckInsView(View, frozen=True, kw_only=True):
    """The answers to scans."""

    items: Annotated[list[ScanView], Meta(description="The answers, in the order of the scans.")]

    @classmethod
    def at(cls, answers: list[ScanSeen]) -> "CheckInsView":
        """Return the answers."""
        return cls(items=[ScanView.of(each) for each in answers])


class UndoneView(View, frozen=True, kw_only=True):
    """A check-in that was undone."""

    id: _CheckInId
    ticket_id: _TicketId
    checked_in_at: Annotated[
        Time | None, Meta(description="When the ticket counts as let in by another entry; `null`: it does not.")
    ]

    @classmethod
    def at(cls, undone: UndoneCheckIn) -> "UndoneView":
        """Return an undone check-in."""
        entry, checked_in_at = undone.check_in, undone.checked_in_at
        return cls(id=entry.id, ticket_id=ticket_id(entry.booking_id, entry.number), checked_in_at=checked_in_at)


class EntryView(View, frozen=True, kw_only=True):
    """One time at which a ticket was let in."""

    id: _CheckInId
    at: Annotated[Time, Meta(description="When, by the scanner's clock.")]
    device: Annotated[str, Meta(description="The scanner.")]


class ConflictView(View, frozen=True, kw_only=True):
    """A ticket that was let in more than once."""

    ticket_id: _TicketId
    number: _Number
    holder_name: _HolderName
    entries: Annotated[list[EntryView], Meta(description="Every entry that was not undone, by time.")]

    @classmethod
    def at(cls, conflict: ConflictSeen) -> "ConflictView":
        """Return a conflict."""
        return cls.of(conflict, entries=[EntryView.of(each) for each in conflict.entries])


class ConflictPageView(View, frozen=True, kw_only=True):
    """A page of the tickets that were let in more than once."""

    items: Annotated[list[ConflictView], Meta(description="The tickets of this page, by number.")]
    next_cursor: NextCursor
