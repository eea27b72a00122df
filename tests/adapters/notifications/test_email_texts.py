"""What mails say, in plain text and in HTML alike: read from a real mail server."""

import re
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

import pytest

from boxoffice.adapters.notifications.smtp_sender import Encryption, SmtpSender
from boxoffice.adapters.notifications.smtp_sender import MailServer as At
from boxoffice.application.ports.notifications import Email, LinkEmail
from boxoffice.domain.booking import BookingStatus
from boxoffice.domain.mails import MailKind
from boxoffice.domain.verification import LinkPurpose
from tests.adapters.notifications.mail_server import MailServer, Taken, serving_mail
from tests.adapters.notifications.test_smtp_sender import NOW, letter

SENDER: Final = "tickets@example.org"
PUBLIC_URL: Final = "https://tickets.example.org/shop"


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


def link_email() -> LinkEmail:
    return LinkEmail(id=UUID(int=9), purpose=LinkPurpose.VERIFY, recipient="eve@example.net", token="s3cret-~._")


async def test_a_link_to_verify_an_address(server: MailServer) -> None:
    taken = await sent(server, link_email())
    assert taken.recipients == ["eve@example.net"]
    assert taken.message["Subject"] == "Verify your e-mail address"
    assert taken.message["Message-ID"] == f"<{UUID(int=9)}@example.org>"
    assert taken.text == (
        "Hello,\n"
        "\n"
        "An account was created with this e-mail address.\n"
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
    for text in (taken.text, taken.html):
        assert "Enter this code within 24 hours to say that the address is yours: s3cret-~._" in text
        assert "href" not in text


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
    email = letter(MailKind.PROMOTED, status=BookingStatus.CONFIRMED, name=words, venue=words, customer=words)
    taken = await sent(server, email)
    ours = f"{PUBLIC_URL}/bookings/{UUID(int=3)}"
    assert taken.text.count(ours) == 1
    assert not _LINK.search(taken.text.replace(ours, ""))
    assert re.findall(r"<a [^>]*>", taken.html) == re.findall(rf'<a class="button" href="{ours}"[^>]*>', taken.html)
    seen = re.sub(r"<[^>]*>", " ", taken.html.partition("<body")[2])
    assert not _LINK.search(seen)


async def test_html_is_escaped(server: MailServer) -> None:
    taken = await sent(server, letter(name='<script>"x"</script>&amp;', venue="<b>", customer="'<i>"))
    assert "<script" not in taken.html
    assert "&lt;script&gt;&#34;x&#34;&lt;/\u200bscript&gt;&amp;amp;" in taken.html
    assert "<b>" not in taken.html
    assert '<script>"x"</\u200bscript>&amp;' in taken.text


@pytest.mark.parametrize("kind", MailKind)
async def test_html_loads_nothing_from_outside(server: MailServer, kind: MailKind) -> None:
    taken = await sent(server, letter(kind, status=BookingStatus.HELD))
    assert not re.search(r"<(img|script|link|iframe|form|object|video)|url\(|@import|src=|background=", taken.html)
    assert len(taken.html) < 10_000
