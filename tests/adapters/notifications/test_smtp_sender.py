"""The SMTP sender: to a real server, encrypted and signed in, in headers that nothing breaks out of."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from boxoffice.adapters.notifications.smtp_sender import SECONDS, Encryption, SmtpSender
from boxoffice.adapters.notifications.smtp_sender import MailServer as At
from boxoffice.application.ports.notifications import Email, Refused, Undeliverable
from boxoffice.domain.mails import MailKind
from tests.adapters.notifications.certificates import Authority
from tests.adapters.notifications.mail_server import PASSWORD, USER, MailServer, serving_mail
from tests.adapters.notifications.samples import NOW, SENDER
from tests.adapters.notifications.samples import email as letter


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """One without encryption."""
    async with serving_mail(smtputf8=True) as server:
        yield server


def smtp_sender(server: MailServer, seconds: float = SECONDS, public_url: str | None = None, **at: Any) -> SmtpSender:
    place = At(**{"host": "127.0.0.1", "port": server.port, "encryption": Encryption.NONE, **at})
    return SmtpSender(place, SENDER, public_url=public_url, seconds=seconds)


async def send(server: MailServer, *letters: Email, **options: Any) -> None:
    sender = smtp_sender(server, **options)
    try:
        for each in letters or (letter(MailKind.PROMOTED),):
            await sender.send(each, NOW)
    finally:
        await sender.close_idle()


class TestLetters:
    async def test_a_mail_arrives_as_it_was_written(self, server: MailServer) -> None:
        await send(server)
        (taken,) = server.taken
        assert (taken.sender, taken.recipients) == (SENDER, ["ann@example.net"])
        message = taken.message
        assert message["From"] == SENDER
        assert message["To"] == "ann@example.net"
        assert message["Subject"] == "You have tickets: Jazz night"
        assert message["Message-ID"] == f"<{UUID(int=9)}@example.org>"
        assert message["Date"] == "Tue, 01 Jan 2030 12:00:00 +0000"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message.get_content_type() == "multipart/alternative"
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
        for text in (taken.text, taken.html):
            assert "Café de la Gare 🎷" in text

    @pytest.mark.parametrize(
        "name",
        [
            "Jazz\r\nBcc: eve@example.net",
            "Jazz\nX-Evil: yes\n\nand a body",
            "Jazz\x00\x0b\x0c\x1b[31m\x85\u2028\u2029",
            "=?utf-8?q?Jazz=0ABcc:_eve?=",
            "==??utf-8?b?CkJjYzogZXZl?=",
            'Jazz, night <eve@example.net>; "quoted" (comment)',
            "ジャズの夜 🎷 " * 15,
            "x" * 200,
        ],
    )
    async def test_nothing_breaks_out_of_a_header(self, server: MailServer, name: str) -> None:
        for kind in MailKind:
            await send(server, letter(kind, name=name, venue=name, customer=name))
        assert len(server.taken) == len(MailKind)
        for taken in server.taken:
            assert taken.recipients == ["ann@example.net"]
            head, _, _ = taken.raw.partition(b"\r\n\r\n")
            names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n") if line[:1] not in b" \t"]
            assert sorted(names) == sorted(
                [b"from", b"to", b"subject", b"date", b"message-id", b"auto-submitted", b"mime-version"]
                + [b"content-type"]
                + ([b"x-peer"] if b"x-peer" in names else [])
            )
            assert head.isascii()
            assert taken.message["Subject"].replace("\u200b", "").isprintable()
            assert max(map(len, head.split(b"\r\n"))) < 998
            assert taken.message["Message-ID"] == f"<{UUID(int=9)}@example.org>"


class TestAddresses:
    @pytest.mark.parametrize(
        ("email", "recipient"),
        [
            ("ann@example.net", "ann@example.net"),
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("jo@faß.example", "jo@xn--fa-hia.example"),
            ("o'neil+tag@example.net", "o'neil+tag@example.net"),
            ("a,b@example.net", '"a,b"@example.net'),
            ("a<b>c@example.net", '"a<b>c"@example.net'),
            ('a"b@example.net', '"a\\"b"@example.net'),
            ("a;b:c@example.net", '"a;b:c"@example.net'),
            ("jürgen@example.net", "jürgen@example.net"),
        ],
    )
    async def test_an_address_is_one_recipient(self, server: MailServer, email: str, recipient: str) -> None:
        await send(server, letter(MailKind.PROMOTED, address=email), letter(MailKind.PROMOTED, address=email))
        taken, again = server.taken
        assert server.connections == 1
        assert taken.message["Message-ID"] == again.message["Message-ID"], "sent again, it is the same mail"
        assert taken.recipients == [recipient]
        (to,) = taken.message["To"].addresses
        assert to.addr_spec.encode(errors="surrogateescape").decode() == recipient

    @pytest.mark.parametrize(
        "email", ["a@b>c", "a@", "@b", "a@[127.0.0.1", "a@b..c", "a@" + "b" * 64, "a@-_-!", "a@b/c"]
    )
    async def test_what_no_server_could_have_is_undeliverable(self, server: MailServer, email: str) -> None:
        with pytest.raises(Undeliverable):
            await send(server, letter(MailKind.PROMOTED, address=email))
        assert server.taken == []

    async def test_a_server_that_does_not_know_such_addresses_says_so(self) -> None:
        async with serving_mail() as server:
            with pytest.raises(Undeliverable, match="non-ASCII"):
                await send(server, letter(MailKind.PROMOTED, address="jürgen@example.net"))


async def refusal(server: MailServer, **options: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        await send(server, **options)
    return refused.value


class TestRefusals:
    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            ({"refuses": "550 no such user ann@example.net"}, Undeliverable),
            ({"refuses": "553 never"}, Undeliverable),
            ({"refuses": "450 come again"}, Refused),
            ({"refuses_data": "554 spam"}, Undeliverable),
            ({"refuses_data": "452 full"}, Refused),
            # For the operator to mend, whatever its code.
            ({"refuses_sender": f"451 not from {SENDER} to ann@example.net"}, Refused),
            ({"refuses_sender": f"550 not from {SENDER} to ann@example.net"}, Refused),
        ],
    )
    async def test_a_mail_is_refused_for_good_or_for_now(
        self, server: MailServer, answer: dict[str, str], kind: type[Refused]
    ) -> None:
        ((attribute, said),) = answer.items()
        setattr(server, attribute, said)
        found = await refusal(server)
        assert type(found) is kind
        assert said[:3] in found.reason
        assert "@" not in found.reason
        assert found.__cause__ is None
        setattr(server, attribute, None)
        await send(server)
        assert len(server.taken) == 1

    async def test_a_closed_port_is_for_now(self, server: MailServer) -> None:
        assert type(await refusal(server, port=1)) is Refused

    async def test_a_server_that_hangs_is_for_now(self, server: MailServer) -> None:
        assert SECONDS == 10
        server.hangs = True
        async with asyncio.timeout(30):
            assert "in time" in (await refusal(server, seconds=0.3)).reason

    async def test_after_a_failure_the_next_letter_goes_its_own_way(self, server: MailServer) -> None:
        sender = smtp_sender(server)
        server.refuses = "450 come again"
        with pytest.raises(Refused):
            await sender.send(letter(MailKind.PROMOTED), NOW)
        server.refuses = None
        await sender.send(letter(MailKind.PROMOTED), NOW)
        await sender.close_idle()
        await sender.close_idle()
        assert (len(server.taken), server.connections) == (1, 2)


class TestEncryption:
    async def test_starttls_is_demanded_and_the_login_goes_through_it(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        async with serving_mail(authority.serving("localhost"), needs_login=True) as server:
            place = {"host": "localhost", "encryption": Encryption.STARTTLS, "ca": str(authority.ca)}
            await send(server, user=USER, password=PASSWORD, **place)
            (taken,) = server.taken
            assert taken.is_encrypted
            for wrong in ({"password": "wrong"}, {"user": "wrong"}):
                assert type(await refusal(server, **{"user": USER, "password": PASSWORD, **place, **wrong})) is Refused
            assert len(server.taken) == 1

    async def test_from_the_first_byte_on(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        async with serving_mail(authority.serving("localhost"), is_tls=True) as server:
            await send(server, host="localhost", encryption=Encryption.TLS, ca=str(authority.ca))
            assert len(server.taken) == 1

    async def test_without_it_nothing_is_said(self, server: MailServer) -> None:
        assert type(await refusal(server, encryption=Encryption.STARTTLS)) is Refused
        assert server.taken == []

    @pytest.mark.parametrize("wrong", ["name", "authority"])
    @pytest.mark.parametrize("encryption", [Encryption.STARTTLS, Encryption.TLS])
    async def test_a_server_that_cannot_prove_its_name_gets_nothing(
        self, tmp_path: Path, wrong: str, encryption: Encryption, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.CRITICAL, "mail.log")
        authority = Authority(tmp_path)
        certified = "other.example.org" if wrong == "name" else "localhost"
        trusted = None if wrong == "authority" else str(authority.ca)
        async with serving_mail(authority.serving(certified), is_tls=encryption is Encryption.TLS) as server:
            assert type(await refusal(server, host="localhost", encryption=encryption, ca=trusted)) is Refused
            assert server.taken == []
