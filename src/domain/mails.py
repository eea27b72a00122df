"""E-mails to customers about their bookings: one for each occasion, sent only while it is still true."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from msgspec import Struct, convert
from msgspec.structs import replace

from .booking import Booking, BookingStatus, PaymentStatus
from .event import Event, EventStatus
from .facts import (
    BookingCancelled,
    BookingPromoted,
    EventChanged,
    Fact,
    HoldExpired,
    HoldShortened,
    PaymentRefunded,
    PaymentTaken,
    RefundFailed,
    TicketsBooked,
    TicketsGranted,
    TicketsReturned,
)

LATEST = timedelta(days=1)
"""The age after which a mail is no longer useful."""

RETRY_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720))
"""The pause after each failure; after one more failure the mail is given up."""

_SHARE_LEFT = 5
"""A reminder is due when this part (one in five) of the time to pay is left,"""

_LEAST_LEFT = timedelta(minutes=1)
"""and at the latest this long before its end."""


def pause_after(attempts: int, jitter: float) -> timedelta | None:
    """Return the pause after a failure that follows `attempts` others; None: given up. `jitter` is from 0 to 1."""
    return RETRY_AFTER[attempts] * (0.9 + 0.2 * jitter) if attempts < len(RETRY_AFTER) else None


class MailKind(StrEnum):
    """The occasion of a mail."""

    CONFIRMED = "confirmed"
    """A customer got tickets at once. They may be due."""
    PAID = "paid"
    """A booking is paid."""
    PROMOTED = "promoted"
    """A waiting booking got tickets, or an offer that must be paid."""
    LAPSING = "lapsing"
    """A hold is about to expire."""
    LAPSED = "lapsed"
    """A hold has expired."""
    CANCELLED = "cancelled"
    """The organizer has cancelled a booking."""
    PART_CANCELLED = "part_cancelled"
    """The organizer has given a part of a booking back."""
    EVENT_CANCELLED = "event_cancelled"
    """The event is cancelled."""
    MOVED = "moved"
    """The event has another start, or none any more."""
    CHANGED = "changed"
    """The event has another venue."""
    REFUNDED = "refunded"
    """Money was given back."""
    REFUND_FAILED = "refund_failed"
    """Money could not be given back to the card."""


_NEWS_OF_THE_ORGANIZER = frozenset(
    {MailKind.CANCELLED, MailKind.PART_CANCELLED, MailKind.EVENT_CANCELLED, MailKind.MOVED, MailKind.CHANGED}
)
"""What the organizer does, and hears nothing of as a customer of the event."""


class Mail(Struct, frozen=True, gc=False, kw_only=True):
    """A mail to a booking's customer, due at `due_at`. The same occasion always gives the same id.

    `seq` is the fact that is its occasion (0: from before this was recorded). `expires_at` is the end of the hold that
    it is about. `attempts` counts failed attempts.
    """

    id: UUID
    kind: MailKind
    event_id: UUID
    booking_id: UUID
    seq: int = 0
    expires_at: datetime | None = None
    created_at: datetime
    due_at: datetime
    attempts: int = 0

    def is_true(self, booking: Booking, event: Event, fact: Fact | None, now: datetime) -> bool:
        """Return whether the mail is still true, recent enough to send, and news to the customer."""
        if now - self.created_at > LATEST and self.kind is not MailKind.LAPSING:
            return False
        if self.kind in _NEWS_OF_THE_ORGANIZER and booking.customer_id == event.organizer_id:
            return False
        current = booking.as_of(now)
        status, payment = current.status, current.payment_status
        claims = {
            # Of a booking that was paid meanwhile, the next mail tells both.
            MailKind.CONFIRMED: status is BookingStatus.CONFIRMED and not payment.has_charge,
            MailKind.PAID: status is BookingStatus.CONFIRMED and payment is PaymentStatus.TAKEN,
            MailKind.PROMOTED: status.takes_tickets,
            MailKind.LAPSING: status is BookingStatus.HELD and booking.expires_at == self.expires_at,
            MailKind.LAPSED: status is BookingStatus.EXPIRED and payment is PaymentStatus.NONE,
            MailKind.CANCELLED: status is BookingStatus.CANCELLED,
            # The end of a booking is told by another mail.
            MailKind.PART_CANCELLED: status.is_live,
            MailKind.EVENT_CANCELLED: status is BookingStatus.CANCELLED and event.status is EventStatus.CANCELLED,
            MailKind.MOVED: status.is_live and is_current(event, fact, now),
            MailKind.CHANGED: status.is_live and is_current(event, fact, now),
            # The bank may have returned it.
            MailKind.REFUNDED: payment is not PaymentStatus.REFUND_FAILED,
            MailKind.REFUND_FAILED: payment is PaymentStatus.REFUND_FAILED,
        }
        return claims[self.kind]

    def has_failed(self, now: datetime, jitter: float) -> "Mail | None":
        """Return the mail for its next attempt, or None if it is given up. `jitter` is from 0 to 1."""
        pause = pause_after(self.attempts, jitter)
        return None if pause is None else replace(self, attempts=self.attempts + 1, due_at=now + pause)


class Announcement(Struct, frozen=True, gc=False, kw_only=True):
    """A change of an event of which the customers of all its live bookings get a mail.

    The mails are made in bounded steps, from the newest booking to the oldest: those below the id `below` are left, all
    of them where it is None. Bookings made after `created_at` knew of the change.
    """

    event_id: UUID
    seq: int
    kind: MailKind
    created_at: datetime
    below: UUID | None = None

    def mail_to(self, booking: Booking, now: datetime) -> Mail | None:
        """Return the mail for a booking's customer; None for a booking that it does not concern."""
        if not booking.status.is_live or booking.created_at > self.created_at:
            return None
        return Mail(
            id=_id(self.kind, self.event_id, self.seq, booking.id),
            kind=self.kind,
            event_id=self.event_id,
            booking_id=booking.id,
            seq=self.seq,
            created_at=now,
            due_at=now,
        )


def announcement_of(fact: Fact) -> Announcement | None:
    """Return what a fact announces to all customers of its event: another start or venue; None: nothing."""
    if not isinstance(fact.what, EventChanged):
        return None
    changes = fact.what.changes
    kinds = {"startsAt": MailKind.MOVED, "venue": MailKind.CHANGED}
    kind = next((kind for name, kind in kinds.items() if name in changes), None)
    if kind is None:
        return None
    return Announcement(event_id=fact.event_id, seq=fact.seq, kind=kind, created_at=fact.occurred_at)


def is_current(event: Event, fact: Fact | None, now: datetime) -> bool:
    """Return whether the start or the venue that a fact announces is still the event's, and still ahead."""
    if fact is None or not isinstance(fact.what, EventChanged) or event.status.is_closed or event.has_started(now):
        return False
    changes = fact.what.changes
    if "startsAt" in changes:
        return event.starts_at == convert(changes["startsAt"], datetime | None)
    return event.venue == changes.get("venue")


def mails_of(fact: Fact) -> tuple[Mail, ...]:
    """Return the mails that a fact causes."""
    return tuple(_mails_of(fact))


def _mails_of(fact: Fact) -> Iterator[Mail]:
    kind = _kind_of(fact)
    if kind is not None:
        yield _mail(kind, fact)
    what = fact.what
    if isinstance(what, BookingPromoted | TicketsBooked | HoldShortened) and what.expires_at is not None:
        window = what.expires_at - fact.occurred_at
        due_at = what.expires_at - max(window / _SHARE_LEFT, _LEAST_LEFT)
        # A reminder of a hold of a minute or less would come at once.
        if due_at > fact.occurred_at:
            yield replace(_mail(MailKind.LAPSING, fact), expires_at=what.expires_at, due_at=due_at)


def _kind_of(fact: Fact) -> MailKind | None:
    """Return the kind of the mail that a fact causes at once. Customers who cancel have their answer."""
    match fact.what:
        case TicketsBooked(status=BookingStatus.CONFIRMED) | TicketsGranted():
            return MailKind.CONFIRMED
        case PaymentTaken() as taken if taken.status is BookingStatus.CONFIRMED and taken.paid_by == taken.payment_id:
            return MailKind.PAID
        case BookingCancelled(by=by):
            return {"organizer": MailKind.CANCELLED, "event": MailKind.EVENT_CANCELLED}.get(by)
        case TicketsReturned(by="organizer"):
            return MailKind.PART_CANCELLED
        case what:
            return _KINDS.get(type(what))


_KINDS: dict[type, MailKind] = {
    BookingPromoted: MailKind.PROMOTED,
    HoldExpired: MailKind.LAPSED,
    PaymentRefunded: MailKind.REFUNDED,
    RefundFailed: MailKind.REFUND_FAILED,
}


def _mail(kind: MailKind, fact: Fact) -> Mail:
    if fact.booking_id is None:
        raise ValueError("a mail is about a booking")
    return Mail(
        id=_id(kind, fact.event_id, fact.seq),
        kind=kind,
        event_id=fact.event_id,
        booking_id=fact.booking_id,
        seq=fact.seq,
        created_at=fact.occurred_at,
        due_at=fact.occurred_at,
    )


def _id(kind: MailKind, *occasion: object) -> UUID:
    """Return an id (UUID version 8) that depends on the occasion only, so two processes make the same mail."""
    text = ":".join(map(str, (kind, *occasion)))
    digest = int.from_bytes(sha256(text.encode()).digest()[:16])
    return UUID(int=digest & ~(0xF << 76) & ~(0x3 << 62) | (0x8 << 76) | (0x2 << 62))
