"""The webhook sender: signed as the library verifies it, into no private network, bounded in time and bytes read."""

import asyncio
import ipaddress
import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpcore
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from boxoffice.adapters.notifications import webhook_sender
from boxoffice.adapters.notifications.public_addresses import is_public
from boxoffice.adapters.notifications.webhook_sender import MOST_READ, RESOLVERS, SECONDS, HttpWebhookSender, resolve
from boxoffice.application.ports.notifications import Refused, Undeliverable
from boxoffice.domain.booking import BookingStatus, PaymentStatus
from boxoffice.domain.facts import BookingPromoted, Fact
from boxoffice.domain.webhooks import MOST_WEBHOOKS, Webhook
from tests.adapters.notifications.certificates import Authority
from tests.adapters.notifications.receiver import OK, Received, Receiver, receiving, says

NAME = "hooks.example.org"
FACT = Fact(
    event_id=UUID(int=1),
    seq=7,
    booking_id=UUID(int=2),
    occurred_at=datetime(2030, 1, 1, 12, tzinfo=UTC),
    what=BookingPromoted(
        ticket_type_id=UUID(int=3),
        customer_id=UUID(int=4),
        quantity=2,
        queue_number=1,
        status=BookingStatus.CONFIRMED,
        payment_status=PaymentStatus.NONE,
    ),
)


def webhook(url: str, secret: str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD") -> Webhook:
    return Webhook(id=UUID(int=5), organizer_id=UUID(int=6), url=url, secret=secret, created_at=FACT.occurred_at)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def sender() -> AsyncIterator[HttpWebhookSender]:
    """One that reaches private networks, because the receiver is in one."""
    sender = HttpWebhookSender(allows_private=True)
    yield sender
    await sender.close()


async def deliver(sender: HttpWebhookSender, url: str) -> None:
    await sender.deliver(webhook(url), FACT, datetime.now(UTC))


async def refusal(sender: HttpWebhookSender, url: str) -> str:
    with pytest.raises(Refused) as refused:
        await deliver(sender, url)
    return refused.value.reason


class TestMessages:
    async def test_the_library_verifies_what_is_sent(self, receiver: Receiver, sender: HttpWebhookSender) -> None:
        secret = sender.new_secret()
        await sender.deliver(webhook(receiver.url, secret), FACT, datetime.now(UTC))
        (received,) = receiver.received
        told = Verifier(secret).verify(received.body, received.headers)
        assert told == {
            "type": "BookingPromoted",
            "timestamp": "2030-01-01T12:00:00Z",
            "data": {
                "eventId": str(FACT.event_id),
                "seq": 7,
                "kind": "BookingPromoted",
                "bookingId": str(FACT.booking_id),
                "occurredAt": "2030-01-01T12:00:00Z",
                "data": {
                    "ticketTypeId": str(UUID(int=3)),
                    "customerId": str(UUID(int=4)),
                    "quantity": 2,
                    "queueNumber": 1,
                    "amount": None,
                    "status": "confirmed",
                    "paymentStatus": "none",
                    "expiresAt": None,
                    "graceUntil": None,
                    "causedBy": None,
                    "passedOver": None,
                },
            },
        }
        assert received.path == "/hook"
        assert received.headers["webhook-id"] == f"{FACT.event_id}.7"
        assert received.headers["content-type"] == "application/json"
        assert received.headers["host"] == f"127.0.0.1:{receiver.port}"

    async def test_nothing_else_verifies(self, receiver: Receiver, sender: HttpWebhookSender) -> None:
        secret = sender.new_secret()
        await sender.deliver(webhook(receiver.url, secret), FACT, datetime.now(UTC))
        (received,) = receiver.received
        body, headers = received.body, received.headers
        earlier = str(int(headers["webhook-timestamp"]) - 1)
        for wrong_body, wrong_headers, wrong_secret in (
            (body.replace(b'"quantity":2', b'"quantity":3'), headers, secret),
            (body, {**headers, "webhook-id": "another"}, secret),
            (body, {**headers, "webhook-timestamp": earlier}, secret),
            (body, headers, sender.new_secret()),
        ):
            with pytest.raises(WebhookVerificationError):
                Verifier(wrong_secret).verify(wrong_body, wrong_headers)

    def test_a_secret_is_random_and_long(self) -> None:
        secrets = {HttpWebhookSender().new_secret() for _ in range(100)}
        assert len(secrets) == 100
        assert {len(b64decode(each.removeprefix("whsec_"))) for each in secrets} == {32}


PRIVATE = """
    127.0.0.1 127.1.2.3 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
    100.127.255.255 192.0.2.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.9 192.0.0.1 192.0.0.170 192.88.99.1
    224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 ::1 :: fe80::1 fe80::1%1 febf::1 fc00::1 fd12:3456::1 ff02::1
    ff0e::1 fec0::1 feff::1 100::1 100:0:0:1::1 5f00::1 4000::1 e000::1 1::1 64:ff9b:1::808:808 2001:db8::1 3fff::1
    3fff:fff:ffff::1 2001:2::1 2001:10::1 2001:20::1 2001:1ff::1
    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:7f00:1 ::127.0.0.1 ::8.8.8.8 ::ffff:0:127.0.0.1
    2002:7f00:1:: 2002:a00:1:: 2002:a9fe:a9fe::1 2002:c0a8:101::1 64:ff9b::10.0.0.1 64:ff9b::127.0.0.1
    64:ff9b::169.254.169.254 64:ff9b:: 64:ff9b::192.0.2.1 2001:0:7f00:1:: 2001:0:5db8:d822:0:0:80ff:fffe
    2001:0:5db8:d822::1
"""
"""The last lines have an IPv4 address within: mapped, compatible, translated, 6to4, NAT64 or Teredo."""
PUBLIC = """
    93.184.216.34 1.1.1.1 172.15.255.255 172.32.0.1 100.63.255.255 100.128.0.1 198.20.0.1 11.0.0.1 9.255.255.255
    169.253.1.1 223.255.255.255 192.0.1.1 2606:4700::1111 2a00:1450:4001::1 2001:200::1 2001:4860:4860::8888
    ::ffff:93.184.216.34 2002:5db8:d822::1 64:ff9b::93.184.216.34 3ffe::1
"""


class TestAddresses:
    def test_public_addresses_are_told_from_all_others(self) -> None:
        assert [each for each in PRIVATE.split() if is_public(ipaddress.ip_address(each))] == []
        assert [each for each in PUBLIC.split() if not is_public(ipaddress.ip_address(each))] == []

    def test_what_the_address_itself_shows_is_said_at_once(self) -> None:
        sender = HttpWebhookSender()
        assert sender.objection("https://hooks.example.org/x") is None
        assert sender.objection("https://93.184.216.34:8443/x") is None
        assert "https" in str(sender.objection("http://hooks.example.org/x"))
        for host in ("127.0.0.1", "10.0.0.1:443", "169.254.169.254"):
            assert "private" in str(sender.objection(f"https://{host}/x"))
        relaxed = HttpWebhookSender(allows_private=True)
        assert relaxed.objection("http://127.0.0.1/x") is None

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1"])
    async def test_nothing_goes_into_a_private_network_whatever_it_is_called(
        self, receiver: Receiver, host: str
    ) -> None:
        sender = HttpWebhookSender()
        said = await refusal(sender, f"https://{host}:{receiver.port}/hook")
        assert said.startswith("not sent")
        assert await refusal(sender, receiver.url) == "not sent: the address must be an https:// address"
        assert receiver.connections == 0
        await sender.close()

    @pytest.mark.parametrize("addresses", [["93.184.216.34", "10.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1%lo"]])
    async def test_one_private_address_among_others_is_enough(
        self, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
    ) -> None:
        monkeypatch.setattr(webhook_sender, "resolve", lambda host, port: addresses)
        dialled: list[str] = []

        async def dial(self: Any, host: str, *arguments: Any, **options: Any) -> Any:
            dialled.append(host)
            raise httpcore.ConnectError

        monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", dial)
        sender = HttpWebhookSender()
        assert await refusal(sender, f"https://{NAME}/x") == "not sent: the name resolves to a private network"
        assert dialled == []
        monkeypatch.setattr(webhook_sender, "resolve", lambda host, port: ["93.184.216.34", "1.1.1.1"])
        assert await refusal(sender, f"https://{NAME}/x") == "no connection"
        assert dialled == ["93.184.216.34", "1.1.1.1"]
        await sender.close()

    async def test_the_connection_goes_to_the_address_that_was_checked(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A name that answers otherwise the second time leads nowhere else; the certificate is that of the name."""
        authority = Authority(tmp_path)
        asked: list[str] = []

        def rebinding(host: str, port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

        monkeypatch.setattr(webhook_sender, "resolve", rebinding)
        async with receiving("127.0.0.2", authority.serving(NAME)) as receiver:
            sender = HttpWebhookSender(allows_private=True, trusted=authority.trusting())
            await deliver(sender, f"https://{NAME}:{receiver.port}/hook")
            assert asked == [NAME]
            assert receiver.received[0].headers["host"] == f"{NAME}:{receiver.port}"
            await sender.close()

    @pytest.mark.parametrize("certified", ["other.example.org", None])
    async def test_a_server_that_cannot_prove_its_name_receives_nothing(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certified: str | None
    ) -> None:
        authority = Authority(tmp_path)
        monkeypatch.setattr(webhook_sender, "resolve", lambda host, port: ["127.0.0.1"])
        async with receiving(tls=authority.serving(certified or NAME)) as receiver:
            trusted = authority.trusting() if certified else ssl.create_default_context()
            sender = HttpWebhookSender(allows_private=True, trusted=trusted)
            assert await refusal(sender, f"https://{NAME}:{receiver.port}/hook") == "no connection"
            assert receiver.received == []
            await sender.close()

    @pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
    async def test_a_name_that_leads_nowhere_is_no_connection(self, sender: HttpWebhookSender, host: str) -> None:
        assert await refusal(sender, f"https://{host}/x") == "no connection"

    async def test_proxies_of_the_environment_are_not_used(
        self, receiver: Receiver, sender: HttpWebhookSender, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        await deliver(sender, receiver.url)
        assert len(receiver.received) == 1


class TestAnswers:
    async def test_2xx_alone_is_a_success_and_redirects_are_not_followed(
        self, receiver: Receiver, sender: HttpWebhookSender
    ) -> None:
        async with receiving() as elsewhere:
            for status in (200, 201, 202, 204, 299, 301, 302, 307, 308, 400, 404, 410, 429, 500, 503):
                head = f"HTTP/1.1 {status} Said\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n"
                receiver.answer = says(head.encode())
                if status < 300:
                    await deliver(sender, receiver.url)
                else:
                    assert await refusal(sender, receiver.url) == f"answered {status}"
            assert elsewhere.connections == 0

    @pytest.mark.parametrize(
        ("header", "pause"),
        [
            ("Retry-After: 120", 120.0),
            ("RETRY-AFTER:  7 ", 7.0),
            ("Retry-After: Tue, 01 Jan 2030 12:00:30 GMT", 30.0),
            ("Retry-After: Tue, 01 Jan 2030 12:00:30 -0000", 30.0),
            *((f"Retry-After: {text}", None) for text in ("0", "-5", "1.5", "soon", "", "9" * 10)),
            *((f"Retry-After: {text}", None) for text in ("Tue, 01 Jan 2030 12:00:00 GMT", "Tue, 99 Jan 2030")),
            ("X-Other: 5", None),
        ],
    )
    async def test_a_pause_that_the_receiver_asks_for_is_said(
        self, receiver: Receiver, sender: HttpWebhookSender, header: str, pause: float | None
    ) -> None:
        receiver.answer = says(f"HTTP/1.1 503 Busy\r\n{header}\r\nContent-Length: 0\r\n\r\n".encode())
        with pytest.raises(Refused) as refused:
            await sender.deliver(webhook(receiver.url), FACT, FACT.occurred_at)
        assert refused.value.pause == (None if pause is None else timedelta(seconds=pause))
        assert not isinstance(refused.value, Undeliverable)

    async def test_410_says_that_no_facts_are_wanted_any_more(
        self, receiver: Receiver, sender: HttpWebhookSender
    ) -> None:
        receiver.answer = says(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(Undeliverable, match="answered 410"):
            await deliver(sender, receiver.url)

    @pytest.mark.parametrize("answer", [b"", b"\x00\x01nonsense\r\n\r\n", b"HTTP/1.1 2"])
    async def test_what_is_no_http_is_a_failure(
        self, receiver: Receiver, sender: HttpWebhookSender, answer: bytes
    ) -> None:
        async def hang_up(_: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            await writer.drain()
            writer.close()

        receiver.answer = hang_up
        assert "was lost" in await refusal(sender, receiver.url)

    async def test_a_closed_port_is_a_failure(self, sender: HttpWebhookSender) -> None:
        assert await refusal(sender, "http://127.0.0.1:1/hook") == "no connection"

    @pytest.mark.parametrize("answer", ["silence", "head drop by drop", "body drop by drop"])
    async def test_an_answer_has_five_seconds(self, receiver: Receiver, answer: str) -> None:
        assert SECONDS == 5
        over = asyncio.Event()

        async def drip(_: Received, writer: asyncio.StreamWriter) -> None:
            if answer == "body drop by drop":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")
            while not over.is_set():
                if answer != "silence":
                    writer.write(b"H")
                    await writer.drain()
                await asyncio.wait([asyncio.create_task(over.wait())], timeout=0.02)

        receiver.answer = drip
        sender = HttpWebhookSender(allows_private=True, seconds=0.3)
        async with asyncio.timeout(30):
            said = await refusal(sender, receiver.url)
        assert said == "no answer within 0.3 seconds" or (answer == "head drop by drop" and "broke" in said)
        over.set()
        await sender.close()

    async def test_of_a_long_body_little_is_read(self, receiver: Receiver, sender: HttpWebhookSender) -> None:
        sent = 0
        ended = asyncio.Event()

        async def pour(_: Received, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            try:
                while True:
                    writer.write(b"x" * 65_536)
                    await writer.drain()
                    sent += 65_536
            except OSError:
                ended.set()
                raise

        receiver.answer = pour
        await deliver(sender, receiver.url)
        async with asyncio.timeout(30):
            await ended.wait()
        assert MOST_READ < sent < 100_000_000

    async def test_a_connection_serves_again(self, receiver: Receiver, sender: HttpWebhookSender) -> None:
        for answer in (OK, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"):
            receiver.answer = says(answer)
            await deliver(sender, receiver.url)
        assert receiver.connections == 1
        assert len(receiver.received) == 2

    async def test_closing_twice_is_fine_and_what_was_unused_closes_too(self, receiver: Receiver) -> None:
        sender = HttpWebhookSender(allows_private=True)
        await sender.close()
        await deliver(sender, receiver.url)
        await sender.close()
        await sender.close()


async def send_to_owner(sender: HttpWebhookSender, owner: UUID, url: str) -> None:
    """A fact to a webhook of that owner."""
    at = datetime.now(UTC)
    webhook = Webhook(id=UUID(int=5), organizer_id=owner, url=url, secret=sender.new_secret(), created_at=at)
    await sender.deliver(webhook, FACT, at)


async def test_names_that_are_resolved_for_ever_delay_no_other_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a thread that no time-out ends."""
    may_end = threading.Event()
    began = threading.Semaphore(0)

    def slowly(host: str, port: int) -> list[str]:
        if host.endswith(".example"):
            began.release()
            assert may_end.wait(300)
            raise socket.gaierror("no such name")
        return resolve(host, port)

    monkeypatch.setattr("boxoffice.adapters.notifications.webhook_sender.resolve", slowly)
    sender = HttpWebhookSender(allows_private=True, seconds=300.0)
    tasks = []
    async with receiving() as quick:
        try:
            # Half of the threads, and half of what is left, and so on.
            for owner, share in enumerate((RESOLVERS // 2, RESOLVERS // 4, RESOLVERS // 8)):
                tasks += [
                    asyncio.create_task(send_to_owner(sender, UUID(int=owner), f"http://{owner}-{number}.example/x"))
                    for number in range(MOST_WEBHOOKS * 3)
                ]
                for _ in range(share):
                    assert await asyncio.to_thread(began.acquire, timeout=60)
            async with asyncio.timeout(30):
                await send_to_owner(sender, UUID(int=99), f"http://localhost:{quick.port}/hook")
            assert quick.has_received.is_set()
        finally:
            may_end.set()
            await asyncio.gather(*tasks, return_exceptions=True)
            await sender.close()
