"""Mails as plain text messages, safe against header injection."""

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import Final

import idna

from ...application.ports.notifications import Email, Undeliverable
from ...domain.booking import BookingStatus
from ...domain.mails import MailKind

_HOST: Final = re.compile(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
LONGEST_NAME: Final = 100
"""Maximum characters of an event's name in a subject."""


def message_of(email: Email, sender: str, public_url: str | None, now: datetime) -> EmailMessage:
    """Return the mail as a message. Its `Message-ID` depends on the mail's id only. Raises: Undeliverable."""
    recipient = address_of(email.customer.email)
    message = EmailMessage(policy=SMTP if recipient.username.isascii() else SMTPUTF8)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = _subject(email)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{email.mail.id}@{sender.rpartition('@')[2].strip('<> ')}>"
    # RFC 3834: prevents automatic replies.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text(email, public_url), cte="quoted-printable")
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


def one_line(text: str) -> str:
    """Return the text as one line of printable characters, safe in a header.

    Encoded words (RFC 2047) are broken up, because a header decodes them: `=?utf-8?q?=0ABcc:_x?=` would end the header
    and start another one.
    """
    visible = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(visible.replace("=?", "= ?").split())


def _subject(email: Email) -> str:
    name = one_line(email.event.name)
    name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    match email.mail.kind:
        case MailKind.PROMOTED:
            is_offer = email.booking.status is BookingStatus.HELD
            return f"Tickets are set aside for you: {name}" if is_offer else f"You have tickets: {name}"
        case MailKind.LAPSING:
            return f"Pay soon to keep your tickets: {name}"
        case MailKind.CANCELLED:
            return f"Cancelled: {name}"


def _text(email: Email, public_url: str | None) -> str:
    booking, event = email.booking, email.event
    tickets = "1 ticket" if booking.quantity == 1 else f"{booking.quantity} tickets"
    until = "" if booking.expires_at is None else f" until {_time(booking.expires_at)}"
    lines = [f"Hello {one_line(email.customer.name)},", ""]
    match email.mail.kind:
        case MailKind.PROMOTED if booking.status is BookingStatus.HELD:
            lines.append(f"Your booking of {tickets} has left the waiting list.")
            lines.append(f"Your tickets are set aside for you{until}. Pay by then to keep them.")
        case MailKind.PROMOTED:
            lines.append(f"Your booking of {tickets} has left the waiting list and is confirmed.")
        case MailKind.LAPSING:
            lines.append(f"Your booking of {tickets} is not paid. Your tickets are set aside for you{until}.")
            lines.append("If you do not pay by then, other customers get them.")
        case MailKind.CANCELLED:
            lines.append(f"The event does not take place, and your booking of {tickets} is cancelled.")
            lines.append("What you paid is refunded.")
    lines += ["", f"Event: {one_line(event.name)}"]
    if event.venue:
        lines.append(f"Venue: {one_line(event.venue)}")
    if event.starts_at is not None:
        lines.append(f"Start: {_time(event.starts_at)}")
    lines.append(f"Booking: {booking.id}")
    if public_url is not None:
        lines.append(f"{public_url}/bookings/{booking.id}")
    return "\n".join(lines) + "\n"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
