"""Mails as messages in plain text and HTML, safe against header injection. Their texts are in `templates`."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

import idna
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from msgspec import Struct

from ...application.ports.notifications import Email, LinkEmail, Undeliverable
from ...domain.booking import PaymentStatus
from ...domain.decisions.cancel import cancellable_until, is_released
from ...domain.facts import BookingCancelled, Fact, PaymentRefunded, RefundFailed, TicketsReturned
from ...domain.payment import PaymentMethod
from ...domain.values.money import Money
from ...domain.verification import LinkPurpose
from .wording import count, money, one_line, time, unlinked

_HOST: Final = re.compile(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
LONGEST_NAME: Final = 100
"""Maximum characters of an event's name in a subject."""

_templates: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PATHS: Final = {LinkPurpose.VERIFY: "/verify-email", LinkPurpose.RESET: "/reset-password"}
"""Where the links of each purpose lead; others have no link."""


class _Content(Struct, frozen=True, kw_only=True):
    """What a mail says.

    `values` are for its template, which holds no words of users: those stand in `greeting`, `details` and, at the end
    of the subject, `about`. `link` None: there is no public URL.
    """

    template: str
    values: Mapping[str, object]
    link: str | None
    greeting: str = "Hello,"
    about: str | None = None
    details: tuple[tuple[str, str], ...] = ()


def message_of(email: Email | LinkEmail, sender: str, public_url: str | None, now: datetime) -> EmailMessage:
    """Return the mail as a message. Its `Message-ID` depends on the mail's id only. Raises: Undeliverable."""
    if isinstance(email, LinkEmail):
        mail_id, recipient, content = email.id, address_of(email.recipient), _link_content(email, public_url)
    else:
        mail_id, recipient = email.mail.id, address_of(email.recipient)
        content = _booking_content(email, public_url, now)
    message = EmailMessage(policy=SMTP if recipient.username.isascii() else SMTPUTF8)
    message["From"] = sender
    message["To"] = recipient
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{mail_id}@{sender.rpartition('@')[2].strip('<> ')}>"
    # RFC 3834: prevents automatic replies.
    message["Auto-Submitted"] = "auto-generated"
    _write(message, content)
    return message


def address_of(email: str) -> Address:
    """Return an account's address with its domain in ASCII and its local part quoted where necessary.

    Raises: Undeliverable when the domain cannot name a mail server.
    """
    local, _, domain = email.rpartition("@")
    try:
        # Not Python's codec, which implements IDNA 2003 and maps faß.example to fass.example.
        host = idna.encode(domain, strict=True).decode()
    except idna.IDNAError:
        host = ""
    if not local or not _HOST.fullmatch(host):
        raise Undeliverable("the address is not a valid mail address")
    return Address(username=local, domain=host)


def _write(message: EmailMessage, content: _Content) -> None:
    """Add the subject and the same text twice: plain, and as HTML."""
    words: Any = _templates.get_template(content.template).make_module({**content.values, "link": content.link})
    heading = _flat(words.heading)
    message["Subject"] = heading if content.about is None else f"{heading}: {_shortened(content.about)}"
    shown = {
        "title": heading,
        "greeting": content.greeting,
        "paragraphs": [_flat(each) for each in re.split(r"\n\s*\n", words.body) if each.strip()],
        "action": _flat(words.action),
        "link": content.link,
        "about": None if content.about is None else unlinked(content.about),
        "details": content.details,
    }
    message.set_content(_templates.get_template("layout.txt").render(shown), cte="quoted-printable")
    html = _templates.get_template("layout.html").render(shown)
    message.add_alternative(html, subtype="html", cte="quoted-printable")


def _link_content(email: LinkEmail, public_url: str | None) -> _Content:
    path = _PATHS.get(email.purpose)
    return _Content(
        template=f"{email.purpose}.txt",
        values={"token": email.token},
        link=None if public_url is None or path is None else f"{public_url}{path}?token={email.token}",
    )


def _booking_content(email: Email, public_url: str | None, now: datetime) -> _Content:
    booking, event = email.booking.as_of(now), email.event

    def told(moment: datetime | None) -> str:
        return "" if moment is None else time(event.local_time(moment), event.time_zone)

    tickets = count(booking.quantity, "ticket", "tickets")
    amount = money(booking.amount)
    details = [
        ("Starts", told(event.starts_at)),
        ("Ends", told(event.ends_at)),
        ("Venue", unlinked(event.venue)),
        ("Tickets", tickets if email.ticket_type is None else f"{tickets}, {unlinked(email.ticket_type)}"),
        (
            "Amount",
            {PaymentStatus.DUE: f"{amount}, due", PaymentStatus.TAKEN: f"{amount}, paid"}.get(
                booking.payment_status, ""
            ),
        ),
        ("Booking", str(booking.id)),
    ]
    values = {
        "tickets": tickets,
        "is_one": booking.quantity == 1,
        "status": booking.status.value,
        "payment": booking.payment_status.value,
        "amount": amount,
        "has_price": booking.amount.amount > 0,
        "is_cash": booking.paid_with is PaymentMethod.CASH,
        "pay_until": told(booking.expires_at),
        "cancel_until": told(cancellable_until(event, booking, now)),
        "starts": told(event.starts_at),
        "has_venue": bool(event.venue),
        "is_on_sale": event.serves_waiting_list(now),
        "fee": 0 if is_released(event, booking, now) else booking.refund_fee_percent,
        "returned": _returned(email.fact),
        **_refund_values(email),
    }
    return _Content(
        template=f"{email.mail.kind}.txt",
        values=values,
        link=None if public_url is None else f"{public_url}/bookings/{booking.id}",
        greeting=f"Hello {unlinked(email.customer.name)},",
        about=event.name,
        details=tuple((label, value) for label, value in details if value),
    )


def _returned(fact: Fact | None) -> str:
    """Return the tickets that the mail's occasion takes from the booking, if any."""
    match fact:
        case Fact(what=TicketsReturned() as returned):
            return count(returned.quantity, "ticket", "tickets")
        case _:
            return ""


def _refund_values(email: Email) -> dict[str, object]:
    """Return the amount that the mail's occasion gives back, and whether a person pays it out."""
    is_by_hand = email.booking.paid_with is PaymentMethod.CASH
    match email.fact:
        case Fact(what=BookingCancelled(refund=Money() as refund) | TicketsReturned(refund=Money() as refund)):
            return {"refund": money(refund), "is_by_hand": is_by_hand}
        case Fact(what=PaymentRefunded() as refunded):
            return {"refund": money(refunded.amount), "is_by_hand": is_by_hand or refunded.settled_by is not None}
        case Fact(what=RefundFailed() as failed):
            return {"refund": money(failed.amount), "is_by_hand": True}
        case _:
            return {"refund": "", "is_by_hand": is_by_hand}


def _shortened(name: str) -> str:
    line = one_line(name)
    return unlinked(line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…")


def _flat(text: str) -> str:
    return " ".join(text.split())
