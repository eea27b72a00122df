"""What notifications cost and keep on each kind of storage."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from boxoffice.adapters.security import Ed25519CodeSigner
from boxoffice.adapters.sql.storage import SqlStorage
from boxoffice.adapters.system import Uuid7Ids
from boxoffice.application.background.deliver_webhooks import LEASE, DeliverWebhooks
from boxoffice.application.bookings.book_ticket import BookTicket
from boxoffice.application.duties import Duties
from boxoffice.application.events.commit_to_draw import CommitToDraw
from boxoffice.application.events.initialize_event import InitializeEvent
from boxoffice.application.ports.storage import Storage
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.application.webhooks.create_webhook import CreateWebhook, NewWebhook
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Initialize, general_admission
from boxoffice.domain.event import EventDetails
from boxoffice.domain.facts import Fact
from boxoffice.domain.user import Actor
from boxoffice.domain.webhooks import Webhook
from tests.adapters.sql.recorded import recording
from tests.constants import SECRET

ORGANIZER = Actor(UUID(int=900))


class Sender:
    """Takes every fact; a test may make it wait at one."""

    def __init__(self) -> None:
        self.delivered: list[int] = []
        self.of_stream: dict[tuple[UUID, UUID], list[int]] = defaultdict(list)
        self.waits_at: int | None = None
        self.waits = asyncio.Event()

    def new_secret(self) -> str:
        return "whsec_AAAA"

    def objection(self, url: str) -> str | None:
        return None

    async def deliver(self, webhook: Webhook, fact: Fact, now: datetime) -> None:
        self.delivered.append(fact.seq)
        self.of_stream[webhook.id, fact.event_id].append(fact.seq)
        if fact.seq == self.waits_at:
            self.waits.set()
            await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing to let go of."""


class MovableClock:
    """The system's clock, or one that is ahead of it."""

    ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Process:
    """The use cases on one storage, as one process has them."""

    def __init__(self, storage: Storage, sender: Sender) -> None:
        self.clock, self.ids = MovableClock(), Uuid7Ids()
        self.duties = Duties(storage.staff_queries)
        self.turnstile = Turnstile(storage, self.clock, self.ids)
        self.deliver = DeliverWebhooks(storage, sender, self.clock, self.ids)
        self.create_webhook = CreateWebhook(storage, sender, self.duties, self.clock, self.ids)

    async def event(self) -> UUID:
        command = Initialize(
            event_id=self.ids.new(),
            actor=ORGANIZER,
            details=EventDetails(name="Jazz night"),
            ticket_types=((self.ids.new(), general_admission(1_000)),),
            currency="EUR",
        )
        return (
            await InitializeEvent(self.turnstile, CommitToDraw(lambda: Ed25519CodeSigner(SECRET)))(command)
        ).event.id

    async def book(self, event_id: UUID, times: int = 1) -> None:
        commands = [
            Book(booking_id=self.ids.new(), event_id=event_id, actor=Actor(self.ids.new()), quantity=1)
            for _ in range(times)
        ]
        await asyncio.gather(*(BookTicket(self.turnstile, self.duties)(command) for command in commands))

    async def webhook(self) -> Webhook:
        return await self.create_webhook(NewWebhook(actor=ORGANIZER, url="https://hooks.example.org/x"))


async def test_a_crash_between_sending_and_recording_sends_twice_and_loses_nothing(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.CLOSE_TIMEOUT", 0.0)
    sender = Sender()
    first, second = Process(storage, sender), Process(storage, sender)
    await first.webhook()
    event_id = await first.event()
    await first.book(event_id, 9)
    sender.waits_at = 6
    await first.deliver()
    await sender.waits.wait()
    assert not (await second.deliver()).is_ours
    # The first ends here: five were taken, a sixth perhaps, and nothing is recorded.
    await first.deliver.close()
    sender.waits_at = None
    second.clock.ahead = LEASE
    assert (await second.deliver()).is_ours
    await second.deliver.finish()
    assert sender.delivered == [*range(1, 7), *range(1, 11)]
    await second.deliver()
    await second.deliver.finish()
    assert len(sender.delivered) == 16


async def test_a_booking_sends_no_more_statements_where_there_is_a_webhook(storage: Storage) -> None:
    if not isinstance(storage, SqlStorage):
        pytest.skip("sends no statements")
    process = Process(storage, Sender())
    event_id = await process.event()

    async def statements() -> list[str]:
        with recording(storage) as sent:
            await process.book(event_id)
        return [each.text.split()[0] for each in sent]

    before = await statements()
    await process.webhook()
    assert await statements() == before
    assert before.count("COMMIT") == 1


async def test_many_facts_reach_many_webhooks_in_their_order(storage: Storage) -> None:
    sender = Sender()
    process = Process(storage, sender)
    webhooks = [await process.webhook() for _ in range(3)]
    events = [await process.event() for _ in range(6)]
    for event_id in events:
        await process.book(event_id, 30)
    while (await process.deliver()).webhooks:
        await process.deliver.finish()
    for webhook in webhooks:
        for event_id in events:
            assert sender.of_stream[webhook.id, event_id] == list(range(1, 32))
