"""Receivers that hang delay none of another owner's webhooks, on every kind of storage and over real connections."""

import asyncio
import socket
import threading
from datetime import UTC, datetime
from uuid import UUID

import pytest

from boxoffice.adapters.notifications import HttpWebhookSender
from boxoffice.adapters.notifications.webhook_sender import RESOLVERS, resolve
from boxoffice.adapters.system import SystemClock, Uuid7Ids
from boxoffice.application.background.deliver_webhooks import DeliverWebhooks
from boxoffice.application.events.initialize_event import InitializeEvent
from boxoffice.application.ports.storage import Storage
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.application.webhooks.create_webhook import CreateWebhook, NewWebhook
from boxoffice.domain.decisions.organize import Initialize, general_admission
from boxoffice.domain.event import EventDetails
from boxoffice.domain.user import Actor
from boxoffice.domain.webhooks import MOST_WEBHOOKS, Webhook

from .receiver import OK, Received, Receiver, receiving
from .test_courier import FACT


class Hanging:
    """Answers nothing, and knows whether anybody has stopped waiting for it."""

    def __init__(self) -> None:
        self.asked = 0
        self.ended = 0

    async def __call__(self, _: Received, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1
            writer.close()


class Arrival:
    """Answers at once, and says when."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    async def __call__(self, _: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        self.arrived.set()


class Service:
    """What makes events and tells webhooks, on one storage."""

    def __init__(self, storage: Storage) -> None:
        clock, self.ids = SystemClock(), Uuid7Ids()
        # Long enough for a slow machine: nothing may wait for it to pass.
        self.courier = HttpWebhookSender(allows_private=True, seconds=300.0)
        self.initialize = InitializeEvent(Turnstile(storage, clock, self.ids))
        self.create = CreateWebhook(storage, self.courier, clock, self.ids)
        self.deliver = DeliverWebhooks(storage, self.courier, clock, self.ids)

    async def event(self, owner: Actor) -> None:
        command = Initialize(
            event_id=self.ids.new(),
            actor=owner,
            details=EventDetails(name="Jazz night"),
            ticket_types=((self.ids.new(), general_admission(10)),),
            currency="EUR",
        )
        await self.initialize(command)

    async def webhook(self, owner: Actor, url: str) -> Webhook:
        return await self.create(NewWebhook(actor=owner, url=url))


async def told(receiver: Receiver, service: Service, owner: Actor, url: str) -> None:
    """An honest owner's webhook is told of an event, with one look."""
    arrival = Arrival()
    receiver.answer = arrival
    await service.webhook(owner, url)
    await service.event(owner)
    await service.deliver()
    async with asyncio.timeout(60):
        await arrival.arrived.wait()


@pytest.mark.parametrize("owners", [1, 12])
async def test_hanging_receivers_of_other_owners_delay_nothing(
    storage: Storage, owners: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.CLOSE_TIMEOUT", 0.0)
    service, hanging = Service(storage), Hanging()
    async with receiving() as slow, receiving() as quick:
        slow.answer = hanging
        for number in range(owners):
            owner = Actor(UUID(int=9_000 + number))
            for _ in range(MOST_WEBHOOKS):
                await service.webhook(owner, slow.url)
            for _ in range(4):
                await service.event(owner)
        for _ in range(3):
            await service.deliver()
        await told(quick, service, Actor(UUID(int=1)), quick.url)
        assert hanging.asked >= min(owners * MOST_WEBHOOKS, 40)
        assert hanging.ended == 0, "and none of them had to be given up first"
        await service.deliver.close()


async def send(courier: HttpWebhookSender, owner: UUID, url: str) -> None:
    """A fact to a webhook of that owner."""
    at = datetime.now(UTC)
    webhook = Webhook(id=UUID(int=5), organizer_id=owner, url=url, secret=courier.new_secret(), created_at=at)
    await courier.deliver(webhook, FACT, at)


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
    courier = HttpWebhookSender(allows_private=True, seconds=300.0)
    tasks = []
    async with receiving() as quick:
        try:
            arrival = Arrival()
            quick.answer = arrival
            # Half of the threads, and half of what is left, and so on.
            for owner, share in enumerate((RESOLVERS // 2, RESOLVERS // 4, RESOLVERS // 8)):
                tasks += [
                    asyncio.create_task(send(courier, UUID(int=owner), f"http://{owner}-{number}.example/x"))
                    for number in range(MOST_WEBHOOKS * 3)
                ]
                for _ in range(share):
                    assert await asyncio.to_thread(began.acquire, timeout=60)
            async with asyncio.timeout(30):
                await send(courier, UUID(int=99), f"http://localhost:{quick.port}/hook")
            assert arrival.arrived.is_set()
        finally:
            may_end.set()
            await asyncio.gather(*tasks, return_exceptions=True)
            await courier.close()
