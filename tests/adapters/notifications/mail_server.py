"""A real SMTP server on loopback, which keeps what it is handed, or refuses it as a test wants."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from msgspec import Struct

USER, PASSWORD = "box:office", "p@ss/word"


class Taken(Struct, frozen=True):
    """A mail that was handed over: between whom, as it came, and whether the way was encrypted."""

    sender: str
    recipients: list[str]
    raw: bytes
    is_encrypted: bool

    @property
    def message(self) -> EmailMessage:
        """The mail, read as any program reads it."""
        found = message_from_bytes(self.raw, policy=SMTPUTF8)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def text(self) -> str:
        """The plain text, as a program shows it."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """The HTML."""
        return self._body("html")

    def _body(self, kind: Literal["plain", "html"]) -> str:
        body = self.message.get_body((kind,))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")


class MailServer:
    """What the server does and has done; `refuses` is its answer to each recipient, `hangs` makes it say nothing."""

    def __init__(self) -> None:
        self.port = 0
        self.taken: list[Taken] = []
        self.connections = 0
        self.refuses: str | None = None
        self.refuses_sender: str | None = None
        self.refuses_data: str | None = None
        self.hangs = False

    async def handle_MAIL(  # noqa: N802 (aiosmtpd's name)
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A sender."""
        if self.refuses_sender is not None:
            return self.refuses_sender
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 (as above)
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A recipient."""
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses is not None:
            return self.refuses
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802 (as above)
        """The mail itself."""
        if self.refuses_data is not None:
            return self.refuses_data
        raw = envelope.content
        assert isinstance(raw, bytes)
        assert envelope.mail_from is not None
        self.taken.append(Taken(envelope.mail_from, list(envelope.rcpt_tos), raw, session.ssl is not None))
        return "250 OK"


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_right, handled=is_right)


@asynccontextmanager
async def serving_mail(
    tls: ssl.SSLContext | None = None, *, is_tls: bool = False, needs_login: bool = False, smtputf8: bool = False
) -> AsyncIterator[MailServer]:
    """A server: with STARTTLS when there is a context, encrypted from the first byte on with `is_tls`."""
    handler = MailServer()
    protocols: list[SMTP] = []

    def connected() -> SMTP:
        handler.connections += 1
        protocol = SMTP(
            handler,
            hostname="mail.example.org",
            enable_SMTPUTF8=smtputf8,
            tls_context=None if is_tls else tls,
            require_starttls=tls is not None and not is_tls,
            authenticator=_authenticate,
            auth_required=needs_login,
            auth_require_tls=tls is not None and not is_tls,
            loop=asyncio.get_running_loop(),
        )
        protocols.append(protocol)
        return protocol

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0, ssl=tls if is_tls else None)
    handler.port = server.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        server.close()
        for protocol in protocols:
            if isinstance(protocol.transport, asyncio.WriteTransport):
                protocol.transport.abort()
        await asyncio.sleep(0)
