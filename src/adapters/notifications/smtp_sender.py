"""Mails over SMTP, encrypted by default, several over one connection."""

import asyncio
import ssl
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import Final

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
)
from msgspec import Struct

from ...application.ports.notifications import Email, LinkEmail, Refused, Undeliverable
from .email_templates import message_of

SECONDS: Final = 10.0
"""Timeout for connecting and for sending one mail."""

QUIT_SECONDS: Final = 1.0
"""Timeout for ending a connection."""


class Encryption(StrEnum):
    """How the connection to a mail server is encrypted."""

    STARTTLS = "starttls"
    """After the server's greeting. A server without STARTTLS gets no mails."""
    TLS = "tls"
    """From the first byte."""
    NONE = "none"
    """Not at all: for a server on the same machine."""


class MailServer(Struct, frozen=True, kw_only=True):
    """A mail server and its credentials. `ca` is a file of certificates to trust instead of the system's."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    encryption: Encryption = Encryption.STARTTLS
    ca: str | None = None


class SmtpSender:
    """Send mails through a mail server. Errors never quote the server's replies, which may contain addresses."""

    def __init__(
        self, server: MailServer, sender: str, *, public_url: str | None = None, seconds: float = SECONDS
    ) -> None:
        self._server = server
        self._sender = sender
        self._public_url = public_url
        self._seconds = seconds
        self._connection: SMTP | None = None

    async def send(self, email: Email | LinkEmail, now: datetime) -> None:
        """Send a mail. Raises: Refused, Undeliverable."""
        message = message_of(email, self._sender, self._public_url, now)
        recipient = message["To"].addresses[0].addr_spec
        sender = message["From"].addresses[0].addr_spec
        options = [] if recipient.isascii() else ["SMTPUTF8", "BODY=8BITMIME"]
        is_done = False
        try:
            connection = await self._connect()
            async with asyncio.timeout(self._seconds):
                await connection.sendmail(sender, [recipient], message.as_bytes(), mail_options=options)
            is_done = True
        except Exception as error:  # noqa: BLE001 - translated
            # Not chained: the text of the original may name the recipient.
            raise _failure_of(error) from None
        finally:
            if not is_done:
                # After a failure the state of the SMTP session is unknown.
                self._disconnect()

    async def close_idle(self) -> None:
        """Close the connection."""
        connection = self._connection
        if connection is not None and connection.is_connected:
            with suppress(SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(QUIT_SECONDS):
                    await connection.quit()
        self._disconnect()

    async def _connect(self) -> SMTP:
        if self._connection is None or not self._connection.is_connected:
            server = self._server
            is_private = server.encryption is not Encryption.NONE
            self._connection = SMTP(
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.encryption is Encryption.TLS,
                start_tls=server.encryption is Encryption.STARTTLS,
                tls_context=ssl.create_default_context(cafile=server.ca) if is_private else None,
                timeout=self._seconds,
            )
            async with asyncio.timeout(self._seconds):
                await self._connection.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_FAILURES: Final[tuple[tuple[tuple[type[Exception], ...], Refused], ...]] = (
    ((SMTPNotSupported,), Undeliverable("the mail server does not accept non-ASCII addresses")),
    # Before ValueError, from which the error of an untrusted certificate derives.
    ((ssl.SSLError,), Refused("the mail server's certificate is not trusted, or it does not speak TLS")),
    ((ValueError,), Undeliverable("the address is not a valid mail address")),
    ((TimeoutError,), Refused("the mail server does not answer in time")),
    ((SMTPException, OSError), Refused("the mail server is unreachable, does not speak TLS, or closed the connection")),
)


def _failure_of(error: Exception) -> Exception:
    """Return the failure in the port's terms: permanent only if it concerns this mail, not the server's setup."""
    if isinstance(error, SMTPRecipientsRefused):
        return _by_code(max((each.code for each in error.recipients), default=0), "the recipient is refused")
    if isinstance(error, SMTPRecipientRefused | SMTPDataError):
        return _by_code(error.code, "the message is refused")
    if isinstance(error, SMTPResponseException):
        return Refused(f"the mail server answered {error.code}")
    return next((failure for kinds, failure in _FAILURES if isinstance(error, kinds)), error)


def _by_code(code: int, reason: str) -> Refused:
    return Undeliverable(f"{reason} ({code})") if 500 <= code < 600 else Refused(f"{reason} for now ({code})")
