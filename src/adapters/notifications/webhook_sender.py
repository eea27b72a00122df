"""Webhooks over HTTPS in the format of Standard Webhooks. Private networks are unreachable by default."""

import asyncio
import base64
import ipaddress
import re
import secrets
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from uuid import UUID

import httpcore
import msgspec
from standardwebhooks import Webhook as Signer

from ...application.limits.fair_queue import FairQueue, TooManyWait
from ...application.ports.notifications import Refused, Undeliverable
from ...domain.facts import Fact
from ...domain.webhooks import Webhook, message_id
from .public_addresses import is_public

SECONDS: Final = 5.0
"""Timeout of a delivery, from name resolution to the end of the response."""

MOST_READ: Final = 4 * 1024
"""Maximum bytes of a response body to read and discard, so that its connection can be reused."""

MOST_CONNECTIONS: Final = 200
"""More than the number of concurrent deliveries, so none waits for a connection."""

GONE: Final = 410
"""The status by which a receiver says that it wants no facts any more (RFC 9110, 15.5.11)."""

_SECONDS: Final = re.compile("[0-9]{1,9}")

RESOLVERS: Final = 64
"""Threads that resolve names. A resolution may outlast the timeout of its delivery."""

_MOST_RESOLVING: Final = 1_000

_owner: ContextVar[UUID | None] = ContextVar("_owner", default=None)
"""The owner of the webhook to connect to. Each owner has a share of the resolvers."""

_encode: Final = msgspec.json.Encoder().encode


class HttpWebhookSender:
    """Deliver facts by POST. Redirects are not followed, and proxy settings of the environment are ignored.

    Without `allows_private` only https URLs with public addresses are used: the name is resolved once, all of its
    addresses are checked, and the connection is made to a checked address. The certificate is verified for the name.
    """

    def __init__(
        self, *, allows_private: bool = False, trusted: ssl.SSLContext | None = None, seconds: float = SECONDS
    ) -> None:
        self._allows_private = allows_private
        self._trusted = trusted
        self._seconds = seconds
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._network = _CheckedNetwork(allows_private=allows_private)

    def new_secret(self) -> str:
        """Return 256 random bits in the format of Standard Webhooks."""
        return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"

    def objection(self, url: str) -> str | None:
        """Return why the URL is not allowed, without resolving its name, or None."""
        parsed = httpcore.URL(url)
        if self._allows_private:
            return None
        if parsed.scheme != b"https":
            return "must be an https:// address"
        try:
            address = ipaddress.ip_address(parsed.host.decode())
        except ValueError:
            return None
        return None if is_public(address) else "must not be an address of a private network"

    async def deliver(self, webhook: Webhook, fact: Fact, now: datetime) -> None:
        """Send a signed fact. Raises: Refused, Undeliverable."""
        body = body_of(fact)
        webhook_id = message_id(fact)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Boxoffice-Webhooks",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Signer(webhook.secret).sign(webhook_id, now, body.decode()),
        }
        _owner.set(webhook.organizer_id)
        # Checked again, because the setting may have changed since the webhook was created.
        objection = self.objection(webhook.url)
        if objection is not None:
            raise Refused(f"not sent: the address {objection}")
        try:
            async with asyncio.timeout(self._seconds):
                status, retry_after = await self._post(webhook.url, headers, body)
        except TimeoutError:
            raise Refused(f"no answer within {self._seconds:g} seconds") from None
        except ForbiddenAddress:
            raise Refused("not sent: the name resolves to a private network") from None
        except (httpcore.ConnectError, httpcore.ConnectTimeout, OSError):
            raise Refused("no connection") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            raise Refused("the connection was lost, or the response is not HTTP") from None
        if status == GONE:
            raise Undeliverable(f"answered {status}")
        if not 200 <= status < 300:
            raise Refused(f"answered {status}", pause=pause_of(retry_after, now))

    async def close(self) -> None:
        """Close the connections and stop the resolvers."""
        self._network.close()
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes | None]:
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        async with self._connections().stream("POST", url, headers=sent, content=body) as response:
            read = 0
            async for chunk in response.aiter_stream():
                read += len(chunk)
                if read > MOST_READ:
                    # An unread rest closes the connection.
                    break
            values = [value for name, value in response.headers if name.lower() == b"retry-after"]
            return int(response.status), values[0] if values else None

    def _connections(self) -> httpcore.AsyncConnectionPool:
        if self._pool is None:
            # Created when first used: reading the system's certificates (or those of SSL_CERT_FILE) is slow.
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=self._trusted or ssl.create_default_context(),
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=MOST_CONNECTIONS // 4,
                keepalive_expiry=30.0,
                network_backend=self._network,
            )
        return self._pool


def body_of(fact: Fact) -> bytes:
    """Return the JSON body for a fact: its type, its timestamp, and the fact as the list of changes shows it."""
    data = {
        "eventId": fact.event_id,
        "seq": fact.seq,
        "kind": fact.kind,
        "bookingId": fact.booking_id,
        "occurredAt": fact.occurred_at,
        "data": fact.what.all_values,
    }
    return _encode({"type": fact.kind, "timestamp": fact.occurred_at, "data": data})


def pause_of(retry_after: bytes | None, now: datetime) -> timedelta | None:
    """Return the pause that a `Retry-After` asks for (RFC 9110, 10.2.3); None: it asks for none that can be read."""
    text = (retry_after or b"").decode("latin-1").strip()
    if _SECONDS.fullmatch(text):
        pause = timedelta(seconds=int(text))
    else:
        try:
            at = parsedate_to_datetime(text)
            pause = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
        except (ValueError, OverflowError):
            return None
    return pause if pause > timedelta(0) else None


class ForbiddenAddress(Exception):
    """The name has an address that is not public."""


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connect to checked addresses only."""

    def __init__(self, *, allows_private: bool) -> None:
        self._allows_private = allows_private
        self._network = httpcore.AnyIOBackend()
        self._resolvers: ThreadPoolExecutor | None = None
        self._queue: FairQueue

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers. Raises: ForbiddenAddress if any address is not public."""
        addresses = await self._resolve(host, port)
        if not self._allows_private and not all(map(_is_public_text, addresses)):
            raise ForbiddenAddress
        error: Exception = OSError("the name has no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
        raise error

    def close(self) -> None:
        """Stop the threads without waiting for pending resolutions."""
        if self._resolvers is not None:
            self._resolvers.shutdown(wait=False, cancel_futures=True)
            self._resolvers = None

    async def _resolve(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        if self._resolvers is None:
            pool = self._resolvers = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")
            bounds = dict.fromkeys(("most", "most_of_origin", "most_of_subject"), _MOST_RESOLVING)
            self._queue = FairQueue(RESOLVERS, lambda work: loop.run_in_executor(pool, work), **bounds, spares=True)
        try:
            found = await self._queue.run(lambda: resolve(host, port), origin=_owner.get(), subject=None)
        except TooManyWait:
            raise OSError("too many names are being resolved") from None
        return list(dict.fromkeys(found))


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name from the system's resolver. Raises: OSError."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except UnicodeError as error:
        raise OSError("the name is not valid") from error


def _is_public_text(address: str) -> bool:
    return is_public(ipaddress.ip_address(address.partition("%")[0]))
