"""What telling others costs and keeps on each kind of database."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import event as listening
from sqlalchemy.ext.asyncio import AsyncConnection

from boxoffice.adapters.sql.engine.pool import Send
from boxoffice.adapters.sql.schema.types import Result, Statement
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.adapters.system import SystemClock, Uuid7Ids
from boxoffice.application.background.deliver_webhooks import DeliverWebhooks
from boxoffice.application.background.send_mails import SendMails
from boxoffice.application.bookings.book_ticket import BookTicket
from boxoffice.application.events.initialize_event import InitializeEvent
from boxoffice.application.ports.notifications import Email
from boxoffice.application.ports.storage import Storage
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.application.webhooks.create_webhook import CreateWebhook, NewWebhook
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Initialize, general_admission
from boxoffice.domain.event import EventDetails
from boxoffice.domain.facts import Fact
from boxoffice.domain.user import Actor
from boxoffice.domain.webhooks import Webhook

ORGANIZER = Actor(UUID(int=900))


class WebhookSender:
    """Takes everything; a test may make it wait at a fact."""

    def __init__(self) -> None:
        self.delivered: list[int] = []
        self.told: dict[tuple[UUID, UUID], list[int]] = defaultdict(list)
        self.waits_at: int | None = None
        self.waits = asyncio.Event()

    def new_secret(self) -> str:
        return "whsec_AAAA"

    def objection(self, url: str) -> str | None:
        return None

    async def deliver(self, webhook: Webhook, fact: Fact, now: datetime) -> None:
        self.delivered.append(fact.seq)
        self.told[webhook.id, fact.event_id].append(fact.seq)
        if fact.seq == self.waits_at:
            self.waits.set()
            await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing to let go of."""


class EmailSender:
    """Never asked here."""

    async def send(self, letter: Email, now: datetime) -> None:
        raise AssertionError

    async def close_idle(self) -> None:
        """Nothing to let go of."""


class Office:
    """The use cases on one storage, as one process has them."""

    def __init__(self, storage: Storage, courier: WebhookSender) -> None:
        clock, self.ids = SystemClock(), Uuid7Ids()
        self.turnstile = Turnstile(storage, clock, self.ids)
        self.deliver = DeliverWebhooks(storage, courier, clock, self.ids)
        self.mail = SendMails(storage, EmailSender(), clock, self.ids)
        self.create_webhook = CreateWebhook(storage, courier, clock, self.ids)

    async def event(self) -> UUID:
        command = Initialize(
            event_id=self.ids.new(),
            actor=ORGANIZER,
            details=EventDetails(name="Jazz night"),
            ticket_types=((self.ids.new(), general_admission(1_000)),),
            currency="EUR",
        )
        return (await InitializeEvent(self.turnstile)(command)).event.id

    async def book(self, event_id: UUID, times: int = 1) -> None:
        commands = [
            Book(booking_id=self.ids.new(), event_id=event_id, actor=Actor(self.ids.new()), quantity=1)
            for _ in range(times)
        ]
        await asyncio.gather(*(BookTicket(self.turnstile)(command) for command in commands))

    async def webhook(self) -> Webhook:
        return await self.create_webhook(NewWebhook(actor=ORGANIZER, url="https://hooks.example.org/x"))


async def test_a_crash_between_sending_and_noting_sends_twice_and_loses_nothing(
    storage: Storage,
) -> None:
    courier = WebhookSender()
    first = Office(storage, courier)
    await first.webhook()
    event_id = await first.event()
    await first.book(event_id, 9)
    courier.waits_at = 6
    await first.deliver()
    await courier.waits.wait()
    # It dies here: five were taken, a sixth perhaps, and nothing is noted.
    for task in list(first.deliver._running.values()):
        task.cancel()
    courier.waits_at = None
    second = Office(storage, courier)
    assert not (await second.deliver()).is_ours
    # Its turn is over.
    second.deliver._process_id = first.deliver._process_id
    await second.deliver()
    await second.deliver.finish()
    assert courier.delivered == [*range(1, 7), *range(1, 11)]
    await second.deliver()
    await second.deliver.finish()
    assert len(courier.delivered) == 16


async def test_a_booking_sends_no_statement_more_where_somebody_is_told(storage: Storage) -> None:
    if not isinstance(storage, SqlStorage):
        # What a transaction in memory does with a webhook and without stands with the use case's tests.
        return
    office = Office(storage, WebhookSender())
    event_id = await office.event()
    sent: list[str] = []
    for engine in (storage._writing.engine.sync_engine, storage._reading.engine.sync_engine):
        listening.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2].split()[0]))

    def watched(send: Send) -> Send:
        async def watch(connection: AsyncConnection, together: Sequence[Statement]) -> list[Result]:
            sent.extend(each.text.split()[0] for each in together)
            return await send(connection, together)

        return watch

    storage.send_through(watched)

    async def statements() -> list[str]:
        sent.clear()
        await office.book(event_id)
        return list(sent)

    before = await statements()
    await office.webhook()
    await office.mail()
    assert await statements() == before
    assert before.count("COMMIT") == 1


async def test_many_facts_reach_many_webhooks_in_their_order(storage: Storage) -> None:
    courier = WebhookSender()
    office = Office(storage, courier)
    webhooks = [await office.webhook() for _ in range(3)]
    events = [await office.event() for _ in range(6)]
    for event_id in events:
        await office.book(event_id, 30)
    while (await office.deliver()).webhooks or office.deliver._running:
        await office.deliver.finish()
    for webhook in webhooks:
        for event_id in events:
            assert courier.told[webhook.id, event_id] == list(range(1, 32))
