"""A mail of each kind in each state. `python -m tests.adapters.notifications.samples FOLDER` writes them as files."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from boxoffice.adapters.notifications.email_templates import message_of
from boxoffice.application.ports.notifications import Email, LinkEmail
from boxoffice.domain.booking import Booking, BookingStatus, PaymentStatus
from boxoffice.domain.event import Event, EventStatus
from boxoffice.domain.facts import (
    AnyFactPayload,
    BookingCancelled,
    Fact,
    PaymentRefunded,
    RefundFailed,
    TicketsReturned,
)
from boxoffice.domain.mails import Mail, MailKind
from boxoffice.domain.payment import PaymentMethod
from boxoffice.domain.user import User
from boxoffice.domain.values.money import Money
from boxoffice.domain.verification import LinkPurpose

NOW: Final = datetime(2030, 1, 1, 12, tzinfo=UTC)
SENDER: Final = "tickets@example.org"
PUBLIC_URL: Final = "https://tickets.example.org/shop"
BOOKING_ID: Final = UUID("0197b5a1-7c00-7000-8000-000000000003")
PRICE: Final = Money(5_000, "EUR")
START: Final = datetime(2030, 5, 1, 17, tzinfo=UTC)

HELD, CONFIRMED, WAITING = BookingStatus.HELD, BookingStatus.CONFIRMED, BookingStatus.WAITLISTED
CANCELLED, EXPIRED = BookingStatus.CANCELLED, BookingStatus.EXPIRED
DUE, TAKEN, OWED, REFUNDED = (
    PaymentStatus.DUE,
    PaymentStatus.TAKEN,
    PaymentStatus.REFUND_PENDING,
    PaymentStatus.REFUNDED,
)
OFF: Final = EventStatus.CANCELLED
FAILED: Final = PaymentStatus.REFUND_FAILED
CARD, CASH = PaymentMethod.CARD, PaymentMethod.CASH


def email(
    kind: MailKind,
    status: BookingStatus = CONFIRMED,
    payment: PaymentStatus = PaymentStatus.NONE,
    *,
    address: str = "ann@example.net",
    customer: str = "Ann Ōe",
    quantity: int = 2,
    amount: Money = PRICE,
    paid_with: PaymentMethod | None = None,
    ticket_type: str | None = None,
    what: AnyFactPayload | None = None,
    booking: dict[str, Any] | None = None,
    event_status: EventStatus = EventStatus.ON_SALE,
    **event: Any,
) -> Email:
    """A mail about a booking of 2 tickets for EUR 50.00, in this state, to an event in Paris in spring."""
    event_id, customer_id, other = (UUID(int=number) for number in range(1, 4))
    moments: dict[str, Any] = {"created_at": NOW, "updated_at": NOW}
    given: dict[str, Any] = {
        "name": "Jazz night",
        "venue": "Café de la Gare 🎷",
        "starts_at": START,
        "time_zone": "Europe/Paris",
        "status": event_status,
        "organizer_id": other,
    }
    return Email(
        Mail(id=UUID(int=9), kind=kind, event_id=event_id, booking_id=BOOKING_ID, created_at=NOW, due_at=NOW),
        User(id=customer_id, name=customer, email=address, password_hash="", created_at=NOW),
        Booking(
            **moments,
            id=BOOKING_ID,
            event_id=event_id,
            ticket_type_id=other,
            customer_id=customer_id,
            quantity=quantity,
            status=status,
            amount=amount,
            payment_status=payment,
            paid_with=paid_with,
            **{"expires_at": NOW + timedelta(minutes=30) if status is HELD else None, **(booking or {})},
        ),
        Event(id=event_id, currency="EUR", was_published=True, created_at=NOW, **{**given, **event}),
        address,
        ticket_type,
        Fact(event_id=event_id, seq=3, booking_id=BOOKING_ID, occurred_at=NOW, what=what) if what else None,
    )


def link_email(purpose: LinkPurpose = LinkPurpose.VERIFY) -> LinkEmail:
    """A mail with a link to an account."""
    return LinkEmail(id=UUID(int=9), purpose=purpose, recipient="eve@example.net", token="s3cret-~._")


def _refund(amount: Money, status: PaymentStatus) -> PaymentRefunded:
    return PaymentRefunded(payment_id=UUID(int=8), amount=amount, payment_status=status)


def _cancelled(refund: Money | None) -> BookingCancelled:
    about: dict[str, Any] = {"ticket_type_id": UUID(int=3), "customer_id": UUID(int=2), "quantity": 2}
    return BookingCancelled(**about, was=CONFIRMED, by="organizer", payment_status=OWED, refund=refund)


def _given_back(quantity: int, refund: Money | None = None) -> TicketsReturned:
    return TicketsReturned(
        ticket_type_id=UUID(int=3), quantity=quantity, left=2, by="organizer", payment_status=TAKEN, refund=refund
    )


FREE: Final = Money(0, "EUR")
_MOVED: Final[dict[str, Any]] = {"booking": {"cancellation_deadline_hours": 8_000}, "reschedules": 1}
_LATER: Final[dict[str, Any]] = {"booking": {"cancellation_deadline_hours": 8_000}}

SAMPLES: Final[dict[str, Email | LinkEmail]] = {
    "verify": link_email(),
    "reset": link_email(LinkPurpose.RESET),
    "replaced": link_email(LinkPurpose.REPLACED),
    "confirmed-free": email(MailKind.CONFIRMED, amount=FREE),
    "confirmed-due": email(MailKind.CONFIRMED, CONFIRMED, DUE, quantity=1, booking={"cancellation_deadline_hours": 48}),
    "paid": email(MailKind.PAID, CONFIRMED, TAKEN, paid_with=CARD, ticket_type="Balcony, right"),
    "paid-cash": email(MailKind.PAID, CONFIRMED, TAKEN, paid_with=CASH, quantity=1, starts_at=None, venue=""),
    "promoted-free": email(MailKind.PROMOTED, quantity=1, amount=FREE),
    "promoted-due": email(MailKind.PROMOTED, CONFIRMED, DUE),
    "promoted-late": email(
        MailKind.PROMOTED,
        amount=FREE,
        booking={"cancellation_deadline_hours": 8_000, "grace_until": NOW + timedelta(days=1)},
    ),
    "promoted-held": email(MailKind.PROMOTED, HELD, DUE),
    "promoted-held-one": email(MailKind.PROMOTED, HELD, DUE, quantity=1, amount=Money(500, "JPY")),
    "lapsing": email(MailKind.LAPSING, HELD, DUE),
    "lapsing-one": email(MailKind.LAPSING, HELD, DUE, quantity=1, amount=Money(12_345, "KWD")),
    "lapsed": email(MailKind.LAPSED, EXPIRED),
    "lapsed-at-the-start": email(MailKind.LAPSED, EXPIRED, quantity=1, starts_at=NOW),
    "cancelled-free": email(MailKind.CANCELLED, CANCELLED, amount=FREE),
    "cancelled-unpaid": email(MailKind.CANCELLED, CANCELLED, quantity=1),
    "cancelled-paid": email(MailKind.CANCELLED, CANCELLED, OWED, paid_with=CARD, what=_cancelled(Money(3_000, "EUR"))),
    "cancelled-before-amounts": email(MailKind.CANCELLED, CANCELLED, OWED, paid_with=CARD, what=_cancelled(None)),
    "cancelled-disputed": email(MailKind.CANCELLED, CANCELLED, PaymentStatus.DISPUTED, paid_with=CARD),
    "cancelled-refund-failed": email(MailKind.CANCELLED, CANCELLED, FAILED, paid_with=CARD, what=_cancelled(PRICE)),
    "cancelled-cash": email(MailKind.CANCELLED, CANCELLED, OWED, paid_with=CASH),
    "part-cancelled-free": email(MailKind.PART_CANCELLED, quantity=1, amount=FREE, what=_given_back(2)),
    "part-cancelled-unpaid": email(MailKind.PART_CANCELLED, CONFIRMED, DUE, what=_given_back(1)),
    "part-cancelled-paid": email(
        MailKind.PART_CANCELLED, CONFIRMED, TAKEN, paid_with=CARD, what=_given_back(1, Money(2_500, "EUR"))
    ),
    "part-cancelled-cash": email(
        MailKind.PART_CANCELLED, CONFIRMED, TAKEN, paid_with=CASH, what=_given_back(1, Money(2_500, "EUR"))
    ),
    "part-cancelled-disputed": email(
        MailKind.PART_CANCELLED,
        CONFIRMED,
        PaymentStatus.DISPUTED,
        paid_with=CARD,
        what=_given_back(1, Money(2_500, "EUR")),
    ),
    "event-cancelled-free": email(MailKind.EVENT_CANCELLED, CANCELLED, amount=FREE, event_status=OFF),
    "event-cancelled-unpaid": email(MailKind.EVENT_CANCELLED, CANCELLED, event_status=OFF),
    "event-cancelled-paid": email(MailKind.EVENT_CANCELLED, CANCELLED, OWED, paid_with=CARD, event_status=OFF),
    "event-cancelled-refunded": email(MailKind.EVENT_CANCELLED, CANCELLED, REFUNDED, paid_with=CARD, event_status=OFF),
    "event-cancelled-cash": email(MailKind.EVENT_CANCELLED, CANCELLED, REFUNDED, paid_with=CASH, event_status=OFF),
    "moved": email(MailKind.MOVED, CONFIRMED, TAKEN, paid_with=CARD, **_MOVED),
    "moved-later-the-same-day": email(MailKind.MOVED, CONFIRMED, TAKEN, paid_with=CARD, **_LATER),
    "moved-held": email(MailKind.MOVED, HELD, DUE, reschedules=1),
    "moved-waiting": email(MailKind.MOVED, WAITING, quantity=1, reschedules=1),
    "moved-to-no-date": email(MailKind.MOVED, starts_at=None),
    "changed": email(MailKind.CHANGED, CONFIRMED, DUE),
    "changed-to-none": email(MailKind.CHANGED, WAITING, venue=""),
    "fee": email(MailKind.PAID, CONFIRMED, TAKEN, paid_with=CARD, booking={"refund_fee_percent": 10}),
    "fee-after-a-move": email(
        MailKind.CHANGED, CONFIRMED, TAKEN, paid_with=CARD, booking={"refund_fee_percent": 10}, reschedules=1
    ),
    "refunded": email(MailKind.REFUNDED, CANCELLED, REFUNDED, paid_with=CARD, what=_refund(PRICE, REFUNDED)),
    "refunded-cash": email(MailKind.REFUNDED, CANCELLED, REFUNDED, paid_with=CASH, what=_refund(PRICE, REFUNDED)),
    "refunded-a-part": email(
        MailKind.REFUNDED, CONFIRMED, TAKEN, paid_with=CARD, what=_refund(Money(123_450, "EUR"), TAKEN)
    ),
    "refunded-by-hand": email(
        MailKind.REFUNDED,
        CANCELLED,
        REFUNDED,
        paid_with=CARD,
        what=replace(_refund(PRICE, REFUNDED), settled_by=UUID(int=3)),
    ),
    "refund-failed": email(
        MailKind.REFUND_FAILED,
        CANCELLED,
        FAILED,
        paid_with=CARD,
        what=RefundFailed(payment_id=UUID(int=8), amount=PRICE, payment_status=FAILED),
    ),
    "hostile": email(
        MailKind.MOVED,
        customer="http://evil.example",
        name="Win at https://evil.example/x?y=1 or call +1 555 0100 <b>now</b> eve@evil.example " * 2,
        venue="evil.example\nwww.evil.example",
        ticket_type="VIP.example",
    ),
}


def write(folder: Path) -> None:
    """Write the plain text and the HTML of each sample to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sample in SAMPLES.items():
        message = message_of(sample, SENDER, PUBLIC_URL, NOW)
        for part, suffix in zip(message.iter_parts(), ("txt", "html"), strict=True):
            text = part.get_content()
            (folder / f"{name}.{suffix}").write_text(
                f"Subject: {message['Subject']}\n\n{text}" if suffix == "txt" else text
            )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
