"""Webhooks over HTTPS, as Standard Webhooks has them, and never into a network that is nobody's business."""

import asyncio
import base64
import ipaddress
import secrets
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import httpcore
import msgspec
from standardwebhooks import Webhook as Signer

from ...application.limits.fair_queue import FairQueue, TooManyWait
from ...application.ports.notifications import Refused
from ...domain.facts import Fact
from ...domain.webhooks import Webhook, message_id
from .public_addresses import is_public

SECONDS: Final = 5.0
"""The most that a delivery may take, from the name's resolution to the end of the answer."""

MOST_READ: Final = 4 * 1024
"""Bytes of an answer that are read, so that its connection may serve again; nobody looks at them."""

MOST_CONNECTIONS: Final = 200
"""More than deliveries are under way at once: none waits for a connection that another one has."""

RESOLVERS: Final = 64
"""Names that are resolved at the same moment, in threads of their own. A name may take longer than a delivery may."""

_MOST_RESOLVING: Final = 1_000

_owner: ContextVar[UUID | None] = ContextVar("_owner", default=None)
"""Whose webhook a connection is made for: each owner has a share of the resolvers."""

_encode: Final = msgspec.json.Encoder().encode


class HttpWebhookSender:
    """Delivers facts by POST. Redirects are not followed, and nothing of the environment (proxies) is used.

    Without `allows_private` only https is spoken, and only with public addresses: each name is resolved first, every
    address that it has is checked, and the connection goes to the very address that was. The certificate is still held
    against the name.
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
        """256 random bits, written as Standard Webhooks writes them."""
        return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"

    def objection(self, url: str) -> str | None:
        """Why nothing would ever be sent there, as far as the address itself shows."""
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
        """Send a signed fact. Raises: Refused."""
        body = body_of(fact)
        named = message_id(fact)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Boxoffice-Webhooks",
            "webhook-id": named,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Signer(webhook.secret).sign(named, now, body.decode()),
        }
        # A setting may have changed since the webhook was made.
        _owner.set(webhook.organizer_id)
        objection = self.objection(webhook.url)
        if objection is not None:
            raise Refused(f"not sent: the address {objection}")
        try:
            async with asyncio.timeout(self._seconds):
                status = await self._post(webhook.url, headers, body)
        except TimeoutError:
            raise Refused(f"no answer within {self._seconds:g} seconds") from None
        except Forbidden:
            raise Refused("not sent: the name leads into a private network") from None
        except (httpcore.ConnectError, httpcore.ConnectTimeout, OSError):
            raise Refused("no connection") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            raise Refused("the connection broke, or the answer was no HTTP") from None
        if not 200 <= status < 300:
            raise Refused(f"answered {status}")

    async def close(self) -> None:
        """Let go of the connections."""
        self._network.close()
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        async with self._connections().stream("POST", url, headers=sent, content=body) as response:
            read = 0
            async for piece in response.aiter_stream():
                read += len(piece)
                if read > MOST_READ:
                    # Left like this, the connection is closed.
                    break
            return int(response.status)

    def _connections(self) -> httpcore.AsyncConnectionPool:
        if self._pool is None:
            # The system's certificates, or those that SSL_CERT_FILE names. Reading them takes a moment.
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=self._trusted or ssl.create_default_context(),
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=MOST_CONNECTIONS // 4,
                keepalive_expiry=30.0,
                network_backend=self._network,
            )
        return self._pool


def body_of(fact: Fact) -> bytes:
    """What is sent of a fact: its kind, its time, and the item of the event's changes, with the event's id."""
    data = {
        "eventId": fact.event_id,
        "seq": fact.seq,
        "kind": fact.kind,
        "bookingId": fact.booking_id,
        "occurredAt": fact.occurred_at,
        "data": fact.what.all_said,
    }
    return _encode({"type": fact.kind, "timestamp": fact.occurred_at, "data": data})


class Forbidden(Exception):
    """An address that nothing may be sent to."""


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, and to no others."""

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
        """To the first address that answers. Raises: Forbidden where any address of the name is not public."""
        addresses = await self._resolve(host, port)
        if not self._allows_private and not all(map(_is_public_text, addresses)):
            raise Forbidden
        error: Exception = OSError("the name has no address")
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
        raise error

    def close(self) -> None:
        """Let go of the threads; what is being resolved is nobody's any more."""
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
    """The addresses of a name, as the system has them. Raises: OSError."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except UnicodeError as error:
        raise OSError("the name is no name") from error


def _is_public_text(address: str) -> bool:
    return is_public(ipaddress.ip_address(address.partition("%")[0]))
