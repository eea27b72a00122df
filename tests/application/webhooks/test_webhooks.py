"""Webhooks: who registers them, which facts they get, in which order, and what happens after failures."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step
from boxoffice.application.background import deliver_webhooks
from boxoffice.application.background.deliver_webhooks import (
    CLOSE_TIMEOUT,
    CROWDED_RUN,
    EVENTS_OF_WEBHOOK,
    LONGEST_RUN,
    MOST_AT_ONCE,
    MOST_IN_STORAGE,
    PIECE,
    SAVE_EVERY,
    WINDOW,
    WINDOWS,
    DeliverWebhooks,
    DeliveryRound,
)
from boxoffice.application.ports.errors import Conflict, OutcomeUnknown, Unavailable
from boxoffice.application.ports.idempotency import Replayed
from boxoffice.application.ports.notifications import Refused, Undeliverable
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.application.retrying_transaction import in_transaction
from boxoffice.application.webhooks.change_webhook import ChangeWebhook
from boxoffice.application.webhooks.create_webhook import CreateWebhook, NewWebhook
from boxoffice.application.webhooks.delete_webhook import DeleteWebhook
from boxoffice.application.webhooks.read_webhooks import ListDeliveries, ListWebhooks, ReadWebhook
from boxoffice.application.webhooks.resend_delivery import ResendDelivery
from boxoffice.domain.event import EventStatus
from boxoffice.domain.facts import Fact
from boxoffice.domain.refusals import (
    IdempotencyKeyReused,
    InvalidRequest,
    NotAllowed,
    NotFound,
    TooManyWebhooks,
)
from boxoffice.domain.user import Actor
from boxoffice.domain.webhooks import FACT_KINDS, RETRY_AFTER, Cursor, Delivery, DeliveryStatus, Webhook, WebhookChanges
from tests.application.fake_app import ADMIN, ANA, BEN, NOW, ORGANIZER, STRANGER, FakeApp, once


class FakeCourier:
    """Records what it was asked to deliver and what it delivered; a test makes it fail or wait at a gate."""

    def __init__(self) -> None:
        self.asked: list[tuple[UUID, UUID, int]] = []
        self.delivered: dict[UUID, list[tuple[UUID, int]]] = defaultdict(list)
        self.fails: Callable[[Webhook, Fact], Exception | None] = lambda _, __: None
        self.gates: dict[UUID, asyncio.Event] = {}
        self.reached = asyncio.Event()
        self.before: Callable[[Fact], None] = lambda _: None
        self.is_closed = False
        self._secrets = 0

    def new_secret(self) -> str:
        self._secrets += 1
        return f"whsec_{self._secrets}"

    def objection(self, url: str) -> str | None:
        return "must not be an address of a private network" if "10.0.0.1" in url else None

    async def deliver(self, webhook: Webhook, fact: Fact, now: datetime) -> None:
        self.asked.append((webhook.id, fact.event_id, fact.seq))
        self.before(fact)
        if webhook.id in self.gates:
            self.reached.set()
            await self.gates[webhook.id].wait()
        error = self.fails(webhook, fact)
        if error is not None:
            raise error
        self.delivered[webhook.id].append((fact.event_id, fact.seq))

    async def close(self) -> None:
        self.is_closed = True

    def seqs(self, webhook: Webhook, event_id: UUID | None = None) -> list[int]:
        return [seq for event, seq in self.delivered[webhook.id] if event_id in (None, event)]


class Desk:
    """A box office with the use cases of webhooks."""

    def __init__(self, app: FakeApp, courier: FakeCourier | None = None) -> None:
        storage, clock, ids = app.storage, app.clock, app.ids
        self.app = app
        self.courier = courier or FakeCourier()
        self.create = CreateWebhook(storage, self.courier, app.duties, clock, ids)
        self.change = ChangeWebhook(storage, self.courier, clock)
        self.delete = DeleteWebhook(storage)
        self.list = ListWebhooks(storage)
        self.read = ReadWebhook(storage)
        self.list_deliveries = ListDeliveries(storage)
        self.resend = ResendDelivery(storage, clock)
        self.deliver = DeliverWebhooks(storage, self.courier, clock, ids, jitter=lambda: 0.5)

    async def webhook(self, actor: Actor = ORGANIZER, **fields: Any) -> Webhook:
        return await self.create(NewWebhook(actor=actor, **{"url": "https://a.example/x", **fields}))

    async def look(self) -> DeliveryRound:
        """One look, and every delivery that it begins."""
        found = await self.deliver()
        await self.deliver.finish()
        return found

    async def deliveries(self, webhook: Webhook, status: DeliveryStatus | None = None) -> list[Delivery]:
        return (await self.list_deliveries(webhook.id, Actor(webhook.organizer_id), status=status)).items

    async def hung(self, webhook: Webhook) -> asyncio.Event:
        """Begin a look whose delivery to this webhook waits for the returned gate."""
        gate = self.courier.gates[webhook.id] = asyncio.Event()
        self.courier.reached.clear()
        await self.deliver()
        await self.courier.reached.wait()
        return gate

    async def put(self, delivery: Delivery) -> None:
        await in_transaction(self.app.storage, lambda unit_of_work: unit_of_work.webhooks.put_delivery(delivery))

    async def remove(self, webhook: Webhook, delivery: Delivery | None = None) -> None:
        """Remove one of its deliveries, or the webhook."""

        async def remove(unit_of_work: UnitOfWork) -> None:
            if delivery is None:
                await unit_of_work.webhooks.remove(webhook.id)
            else:
                await unit_of_work.webhooks.remove_delivery(delivery.id)

        await in_transaction(self.app.storage, remove)

    def cursor(self, webhook: Webhook, event_id: UUID) -> Cursor | None:
        return self.app.tables.notifications.cursors.get((webhook.id, event_id))

    def noted(self, webhook: Webhook, event_id: UUID) -> int:
        """The last fact that is recorded as delivered."""
        cursor = self.cursor(webhook, event_id)
        return 0 if cursor is None else cursor.last_seq

    async def dead(self) -> tuple[Webhook, Delivery]:
        """A webhook with a delivery that was given up."""
        webhook = await self.webhook()
        event_id = await self.app.event()
        self.courier.fails = refuses(1)
        for _ in range(len(RETRY_AFTER) + 1):
            await self.look()
            self.app.clock.time += timedelta(days=2)
        await self.app.book(event_id, ANA)
        await self.look()
        (dead,) = await self.deliveries(webhook)
        assert dead.status is DeliveryStatus.DEAD
        return webhook, dead


@pytest.fixture
def desk(app: FakeApp) -> Desk:
    return Desk(app)


def refuses(*seqs: int, said: str = "answered 503") -> Callable[[Webhook, Fact], Exception | None]:
    return lambda _, fact: Refused(said) if not seqs or fact.seq in seqs else None


async def until(is_reached: Callable[[], bool]) -> None:
    """Let other tasks run until this holds."""
    for _ in range(10_000):
        if is_reached():
            return
        await asyncio.sleep(0)
    raise AssertionError


class TestRegistering:
    async def test_a_webhook_is_visible_to_its_owner_only(self, desk: Desk) -> None:
        webhook = await desk.webhook(kinds=["HoldExpired", "TicketsBooked"])
        assert (webhook.url, webhook.secret, webhook.event_id) == ("https://a.example/x", "whsec_1", None)
        assert (webhook.kinds, webhook.created_at) == (("TicketsBooked", "HoldExpired"), NOW)
        other = await desk.webhook(ANA)
        assert await desk.list(ORGANIZER) == [webhook]
        assert await desk.list(ANA) == [other]
        assert await desk.read(webhook.id, ORGANIZER) == webhook
        for actor in (ANA, ADMIN):
            with pytest.raises(NotFound):
                await desk.read(webhook.id, actor)
            with pytest.raises(NotFound):
                await desk.delete(webhook.id, actor)
            with pytest.raises(NotFound):
                await desk.list_deliveries(webhook.id, actor)

    async def test_broken_values_are_refused(self, desk: Desk) -> None:
        wrong: list[dict[str, Any]] = [
            {"url": "nothing"},
            {"url": "https://10.0.0.1/"},
            {"kinds": []},
            {"kinds": ["Nothing"]},
        ]
        for fields in wrong:
            with pytest.raises(InvalidRequest):
                await desk.webhook(**fields)
        assert await desk.list(ORGANIZER) == []

    async def test_only_the_organizer_registers_a_webhook_for_an_event(self, desk: Desk) -> None:
        event_id = await desk.app.event()
        draft_id = await desk.app.event(status=EventStatus.DRAFT)
        assert (await desk.webhook(event_id=event_id)).event_id == event_id
        for actor, wanted, refusal in (
            (STRANGER, event_id, NotAllowed),
            (ADMIN, event_id, NotAllowed),
            (STRANGER, draft_id, NotFound),
            (ORGANIZER, UUID(int=1), NotFound),
        ):
            with pytest.raises(refusal):
                await desk.webhook(actor, event_id=wanted)

    async def test_an_owner_has_20_webhooks_at_most(self, desk: Desk) -> None:
        for _ in range(17):
            await desk.webhook()
        found = await asyncio.gather(*(desk.webhook() for _ in range(6)), return_exceptions=True)
        assert len(await desk.list(ORGANIZER)) == 20
        assert sum(isinstance(each, TooManyWebhooks) for each in found) == 3
        await desk.delete((await desk.list(ORGANIZER))[0].id, ORGANIZER)
        await desk.webhook()

    async def test_unanswered_commits_change_nothing_twice(self, desk: Desk) -> None:
        desk.app.faults.plan(Step.COMMITTED, OutcomeUnknown())
        webhook = await desk.webhook()
        assert await desk.list(ORGANIZER) == [webhook]
        reached, opened = desk.app.faults.gate(Step.BEGIN)
        second = asyncio.create_task(desk.delete(webhook.id, ORGANIZER))
        await reached.wait()
        desk.app.faults.plan(Step.COMMITTED, OutcomeUnknown())
        await desk.delete(webhook.id, ORGANIZER)
        opened.set()
        await second
        assert await desk.list(ORGANIZER) == []
        with pytest.raises(NotFound):
            await desk.delete(webhook.id, ORGANIZER)


class TestKeys:
    COMMAND = NewWebhook(actor=ORGANIZER, url="https://a.example/x")
    KEY = once(actor=ORGANIZER)

    async def test_a_key_makes_one_webhook(self, desk: Desk) -> None:
        desk.app.faults.plan(Step.COMMITTED, OutcomeUnknown())
        with pytest.raises(Replayed):
            await desk.create(self.COMMAND, self.KEY)
        with pytest.raises(Replayed) as replayed:
            await desk.create(self.COMMAND, self.KEY)
        (webhook,) = await desk.list(ORGANIZER)
        assert replayed.value.response.payload == str(webhook).encode()
        with pytest.raises(IdempotencyKeyReused):
            await desk.create(self.COMMAND, once("k", "another request", ORGANIZER))
        assert await desk.list(ORGANIZER) == [webhook]

    async def test_of_many_concurrent_requests_one_makes_the_webhook(self, desk: Desk) -> None:
        # Accounts that are stored elsewhere have no row to lock.
        desk.app.faults.plan(Step.COMMIT, Conflict())
        found = await asyncio.gather(*(desk.create(self.COMMAND, self.KEY) for _ in range(3)), return_exceptions=True)
        assert sum(isinstance(each, Webhook) for each in found) == 1
        assert sum(isinstance(each, Replayed) for each in found) == 2
        assert len(await desk.list(ORGANIZER)) == 1

    async def test_a_refusal_frees_the_key(self, desk: Desk) -> None:
        with pytest.raises(InvalidRequest):
            await desk.create(replace(self.COMMAND, url="nothing"), self.KEY)
        assert (await desk.create(self.COMMAND, self.KEY)).url == self.COMMAND.url


class TestChanging:
    async def test_only_its_owner_changes_a_webhook_and_not_to_a_forbidden_address(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        for actor in (STRANGER, ADMIN):
            with pytest.raises(NotFound):
                await desk.change(webhook.id, actor, WebhookChanges(active=False))
        for broken in (WebhookChanges(url="https://10.0.0.1/"), WebhookChanges(kinds=["Nothing"])):
            with pytest.raises(InvalidRequest):
                await desk.change(webhook.id, ORGANIZER, broken)
        assert await desk.list(ORGANIZER) == [webhook]
        changed = await desk.change(webhook.id, ORGANIZER, WebhookChanges(url="https://b.example/", kinds=FACT_KINDS))
        assert await desk.list(ORGANIZER) == [changed]
        assert changed == replace(webhook, url="https://b.example/", kinds=FACT_KINDS)

    async def test_a_webhook_that_is_deleted_meanwhile_is_not_found(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        reached, opened = desk.app.faults.gate(Step.BEGIN)
        changing = asyncio.create_task(desk.change(webhook.id, ORGANIZER, WebhookChanges(active=False)))
        await reached.wait()
        await desk.remove(webhook)
        opened.set()
        with pytest.raises(NotFound):
            await changing

    async def test_facts_of_the_time_when_it_is_not_active_are_never_sent(self, desk: Desk) -> None:
        webhook, event_id = await desk.webhook(), await desk.app.event()
        await desk.look()
        desk.courier.fails = refuses()
        await desk.app.book(event_id, ANA)
        await desk.look()
        await desk.change(webhook.id, ORGANIZER, WebhookChanges(active=False))
        (given_up,) = await desk.deliveries(webhook)
        assert (given_up.seq, given_up.status) == (2, DeliveryStatus.DEAD)
        desk.courier.fails = refuses(99)
        booking = await desk.app.book(event_id, BEN)
        new = await desk.app.event()
        desk.app.clock.time += timedelta(days=1)
        assert await desk.look() == DeliveryRound(is_ours=True)
        for _ in range(2):
            await desk.change(webhook.id, ORGANIZER, WebhookChanges(active=True))
        await desk.app.cancel(booking)
        await desk.app.book(new, ANA)
        await desk.look()
        assert (desk.courier.seqs(webhook, event_id), desk.courier.seqs(webhook, new)) == ([1, 4], [2])
        await desk.resend(webhook.id, given_up.id, ORGANIZER)
        await desk.look()
        assert desk.courier.seqs(webhook, event_id) == [1, 4, 2], "on request"

    async def test_one_that_stays_active_skips_nothing(self, desk: Desk) -> None:
        webhook, event_id = await desk.webhook(), await desk.app.event()
        await desk.change(webhook.id, ORGANIZER, WebhookChanges(active=True, kinds=FACT_KINDS))
        await desk.look()
        assert desk.courier.seqs(webhook, event_id) == [1]

    async def test_no_fact_is_sent_that_happens_after_it_is_switched_off_in_a_run(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deliver_webhooks, "PIECE", 1)
        webhook, event_id = await desk.webhook(), await desk.app.event()
        gate = await desk.hung(webhook)
        await desk.change(webhook.id, ORGANIZER, WebhookChanges(active=False))
        await desk.app.book(event_id, ANA)
        gate.set()
        await desk.deliver.finish()
        assert desk.courier.seqs(webhook) == [1], "which was under way"
        assert desk.noted(webhook, event_id) == 0

    async def test_a_new_address_and_new_kinds_hold_in_a_run(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(deliver_webhooks, "PIECE", 1)
        webhook, event_id = await desk.webhook(), await desk.app.event()
        gate = await desk.hung(webhook)
        await desk.app.cancel(await desk.app.book(event_id, ANA))
        await desk.change(webhook.id, ORGANIZER, WebhookChanges(kinds=["BookingCancelled"]))
        gate.set()
        await desk.deliver.finish()
        assert desk.courier.seqs(webhook) == [1, 3]

    async def test_a_receiver_that_is_gone_ends_its_webhook(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        webhook, other = await desk.webhook(), await desk.webhook()
        first, second = await desk.app.event(), await desk.app.event()
        gone = Undeliverable("answered 410")
        desk.courier.fails = lambda to, fact: (
            None if to.id == other.id else gone if fact.event_id == first else Refused("away")
        )
        await desk.look()
        assert await desk.list(ORGANIZER) == [replace(webhook, active=False), other]
        assert {(each.event_id, each.status) for each in await desk.deliveries(webhook)} <= {
            (first, DeliveryStatus.DEAD),
            (second, DeliveryStatus.DEAD),
        }
        (ended,) = [each for each in await desk.deliveries(webhook) if each.event_id == first]
        assert (ended.attempts, ended.error, ended.due_at) == (1, "answered 410", None)
        assert "wants no facts any more" in caplog.text
        desk.app.clock.time += timedelta(days=1)
        asked = len(desk.courier.asked)
        assert await desk.look() == DeliveryRound(is_ours=True)
        assert len(desk.courier.asked) == asked
        assert desk.courier.seqs(other, first) == desk.courier.seqs(other, second) == [1]

    async def test_a_request_to_send_again_ends_it_as_well(self, desk: Desk) -> None:
        webhook, dead = await desk.dead()
        await desk.resend(webhook.id, dead.id, ORGANIZER)
        desk.courier.fails = lambda _, __: Undeliverable("answered 410")
        await desk.look()
        assert [each.active for each in await desk.list(ORGANIZER)] == [False]
        (again,) = await desk.deliveries(webhook)
        assert (again.status, again.error) == (DeliveryStatus.DEAD, "answered 410")


class TestDelivering:
    async def test_facts_are_delivered_in_order_and_once(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.app.event()
        booking = await desk.app.book(event_id, ANA)
        assert await desk.look() == DeliveryRound(is_ours=True, webhooks=1)
        assert desk.courier.seqs(webhook) == [1, 2]
        await desk.app.cancel(booking)
        await desk.look()
        assert await desk.look() == DeliveryRound(is_ours=True)
        assert desk.courier.seqs(webhook) == [1, 2, 3]

    async def test_a_webhook_gets_only_the_facts_it_wants(self, desk: Desk) -> None:
        mine = await desk.app.event()
        webhook = await desk.webhook(event_id=mine, kinds=["BookingCancelled"])
        other = await desk.app.event()
        for event_id in (mine, other):
            await desk.app.cancel(await desk.app.book(event_id, ANA))
        foreign = await desk.webhook(STRANGER)
        await desk.look()
        assert desk.courier.delivered[webhook.id] == [(mine, 3)]
        assert desk.courier.delivered[foreign.id] == []
        assert desk.noted(webhook, mine) == 3

    async def test_after_the_longest_run_other_events_have_their_turn(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.LEASE", 9 * LONGEST_RUN)
        webhook = await desk.webhook()
        event_id = await desk.app.event(4 * PIECE)
        await desk.app.crowd(event_id, 3 * PIECE)

        def takes_its_time(fact: Fact) -> None:
            desk.app.clock.time += LONGEST_RUN / PIECE

        desk.courier.before = takes_its_time
        await desk.look()
        assert desk.courier.seqs(webhook) == list(range(1, PIECE + 1))
        desk.courier.before = lambda _: None
        await desk.look()
        assert desk.courier.seqs(webhook) == list(range(1, 3 * PIECE + 2))
        assert desk.noted(webhook, event_id) == 3 * PIECE + 1

    async def test_a_look_goes_through_a_bounded_number_of_events(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert WINDOW >= 1_000
        assert WINDOWS >= 5
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.WINDOW", 2)
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.WINDOWS", 1)
        webhook = await desk.webhook()
        for _ in range(5):
            await desk.app.event()
        for delivered in (2, 4, 5):
            await desk.look()
            assert len(desk.courier.seqs(webhook)) == delivered
        await desk.app.event()
        for _ in range(3):
            await desk.look()
        assert len(desk.courier.seqs(webhook)) == 6

    async def test_progress_is_recorded_every_second(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.app.event(9)
        await desk.app.crowd(event_id, 4)
        noted: list[int] = []

        def before(fact: Fact) -> None:
            noted.append(desk.noted(webhook, event_id))
            desk.app.clock.time += SAVE_EVERY / 2

        desk.courier.before = before
        await desk.look()
        assert desk.courier.seqs(webhook) == [1, 2, 3, 4, 5]
        assert noted == [0, 0, 2, 2, 4]
        assert desk.noted(webhook, event_id) == 5


class TestFailures:
    async def test_a_failed_delivery_is_retried_and_later_facts_wait(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.app.event()
        for actor in (ANA, BEN):
            await desk.app.book(event_id, actor)
        desk.courier.fails = refuses(2)
        await desk.look()
        (delivery,) = await desk.deliveries(webhook)
        assert (delivery.event_id, delivery.seq, delivery.kind) == (event_id, 2, "TicketsBooked")
        assert (delivery.status, delivery.attempts, delivery.error) == (DeliveryStatus.RETRYING, 1, "answered 503")
        assert delivery.due_at == NOW + RETRY_AFTER[0]
        await desk.look()
        assert [seq for _, _, seq in desk.courier.asked] == [1, 2]
        for attempts, failing, delivered in ((2, 2, [1]), (1, 3, [1, 2]), (0, 99, [1, 2, 3])):
            desk.app.clock.time += timedelta(days=1)
            desk.courier.fails = refuses(failing)
            await desk.look()
            assert desk.courier.seqs(webhook) == delivered
            assert [each.attempts for each in await desk.deliveries(webhook)] == [attempts][: bool(attempts)]

    async def test_a_pause_that_the_receiver_asks_for_is_kept(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        await desk.app.event()
        desk.courier.fails = lambda _, __: Refused("answered 429", pause=timedelta(seconds=60))
        await desk.look()
        (delivery,) = await desk.deliveries(webhook)
        assert delivery.due_at == NOW + timedelta(seconds=60)

    async def test_after_the_last_attempt_a_delivery_is_dead_and_later_facts_go_on(
        self, desk: Desk, caplog: pytest.LogCaptureFixture
    ) -> None:
        webhook, dead = await desk.dead()
        assert (dead.seq, dead.attempts, dead.due_at) == (1, len(RETRY_AFTER) + 1, None)
        assert "is given up" in caplog.text
        assert "a.example" not in caplog.text
        assert desk.courier.seqs(webhook) == [2]
        assert await desk.deliveries(webhook, DeliveryStatus.DEAD) == [dead]

    async def test_a_dead_delivery_is_sent_again_on_request(self, desk: Desk) -> None:
        webhook, dead = await desk.dead()
        asked = await desk.resend(webhook.id, dead.id, ORGANIZER)
        assert (asked.status, asked.due_at) == (DeliveryStatus.RESENDING, desk.app.clock.time)
        desk.app.faults.plan(Step.COMMITTED, None, OutcomeUnknown())
        desk.app.clock.time += timedelta(seconds=1)
        await desk.look()
        (again,) = await desk.deliveries(webhook)
        assert (again.status, again.attempts, again.due_at) == (DeliveryStatus.DEAD, dead.attempts + 1, None)
        desk.courier.fails = refuses(99)
        await desk.look()
        assert desk.courier.seqs(webhook) == [2]
        await desk.resend(webhook.id, dead.id, ORGANIZER)
        assert (await desk.look()).webhooks == 1
        assert desk.courier.seqs(webhook) == [2, 1]
        assert await desk.deliveries(webhook) == []
        with pytest.raises(NotFound):
            await desk.resend(webhook.id, dead.id, ORGANIZER)

    async def test_a_waiting_delivery_goes_at_once_on_request(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        await desk.app.event()
        desk.courier.fails = refuses(1)
        await desk.look()
        (waiting,) = await desk.deliveries(webhook)
        desk.courier.fails = refuses(99)
        await desk.look()
        assert desk.courier.seqs(webhook) == []
        await desk.resend(webhook.id, waiting.id, ORGANIZER)
        await desk.look()
        assert desk.courier.seqs(webhook) == [1]
        assert await desk.deliveries(webhook) == []

    async def test_only_ones_own_deliveries_are_sent_again(self, desk: Desk) -> None:
        webhook, dead = await desk.dead()
        other = await desk.webhook(ANA)
        for webhook_id, delivery_id, actor in (
            (webhook.id, dead.id, ANA),
            (other.id, dead.id, ANA),
            (webhook.id, UUID(int=1), ORGANIZER),
            (UUID(int=1), dead.id, ORGANIZER),
        ):
            with pytest.raises(NotFound):
                await desk.resend(webhook_id, delivery_id, actor)

    @pytest.mark.parametrize("what", ["delivery", "webhook"])
    async def test_a_delivery_that_is_removed_before_its_request_is_not_found(self, desk: Desk, what: str) -> None:
        webhook, dead = await desk.dead()
        reached, opened = desk.app.faults.gate(Step.BEGIN)
        asking = asyncio.create_task(desk.resend(webhook.id, dead.id, ORGANIZER))
        await reached.wait()
        await desk.remove(webhook, dead if what == "delivery" else None)
        opened.set()
        with pytest.raises(NotFound):
            await asking

    async def test_a_delivery_may_be_removed_while_it_is_sent_again(self, desk: Desk) -> None:
        webhook, dead = await desk.dead()
        for removed in (dead, None):
            await desk.put(dead)
            await desk.resend(webhook.id, dead.id, ORGANIZER)
            gate = await desk.hung(webhook)
            await desk.remove(webhook, removed)
            gate.set()
            await desk.deliver.finish()
            assert await desk.app.storage.notification_queries.delivery(dead.id) is None

    async def test_a_missing_fact_cannot_be_sent_again(self, desk: Desk) -> None:
        _, dead = await desk.dead()
        gone = replace(dead, id=UUID(int=5), seq=99, status=DeliveryStatus.RESENDING, due_at=NOW)
        await desk.put(gone)
        await desk.look()
        found = await desk.app.storage.notification_queries.delivery(gone.id)
        assert found is not None
        assert (found.status, found.error) == (DeliveryStatus.DEAD, "the fact is gone")


class TestCrashes:
    @pytest.mark.parametrize("fails", [False, True])
    async def test_a_record_whose_commit_was_not_answered_is_made_once(self, desk: Desk, fails: bool) -> None:
        webhook = await desk.webhook()
        await desk.app.event()
        desk.courier.fails = refuses(1 if fails else 99)
        desk.app.faults.plan(Step.COMMITTED, None, OutcomeUnknown())
        await desk.look()
        await desk.look()
        assert len(desk.courier.asked) == 1
        assert [each.attempts for each in await desk.deliveries(webhook)] == ([1] if fails else [])

    async def test_failures_of_storage_and_mistakes_are_logged(
        self, desk: Desk, caplog: pytest.LogCaptureFixture
    ) -> None:
        await desk.webhook()
        await desk.app.event()
        desk.app.faults.plan(Step.READ, None, None, None, Unavailable("away"))
        await desk.look()
        assert "could not be saved" in caplog.text
        desk.courier.fails = lambda _, __: ValueError("a mistake")
        await desk.look()
        assert "A delivery to a webhook failed" in caplog.text
        desk.courier.fails = refuses(99)
        await desk.look()
        assert len(desk.courier.asked) == 2

    @pytest.mark.parametrize("recorded", [1, 3])
    @pytest.mark.parametrize("fails", [False, True])
    async def test_a_stalled_process_overwrites_no_progress_of_another(
        self, desk: Desk, recorded: int, fails: bool
    ) -> None:
        webhook = await desk.webhook()
        event_id = await desk.app.event()
        for actor in (ANA, BEN):
            await desk.app.book(event_id, actor)
        gate = await desk.hung(webhook)
        elsewhere = Cursor(webhook_id=webhook.id, event_id=event_id, last_seq=recorded, tried_at=NOW)
        await in_transaction(desk.app.storage, lambda unit_of_work: unit_of_work.webhooks.put_cursor(elsewhere))
        desk.courier.fails = refuses(1 if fails else 99)
        gate.set()
        await desk.deliver.finish()
        assert desk.cursor(webhook, event_id) == elsewhere
        assert await desk.deliveries(webhook) == []

    async def test_progress_of_another_process_ends_a_run(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.app.event()
        await desk.app.book(event_id, ANA)

        def before(fact: Fact) -> None:
            desk.app.clock.time += SAVE_EVERY
            desk.app.tables.notifications.cursors[webhook.id, event_id] = Cursor(
                webhook_id=webhook.id, event_id=event_id, last_seq=2, tried_at=NOW
            )

        desk.courier.before = before
        await desk.look()
        assert desk.courier.seqs(webhook) == [1]

    async def test_a_webhook_that_is_deleted_during_a_delivery_leaves_no_progress(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        await desk.app.event()
        gate = await desk.hung(webhook)
        await desk.delete(webhook.id, ORGANIZER)
        gate.set()
        await desk.deliver.finish()
        assert desk.app.tables.notifications.cursors == {}


class TestPace:
    async def crowd(self, desk: Desk, owners: int, webhooks: int, events: int) -> list[Webhook]:
        """So many owners, each with webhooks whose receivers hang, and with events."""
        hanging = []
        for number in range(owners):
            owner = Actor(UUID(int=8_000 + number))
            for _ in range(webhooks):
                webhook = await desk.webhook(owner)
                desk.courier.gates[webhook.id] = asyncio.Event()
                hanging.append(webhook)
            for _ in range(events):
                await desk.app.event(actor=owner)
        return hanging

    async def test_one_owner_alone_has_half_of_the_places(self, desk: Desk) -> None:
        await self.crowd(desk, 1, 20, EVENTS_OF_WEBHOOK)
        for _ in range(2):
            await desk.deliver()
            await until(lambda: len(desk.courier.asked) == MOST_AT_ONCE // 2)
        assert (await desk.deliver()).webhooks == 0

    async def test_when_all_places_are_taken_owners_have_their_turns(self, desk: Desk) -> None:
        hanging = await self.crowd(desk, MOST_AT_ONCE + 20, 1, 1)
        assert (await desk.deliver()).webhooks == MOST_AT_ONCE
        assert await desk.deliver() == DeliveryRound(is_ours=True), "no place is free"
        await until(lambda: len(desk.courier.asked) == MOST_AT_ONCE)
        served = {webhook_id for webhook_id, _, _ in desk.courier.asked}
        for webhook_id in served:
            desk.courier.gates[webhook_id].set()
        for webhook in hanging:
            await desk.app.event(actor=Actor(webhook.organizer_id))
        await desk.deliver.finish()
        desk.courier.asked.clear()
        for gate in desk.courier.gates.values():
            gate.set()
        await desk.look()
        first = [webhook for webhook, _, _ in desk.courier.asked[:20]]
        assert served.isdisjoint(first), "owners without a turn come first"

    @pytest.mark.parametrize(("places", "delivered"), [(1, [1]), (2, [1, 2, 3])])
    async def test_a_long_run_gives_its_place_to_others_when_none_is_free(
        self, app: FakeApp, monkeypatch: pytest.MonkeyPatch, places: int, delivered: list[int]
    ) -> None:
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.MOST_AT_ONCE", places)
        desk = Desk(app)
        webhook = await desk.webhook()
        event_id = await app.event(9)
        for actor in (ANA, BEN):
            await app.book(event_id, actor)

        def takes_its_time(fact: Fact) -> None:
            app.clock.time += CROWDED_RUN

        desk.courier.before = takes_its_time
        await desk.look()
        assert desk.courier.seqs(webhook) == delivered

    async def test_few_deliveries_use_the_storage_at_once(self, desk: Desk) -> None:
        await self.crowd(desk, 20, 2, EVENTS_OF_WEBHOOK)
        for gate in desk.courier.gates.values():
            gate.set()
        now = most = 0
        facts = desk.app.storage.event_queries.facts

        async def counted(event_id: UUID, after: int, limit: int) -> list[Fact]:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            return await facts(event_id, after, limit)

        desk.app.storage.event_queries.facts = counted  # type: ignore[method-assign]
        await desk.look()
        assert most == MOST_IN_STORAGE

    async def test_events_of_all_windows_have_their_turns(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.WINDOW", EVENTS_OF_WEBHOOK)
        webhook = await desk.webhook()
        events = [await desk.app.event() for _ in range(2 * EVENTS_OF_WEBHOOK)]
        delivered: set[UUID] = set()
        for _ in range(2):
            desk.app.clock.time += timedelta(seconds=1)
            await desk.look()
            delivered |= {event_id for event_id, _ in desk.courier.delivered[webhook.id]}
            for event_id in events[:EVENTS_OF_WEBHOOK]:
                await desk.app.book(event_id, Actor(UUID(int=len(delivered) + 100)))
        assert delivered == set(events), "although the first window always has something new"

    async def test_the_oldest_turns_of_owners_are_forgotten(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks._MOST_OWNERS", 0)
        first, *_ = await self.crowd(desk, 5, 1, 1)
        for gate in desk.courier.gates.values():
            gate.set()
        await desk.look()
        await desk.app.event(actor=Actor(first.organizer_id))
        await desk.look()
        assert len(desk.courier.seqs(first)) == 2

    async def test_at_the_end_of_the_process_deliveries_under_way_are_recorded(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.app.event()
        await desk.app.book(event_id, ANA)
        gate = await desk.hung(webhook)
        closing = asyncio.create_task(desk.deliver.close())
        await asyncio.sleep(0)
        gate.set()
        await closing
        assert desk.courier.seqs(webhook) == [1]
        assert desk.noted(webhook, event_id) == 1
        assert desk.courier.is_closed
        assert await desk.deliver() == DeliveryRound(is_ours=False)
        await desk.deliver.close()

    async def test_the_end_of_the_process_does_not_wait_for_slow_receivers(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.CLOSE_TIMEOUT", 0.05)
        assert CLOSE_TIMEOUT <= 5
        webhook = await desk.webhook()
        await desk.app.event()
        await desk.hung(webhook)
        async with asyncio.timeout(5):
            await desk.deliver.close()
            await desk.deliver.finish()

    async def test_resending_ends_with_the_process(self, desk: Desk) -> None:
        webhook, dead = await desk.dead()
        await desk.put(replace(dead, id=UUID(int=5), seq=2, status=DeliveryStatus.RESENDING, due_at=NOW))
        await desk.resend(webhook.id, dead.id, ORGANIZER)
        desk.courier.asked.clear()
        gate = await desk.hung(webhook)
        closing = asyncio.create_task(desk.deliver.close())
        await asyncio.sleep(0)
        gate.set()
        await closing
        assert len(desk.courier.asked) == 1
