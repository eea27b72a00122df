"""Mails as messages in plain text and HTML, safe against header injection. Their texts are in `templates`."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
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
from ...domain.booking import BookingStatus, PaymentStatus
from ...domain.payment import PaymentMethod
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
_PATHS: Final = {LinkPurpose.VERIFY: "/verify-email"}
"""Where the links of each purpose lead."""


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
        content = _booking_content(email, public_url)
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
        "details": content.details,
    }
    message.set_content(_templates.get_template("layout.txt").render(shown), cte="quoted-printable")
    html = _templates.get_template("layout.html").render(shown)
    message.add_alternative(html, subtype="html", cte="quoted-printable")


def _link_content(email: LinkEmail, public_url: str | None) -> _Content:
    return _Content(
        template=f"{email.purpose}.txt",
        values={"token": email.token},
        link=None if public_url is None else f"{public_url}{_PATHS[email.purpose]}?token={email.token}",
    )


def _booking_content(email: Email, public_url: str | None) -> _Content:
    booking, event = email.booking, email.event
    zone: tzinfo = UTC
    is_one = booking.quantity == 1
    tickets = count(booking.quantity, "ticket", "tickets")
    values = {
        "tickets": tickets,
        "is_one": is_one,
        "them": "it" if is_one else "them",
        "is_held": booking.status is BookingStatus.HELD,
        "until": "" if booking.expires_at is None else time(booking.expires_at, zone),
        "amount": money(booking.amount),
        "is_money_owed": booking.payment_status in (PaymentStatus.REFUND_PENDING, PaymentStatus.REFUNDED),
        "is_cash": booking.paid_with is PaymentMethod.CASH,
    }
    details = [
        ("Event", unlinked(event.name)),
        ("When", "" if event.starts_at is None else time(event.starts_at, zone)),
        ("Where", unlinked(event.venue)),
        ("Tickets", tickets),
        ("Booking", str(booking.id)),
    ]
    return _Content(
        template=f"{email.mail.kind}.txt",
        values=values,
        link=None if public_url is None else f"{public_url}/bookings/{booking.id}",
        greeting=f"Hello {unlinked(email.customer.name)},",
        about=event.name,
        details=tuple((label, value) for label, value in details if value),
    )


def _shortened(name: str) -> str:
    line = one_line(name)
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"


def _flat(text: str) -> str:
    return " ".join(text.split())
