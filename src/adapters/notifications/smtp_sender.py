"""Mails over SMTP: encrypted unless the operator says otherwise, one connection for a round of them."""

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

from ...application.ports.notifications import Email, Refused, Undeliverable
from .email_templates import written

SECONDS: Final = 10.0
"""The most that connecting, or handing over one letter, may take."""

QUIT_SECONDS: Final = 1.0


class Encryption(StrEnum):
    """How the way to a mail server is kept private."""

    STARTTLS = "starttls"
    """From the server's greeting on, or not at all."""
    TLS = "tls"
    """From the first byte on."""
    NONE = "none"
    """For a server on the same machine."""


class MailServer(Struct, frozen=True, kw_only=True):
    """Where mails are handed over. `ca`: a file with the certificates to trust, instead of the system's."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    encryption: Encryption = Encryption.STARTTLS
    ca: str | None = None


class SmtpSender:
    """Hands letters to a mail server. What is said of a failure names nobody: a server's replies may hold addresses."""

    def __init__(
        self, server: MailServer, sender: str, *, public_url: str | None = None, seconds: float = SECONDS
    ) -> None:
        self._server = server
        self._sender = sender
        self._public_url = public_url
        self._seconds = seconds
        self._connection: SMTP | None = None

    async def send(self, letter: Email, now: datetime) -> None:
        """Hand a letter over. Raises: Refused, Undeliverable."""
        message = written(letter, self._sender, self._public_url, now)
        recipient = message["To"].addresses[0].addr_spec
        sender = message["From"].addresses[0].addr_spec
        options = [] if recipient.isascii() else ["SMTPUTF8", "BODY=8BITMIME"]
        is_done = False
        try:
            connection = await self._connected()
            async with asyncio.timeout(self._seconds):
                await connection.sendmail(sender, [recipient], message.as_bytes(), mail_options=options)
            is_done = True
        except Exception as error:  # noqa: BLE001 - told in words of our own
            # Not from it: what it says may name the recipient.
            raise _told(error) from None
        finally:
            if not is_done:
                # Where a failure left the conversation is not worth knowing.
                self._hang_up()

    async def close_idle(self) -> None:
        """Take leave of the server."""
        connection = self._connection
        if connection is not None and connection.is_connected:
            with suppress(SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(QUIT_SECONDS):
                    await connection.quit()
        self._hang_up()

    async def _connected(self) -> SMTP:
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

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_MEANINGS: Final[tuple[tuple[tuple[type[Exception], ...], Refused], ...]] = (
    ((SMTPNotSupported,), Undeliverable("the mail server does not take addresses beyond ASCII")),
    # Before the next: a certificate that is not trusted is a ValueError, too.
    ((ssl.SSLError,), Refused("the mail server's certificate is not trusted, or it does not speak TLS")),
    ((ValueError,), Undeliverable("no mail goes to such an address")),
    ((TimeoutError,), Refused("the mail server does not answer in time")),
    ((SMTPException, OSError), Refused("the mail server is not there, does not speak TLS, or hung up")),
)


def _told(error: Exception) -> Exception:
    """What a failure means. Only what is about this one letter is for good: the rest, the operator can mend."""
    if isinstance(error, SMTPRecipientsRefused):
        return _of_code(max((each.code for each in error.recipients), default=0), "the recipient is refused")
    if isinstance(error, SMTPRecipientRefused | SMTPDataError):
        return _of_code(error.code, "the letter is refused")
    if isinstance(error, SMTPResponseException):
        return Refused(f"the mail server says {error.code}")
    return next((meaning for kinds, meaning in _MEANINGS if isinstance(error, kinds)), error)


def _of_code(code: int, said: str) -> Refused:
    return Undeliverable(f"{said} ({code})") if 500 <= code < 600 else Refused(f"{said} for now ({code})")
