"""What mails say, in plain text and in HTML alike: read from a real mail server."""

import html
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final
from uuid import UUID

import pytest

from boxoffice.adapters.notifications.smtp_sender import Encryption, SmtpSender
from boxoffice.adapters.notifications.smtp_sender import MailServer as At
from boxoffice.application.ports.notifications import Email, LinkEmail
from boxoffice.domain.mails import MailKind
from boxoffice.domain.verification import LinkPurpose
from tests.adapters.notifications.mail_server import MailServer, Taken, serving_mail
from tests.adapters.notifications.samples import (
    BOOKING_ID,
    DUE,
    HELD,
    NOW,
    PUBLIC_URL,
    SAMPLES,
    SENDER,
    email,
    link_email,
)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """One without encryption."""
    async with serving_mail(smtputf8=True) as server:
        yield server


async def sent(server: MailServer, email: Email | LinkEmail, public_url: str | None = PUBLIC_URL) -> Taken:
    """Send a mail and return it as the server took it."""
    place = At(host="127.0.0.1", port=server.port, encryption=Encryption.NONE)
    sender = SmtpSender(place, SENDER, public_url=public_url)
    await sender.send(email, NOW)
    await sender.close_idle()
    return server.taken[-1]


async def test_a_link_to_verify_an_address(server: MailServer) -> None:
    taken = await sent(server, link_email())
    assert taken.recipients == ["eve@example.net"]
    assert taken.message["Subject"] == "Verify your e-mail address"
    assert taken.message["Message-ID"] == f"<{UUID(int=9)}@example.org>"
    assert taken.text == (
        "Hello,\n"
        "\n"
        "This e-mail address was given for an account.\n"
        "\n"
        "Open the link within 24 hours to say that the address is yours.\n"
        "\n"
        "If that was not you, ignore this mail.\n"
        "\n"
        "Verify this address: https://tickets.example.org/shop/verify-email?token=s3cret-~._\n"
        "\n"
        "You get this mail because this address was given for an account.\n"
    )
    assert re.findall(r'href="([^"]*)"', taken.html) == [f"{PUBLIC_URL}/verify-email?token=s3cret-~._"]


async def test_without_a_public_url_the_token_is_a_code(server: MailServer) -> None:
    taken = await sent(server, link_email(), public_url=None)
    other = await sent(server, link_email(LinkPurpose.RESET), public_url=None)
    for text in (other.text, other.html):
        assert "Enter this code within an hour to set it: s3cret-~._" in text
        assert "href" not in text
    for text in (taken.text, taken.html):
        assert "Enter this code within 24 hours to say that the address is yours: s3cret-~._" in text
        assert "href" not in text


async def test_a_link_that_sets_a_password_and_a_mail_without_one(server: MailServer) -> None:
    taken = [await sent(server, link_email(each)) for each in (LinkPurpose.RESET, LinkPurpose.REPLACED)]
    links = [re.findall(r'href="([^"]*)"', each.html) for each in taken]
    assert links == [[f"{PUBLIC_URL}/reset-password?token=s3cret-~._"], []]
    assert "Set a new password: https://tickets.example.org/shop/reset-password?token=s3cret-~._" in taken[0].text
    assert "http" not in taken[1].text


HOSTILE: Final = [
    "http://evil.example/x",
    "https://user:pw@evil.example:80",
    "evil.example",
    "www.evil.example",
    "eve@evil.example",
    "mailto:eve@evil.example",
    "Jazz:evil.example.",
    "evil。example",
    "evil\u200b.example",
    "//evil.example",
    "@evil",
    "<a href=http://evil.example>Jazz</a>",
]
_LINK: Final = re.compile(r"[a-z]+://|www\.\w|\w[.\u3002\uff0e\uff61]\w|\w@\w|//\w|mailto:\w", re.IGNORECASE)
"""What a mail client makes a link of."""


@pytest.mark.parametrize("words", HOSTILE)
async def test_the_words_of_users_never_become_a_link(server: MailServer, words: str) -> None:
    taken = await sent(server, email(MailKind.MOVED, name=words, venue=words, customer=words, ticket_type=words))
    ours = f"{PUBLIC_URL}/bookings/{BOOKING_ID}"
    assert taken.text.count(ours) == 1
    assert not _LINK.search(taken.text.replace(ours, ""))
    assert not _LINK.search(taken.message["Subject"])
    assert re.findall(r"<a [^>]*>", taken.html) == re.findall(rf'<a class="button" href="{ours}"[^>]*>', taken.html)
    seen = re.sub(r"<[^>]*>", " ", taken.html.partition("<body")[2])
    assert not _LINK.search(seen)


async def test_html_is_escaped(server: MailServer) -> None:
    taken = await sent(
        server, email(MailKind.PAID, name='<script>"x"</script>&amp;', venue="<b>", customer="'<i>", ticket_type="<u>")
    )
    assert not re.search("<(script|b|i|u)>", taken.html)
    assert "&lt;script&gt;&#34;x&#34;&lt;/\u200bscript&gt;&amp;amp;" in taken.html
    assert '<script>"x"</\u200bscript>&amp;' in taken.text


@pytest.mark.parametrize("name", SAMPLES)
async def test_html_is_small_and_loads_nothing(server: MailServer, name: str) -> None:
    taken = await sent(server, SAMPLES[name])
    assert not re.search(r"<(img|script|link|iframe|form|object|video)|url\(|@import|src=|background=", taken.html)
    assert len(taken.html) < 10_000


FOR_PARIS: Final = "Wednesday, 1 May 2030, 19:00 (Europe/Paris, UTC+02:00)"
UNTIL: Final = "Tuesday, 1 January 2030, 13:30 (Europe/Paris, UTC+01:00)"
LEFT: Final = "has left the waiting list"
MAY_CANCEL: Final = f"If you cannot come, you may cancel until {FOR_PARIS}."
PAY: Final = "Pay EUR 50.00 by then. Otherwise other customers get them."
STAYS: Final = "Your booking of 2 tickets stays valid."
OFF: Final = "The event does not take place. Your booking of 2 tickets is cancelled."
ONE_LESS: Final = "The organizer has taken 1 ticket from your booking. 2 tickets are left."
TO_THE_CARD: Final = "to the card with which you paid."
LATE: Final = "Your bank may show it some days later."
ANOTHER_WAY: Final = (
    "EUR 50.00 could not be refunded to the card with which you paid. "
    "The organizer gives it back to you in another way."
)

LINKS: Final = ("verify", "reset", "replaced")

SAID: Final[dict[str, list[str]]] = {
    "verify": [
        "Verify your e-mail address",
        "This e-mail address was given for an account.",
        "Open the link within 24 hours to say that the address is yours.",
        "If that was not you, ignore this mail.",
    ],
    "reset": [
        "Set a new password",
        "A new password was asked for the account with this e-mail address.",
        "Open the link within an hour to set it. The link works once.",
        "If that was not you, ignore this mail: your password stays as it is.",
    ],
    "replaced": [
        "Your account has another e-mail address",
        "The account that had this e-mail address has another one now. Mails go there, and signing in needs it.",
        "If that was not you, tell the operator of this service.",
    ],
    "confirmed-free": ["You have tickets", "Your booking of 2 tickets is confirmed.", MAY_CANCEL],
    "confirmed-due": [
        "You have a ticket",
        "Your booking of 1 ticket is confirmed.",
        "EUR 50.00 is due.",
        "If you cannot come, you may cancel until Monday, 29 April 2030, 19:00 (Europe/Paris, UTC+02:00).",
    ],
    "paid": ["Paid", "Your payment of EUR 50.00 has arrived. Your booking of 2 tickets is confirmed.", MAY_CANCEL],
    "paid-cash": ["Paid", "Your payment of EUR 50.00 in cash has arrived. Your booking of 1 ticket is confirmed."],
    "promoted-free": ["You have a ticket", f"Your booking of 1 ticket {LEFT} and is confirmed.", MAY_CANCEL],
    "promoted-due": [
        "You have tickets",
        f"Your booking of 2 tickets {LEFT} and is confirmed.",
        "EUR 50.00 is due.",
        MAY_CANCEL,
    ],
    "promoted-late": [
        "You have tickets",
        f"Your booking of 2 tickets {LEFT} and is confirmed.",
        "If you cannot come, you may cancel until Wednesday, 2 January 2030, 13:00 (Europe/Paris, UTC+01:00).",
    ],
    "promoted-held": [
        "Tickets are set aside for you",
        f"Your booking of 2 tickets {LEFT}. The tickets are set aside for you until {UNTIL}.",
        PAY,
    ],
    "promoted-held-one": [
        "A ticket is set aside for you",
        f"Your booking of 1 ticket {LEFT}. The ticket is set aside for you until {UNTIL}.",
        "Pay JPY 500 by then. Otherwise other customers get it.",
    ],
    "lapsing": [
        "Pay soon to keep your tickets",
        f"Your booking of 2 tickets is not paid. The tickets are set aside for you until {UNTIL}.",
        PAY,
    ],
    "lapsing-one": [
        "Pay soon to keep your ticket",
        f"Your booking of 1 ticket is not paid. The ticket is set aside for you until {UNTIL}.",
        "Pay KWD 12.345 by then. Otherwise other customers get it.",
    ],
    "lapsed": [
        "Your tickets are no longer set aside",
        "Your booking of 2 tickets was not paid in time and has ended. You have paid nothing and owe nothing.",
        "If you still want to come, book again.",
    ],
    "lapsed-at-the-start": [
        "Your ticket is no longer set aside",
        "Your booking of 1 ticket was not paid in time and has ended. You have paid nothing and owe nothing.",
    ],
    "cancelled-free": ["Your booking is cancelled", "The organizer has cancelled your booking of 2 tickets."],
    "cancelled-unpaid": [
        "Your booking is cancelled",
        "The organizer has cancelled your booking of 1 ticket.",
        "You owe nothing.",
    ],
    "cancelled-paid": [
        "Your booking is cancelled",
        "The organizer has cancelled your booking of 2 tickets.",
        f"You get back EUR 30.00, {TO_THE_CARD}",
    ],
    "cancelled-before-amounts": [
        "Your booking is cancelled",
        "The organizer has cancelled your booking of 2 tickets.",
        f"You get back what you paid, {TO_THE_CARD}",
    ],
    "cancelled-disputed": [
        "Your booking is cancelled",
        "The organizer has cancelled your booking of 2 tickets.",
        "You have disputed the payment. Your bank decides who gets the money.",
    ],
    "cancelled-refund-failed": [
        "Your booking is cancelled",
        "The organizer has cancelled your booking of 2 tickets.",
        ANOTHER_WAY,
    ],
    "cancelled-cash": [
        "Your booking is cancelled",
        "The organizer has cancelled your booking of 2 tickets.",
        "The organizer gives you back what you paid.",
    ],
    "part-cancelled-free": [
        "Your booking is smaller",
        "The organizer has taken 2 tickets from your booking. 1 ticket is left.",
    ],
    "part-cancelled-unpaid": ["Your booking is smaller", ONE_LESS, "EUR 50.00 is due."],
    "part-cancelled-paid": ["Your booking is smaller", ONE_LESS, f"You get back EUR 25.00, {TO_THE_CARD}"],
    "part-cancelled-cash": ["Your booking is smaller", ONE_LESS, "The organizer gives you back EUR 25.00."],
    "part-cancelled-disputed": [
        "Your booking is smaller",
        ONE_LESS,
        "You have disputed the payment. Your bank decides who gets the money.",
    ],
    "event-cancelled-free": ["Cancelled", OFF],
    "event-cancelled-unpaid": ["Cancelled", OFF, "You owe nothing."],
    "event-cancelled-paid": ["Cancelled", OFF, f"You get back what you paid, {TO_THE_CARD}"],
    "event-cancelled-refunded": ["Cancelled", OFF, f"You have got back what you paid, {TO_THE_CARD} {LATE}"],
    "event-cancelled-cash": ["Cancelled", OFF, "The organizer has given you back what you paid."],
    "moved": ["Moved", f"The event has been moved. It now starts on {FOR_PARIS}.", STAYS, MAY_CANCEL],
    "moved-later-the-same-day": ["Moved", f"The event has been moved. It now starts on {FOR_PARIS}.", STAYS],
    "moved-held": [
        "Moved",
        f"The event has been moved. It now starts on {FOR_PARIS}.",
        f"Your booking of 2 tickets stays valid if you pay EUR 50.00 until {UNTIL}.",
    ],
    "moved-waiting": [
        "Moved",
        f"The event has been moved. It now starts on {FOR_PARIS}.",
        "Your booking of 1 ticket keeps its place on the waiting list.",
    ],
    "moved-to-no-date": [
        "Postponed",
        "The event has been postponed. It has no date at the moment.",
        STAYS,
        "If you cannot come, you may cancel it.",
    ],
    "changed": ["New venue", "The event takes place at another venue: see below.", STAYS, MAY_CANCEL],
    "changed-to-none": [
        "No venue",
        "The event has no venue at the moment.",
        "Your booking of 2 tickets keeps its place on the waiting list.",
    ],
    "fee": [
        "Paid",
        "Your payment of EUR 50.00 has arrived. Your booking of 2 tickets is confirmed.",
        f"{MAY_CANCEL} You get back what you paid less a fee of 10 %.",
    ],
    "fee-after-a-move": [
        "New venue",
        "The event takes place at another venue: see below.",
        STAYS,
        MAY_CANCEL,
    ],
    "refunded": ["Money back", f"You have got back EUR 50.00, {TO_THE_CARD} {LATE}"],
    "refunded-cash": ["Money back", "The organizer has given you back EUR 50.00."],
    "refunded-a-part": ["Money back", f"You have got back EUR 1,234.50, {TO_THE_CARD} {LATE}", STAYS],
    "refunded-by-hand": ["Money back", "The organizer has given you back EUR 50.00."],
    "refund-failed": ["Refund failed", ANOTHER_WAY],
}
"""The subject without the event's name, and the sentences, of each sample but the hostile one."""


@pytest.mark.parametrize("name", SAID)
async def test_each_mail_is_true_in_each_state(server: MailServer, name: str) -> None:
    taken = await sent(server, SAMPLES[name])
    heading, *sentences = SAID[name]
    assert taken.message["Subject"] == (heading if name in LINKS else f"{heading}: Jazz night")
    greeting, *said = taken.text.split("\n\n")
    assert said[: len(sentences)] == sentences
    assert greeting == ("Hello," if name in LINKS else "Hello Ann Ōe,")
    assert (f": {PUBLIC_URL}" in said[len(sentences)]) == (name != "replaced")
    shown = re.findall(r"<(?:p|h1)[^>]*>([^<]+)</", taken.html)
    about = [] if name in LINKS else ["Jazz night"]
    assert [html.unescape(each) for each in shown] == [heading, *about, greeting, *sentences]


def test_every_kind_is_tried_in_some_state() -> None:
    tried = {each.mail.kind for each in SAMPLES.values() if isinstance(each, Email)}
    assert tried == set(MailKind)


async def test_what_a_booking_is_about_is_listed(server: MailServer) -> None:
    taken = await sent(server, SAMPLES["paid"])
    listed = taken.text.split("\n\n")[-2].split("\n")
    assert listed == [
        "Event: Jazz night",
        f"Starts: {FOR_PARIS}",
        "Venue: Café de la Gare 🎷",
        "Tickets: 2 tickets, Balcony, right",
        "Amount: EUR 50.00, paid",
        f"Booking: {BOOKING_ID}",
    ]
    cells = [html.unescape(each).strip() for each in re.findall(r"<td[^>]*>([^<]+)</td>", taken.html)]
    assert cells == [part for line in listed[1:] for part in line.split(": ", 1)] + [
        "You get this mail because of a booking that was made with this address."
    ]
    bare = await sent(server, SAMPLES["paid-cash"], public_url=None)
    assert re.findall(r"^(\w+): ", bare.text, re.MULTILINE) == ["Event", "Tickets", "Amount", "Booking"]
    assert "http" not in bare.text + bare.html.partition("<body")[2]


@pytest.mark.parametrize(
    ("zone", "moment", "told"),
    [
        ("UTC", "2031-05-01T19:00Z", "Thursday, 1 May 2031, 19:00 UTC"),
        ("Asia/Kathmandu", "2031-05-01T19:00Z", "Friday, 2 May 2031, 00:45 (Asia/Kathmandu, UTC+05:45)"),
        ("America/St_Johns", "2031-12-31T23:00Z", "Wednesday, 31 December 2031, 19:30 (America/St_Johns, UTC-03:30)"),
        # The hour that is skipped, and the one that comes twice.
        ("Europe/Paris", "2031-03-30T00:59Z", "Sunday, 30 March 2031, 01:59 (Europe/Paris, UTC+01:00)"),
        ("Europe/Paris", "2031-03-30T01:00Z", "Sunday, 30 March 2031, 03:00 (Europe/Paris, UTC+02:00)"),
        ("Europe/Paris", "2031-10-26T00:30Z", "Sunday, 26 October 2031, 02:30 (Europe/Paris, UTC+02:00)"),
        ("Europe/Paris", "2031-10-26T01:30Z", "Sunday, 26 October 2031, 02:30 (Europe/Paris, UTC+01:00)"),
    ],
)
async def test_times_are_told_in_the_events_time_zone(server: MailServer, zone: str, moment: str, told: str) -> None:
    at = datetime.fromisoformat(moment)
    taken = await sent(
        server, email(MailKind.MOVED, HELD, DUE, booking={"expires_at": at}, starts_at=at, time_zone=zone)
    )
    for text in (taken.text, html.unescape(taken.html)):
        assert text.count(told) == 3
