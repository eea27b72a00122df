"""E-mails to customers about their bookings: one for each occasion, sent only while it is still true."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from .booking import Booking, BookingStatus
from .event import Event, EventStatus
from .facts import BookingCancelled, BookingPromoted, Fact, TicketsBooked

LATEST = timedelta(days=1)
"""The age after which a mail is no longer useful."""

RETRY_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720))
"""The pause after each failure; after one more failure the mail is given up."""

_SHARE_LEFT = 5
"""A reminder is due when this part (one in five) of the time to pay is left,"""

_LEAST_LEFT = timedelta(minutes=1)
"""and at the latest this long before its end."""


class MailKind(StrEnum):
    """The occasion of a mail."""

    PROMOTED = "promoted"
    """A waiting booking got tickets, or an offer that must be paid."""
    LAPSING = "lapsing"
    """A hold is about to expire."""
    CANCELLED = "cancelled"
    """The event is cancelled."""


class Mail(Struct, frozen=True, gc=False, kw_only=True):
    """A mail to a customer, due at `due_at`. The same occasion always gives the same id.

    `expires_at` is the end of the hold that it is about. `attempts` counts failed attempts.
    """

    id: UUID
    kind: MailKind
    event_id: UUID
    booking_id: UUID
    customer_id: UUID
    expires_at: datetime | None = None
    created_at: datetime
    due_at: datetime
    attempts: int = 0

    def is_true(self, booking: Booking, event: Event, now: datetime) -> bool:
        """Return whether the mail is still true and recent enough to send."""
        if now - self.created_at > LATEST and self.kind is not MailKind.LAPSING:
            return False
        if self.kind is MailKind.CANCELLED:
            return event.status is EventStatus.CANCELLED
        status = booking.as_of(now).status
        if self.kind is MailKind.PROMOTED:
            return status.takes_tickets
        return status is BookingStatus.HELD and booking.expires_at == self.expires_at

    def has_failed(self, now: datetime, jitter: float) -> "Mail | None":
        """Return the mail for its next attempt, or None if it is given up. `jitter` is from 0 to 1."""
        if self.attempts >= len(RETRY_AFTER):
            return None
        wait = RETRY_AFTER[self.attempts] * (0.9 + 0.2 * jitter)
        return replace(self, attempts=self.attempts + 1, due_at=now + wait)


def mails_of(fact: Fact) -> tuple[Mail, ...]:
    """Return the mails that a fact causes."""
    return tuple(_mails_of(fact))


def _mails_of(fact: Fact) -> Iterator[Mail]:
    what = fact.what
    if isinstance(what, BookingPromoted):
        yield _mail(MailKind.PROMOTED, fact, what.customer_id, what.expires_at, fact.occurred_at)
    if isinstance(what, BookingPromoted | TicketsBooked) and what.expires_at is not None:
        window = what.expires_at - fact.occurred_at
        due_at = what.expires_at - max(window / _SHARE_LEFT, _LEAST_LEFT)
        # A reminder of a hold of a minute or less would come at once.
        if due_at > fact.occurred_at:
            yield _mail(MailKind.LAPSING, fact, what.customer_id, what.expires_at, due_at)
    if isinstance(what, BookingCancelled) and what.by == "event":
        yield _mail(MailKind.CANCELLED, fact, what.customer_id, None, fact.occurred_at)


def _mail(kind: MailKind, fact: Fact, customer_id: UUID, expires_at: datetime | None, due_at: datetime) -> Mail:
    if fact.booking_id is None:
        raise ValueError("a mail is about a booking")
    return Mail(
        id=_id(kind, fact),
        kind=kind,
        event_id=fact.event_id,
        booking_id=fact.booking_id,
        customer_id=customer_id,
        expires_at=expires_at,
        created_at=fact.occurred_at,
        due_at=due_at,
    )


def _id(kind: MailKind, fact: Fact) -> UUID:
    """Return an id (UUID version 8) that depends on the occasion only, so two processes make the same mail."""
    digest = int.from_bytes(sha256(f"{kind}:{fact.event_id}:{fact.seq}".encode()).digest()[:16])
    return UUID(int=digest & ~(0xF << 76) & ~(0x3 << 62) | (0x8 << 76) | (0x2 << 62))
