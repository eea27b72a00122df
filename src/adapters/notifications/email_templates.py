"""Letters as they are written: plain text, in headers nothing that could end them."""

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
"""Characters of an event's name in a subject."""


def written(letter: Email, sender: str, public_url: str | None, now: datetime) -> EmailMessage:
    """The letter as a message. Its `Message-ID` is always the same. Raises: Undeliverable for an impossible address."""
    recipient = address_of(letter.customer.email)
    message = EmailMessage(policy=SMTP if recipient.username.isascii() else SMTPUTF8)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = _subject(letter)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{letter.mail.id}@{sender.rpartition('@')[2].strip('<> ')}>"
    # RFC 3834: no answering machine shall answer.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text(letter, public_url), cte="quoted-printable")
    return message


def address_of(email: str) -> Address:
    """An account's address as mail wants it: its domain in ASCII, its local part quoted where it has to be.

    Raises: Undeliverable where no mail server could be meant.
    """
    local, _, domain = email.rpartition("@")
    try:
        # Not Python's codec, which is IDNA 2003: it would send to fass.example what is for faß.example.
        host = idna.encode(domain, strict=True).decode()
    except idna.IDNAError:
        host = ""
    if not local or not _HOST.fullmatch(host):
        raise Undeliverable("no mail goes to such an address")
    return Address(username=local, domain=host)


def one_line(text: str) -> str:
    """The text as one line of visible characters, whatever it holds, for a header too.

    A text that looks like an encoded word (RFC 2047) would be decoded when it becomes a header: `=?utf-8?q?=0ABcc:_x?=`
    would end it and begin another one.
    """
    visible = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(visible.replace("=?", "= ?").split())


def _subject(letter: Email) -> str:
    name = one_line(letter.event.name)
    name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    match letter.mail.kind:
        case MailKind.PROMOTED:
            is_offer = letter.booking.status is BookingStatus.HELD
            return f"Tickets are set aside for you: {name}" if is_offer else f"You have tickets: {name}"
        case MailKind.LAPSING:
            return f"Pay soon to keep your tickets: {name}"
        case MailKind.CANCELLED:
            return f"Cancelled: {name}"


def _text(letter: Email, public_url: str | None) -> str:
    booking, event = letter.booking, letter.event
    tickets = "1 ticket" if booking.quantity == 1 else f"{booking.quantity} tickets"
    until = "" if booking.expires_at is None else f" until {_time(booking.expires_at)}"
    lines = [f"Hello {one_line(letter.customer.name)},", ""]
    match letter.mail.kind:
        case MailKind.PROMOTED if booking.status is BookingStatus.HELD:
            lines.append(f"{tickets} of the waiting list are set aside for you{until}. Pay by then to keep them.")
        case MailKind.PROMOTED:
            lines.append(f"you have come to the head of the waiting list: {tickets} are yours.")
        case MailKind.LAPSING:
            lines.append(f"{tickets} are set aside for you{until}. They go to others if they are not paid by then.")
        case MailKind.CANCELLED:
            lines.append(f"the event does not take place, and your booking of {tickets} is cancelled.")
            lines.append("What you paid is given back.")
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
