"""Check-ins: the entries of an event's scanners, which may have worked without a network.

Entries may come late, in any order and more than once. What they say of a ticket depends on their times alone, so that
any order and grouping of the same entries gives the same tickets in use, with the same times (see `CheckIn.counts`).
"""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import force_setattr

from ..values.fields import Rules, checked, text, utc_time

MOST_SCANS: Final = 500
"""Most scans of one command."""

CHECK_IN_RULES: Rules = {"at": utc_time, "device": text(1, 100)}


class ScanResult(StrEnum):
    """The answer to a scan. The last two follow from the code alone, and are not recorded."""

    ADMITTED = "admitted"
    """No entry of the same time or an earlier one counts."""
    ALREADY_USED = "already-used"
    VOID = "void"
    """The ticket was given back, its booking or event is cancelled, or the code was replaced by a newer one."""
    UNKNOWN = "unknown"
    """It is not a code of a ticket."""
    OTHER_EVENT = "other-event"
    """It is a code of another event."""


class ScannedTicket(Struct, frozen=True, gc=False):
    """The ticket whose code was scanned, and the code's serial number."""

    booking_id: UUID
    number: int
    serial: int


class Scan(Struct, frozen=True, gc=False, kw_only=True):
    """A scan of a code. `id` is the scanner's: the first scan with an id counts.

    `is_offline`: its holder was let in without a network, so before the service was asked. Without a `ticket` the code
    was not a ticket's of this event; with `is_of_other_event` it was another event's. Raises: InvalidRequest when a
    value breaks a rule.
    """

    id: UUID
    at: datetime
    device: str
    is_offline: bool = False
    ticket: ScannedTicket | None = None
    is_of_other_event: bool = False

    def __post_init__(self) -> None:
        for name, value in checked({"at": self.at, "device": self.device}, CHECK_IN_RULES).items():
            force_setattr(self, name, value)


class CheckIn(Struct, frozen=True, gc=False, kw_only=True):
    """A recorded scan of an event's ticket, and its answer, which never changes.

    `admitted_at` is the time at which the ticket counted as let in when the answer was given; None: it was not.
    """

    id: UUID
    event_id: UUID
    booking_id: UUID
    number: int
    serial: int
    at: datetime
    device: str
    is_offline: bool
    result: ScanResult
    admitted_at: datetime | None
    is_undone: bool = False

    @property
    def stands(self) -> bool:
        """Whether its holder was let in, by the answer or before it, and the entry was not undone."""
        return not self.is_undone and (self.is_offline or self.result is ScanResult.ADMITTED)

    @property
    def counts(self) -> bool:
        """Whether it uses the ticket; the earliest one that does gives the time. A void code uses no ticket."""
        return self.stands and self.result is not ScanResult.VOID

    def is_beside(self, other: "CheckIn") -> bool:
        """Return whether it is another entry of the same ticket."""
        return self.number == other.number and self.booking_id == other.booking_id and self.id != other.id
