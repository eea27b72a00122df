"""Webhooks: registered by whom, told what, in which order, how often, and what becomes of failures."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from boxoffice.adapters.memory import Step
from boxoffice.application.background.deliver_webhooks import (
    CROWDED_RUN,
    ENDING,
    LONGEST_RUN,
    MOST_AT_ONCE,
    MOST_IN_STORAGE,
    NOTE_EVERY,
    PIECE,
    STREAMS,
    TURN,
    WINDOW,
    WINDOWS,
    DeliverWebhooks,
    Told,
)
from boxoffice.application.ports.errors import Conflict, OutcomeUnknown, Retryable, Unavailable
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from boxoffice.application.ports.notifications import Refused
from boxoffice.application.ports.storage import UnitOfWork
from boxoffice.application.retrying_transaction import in_transaction
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
    Refusal,
    TooManyWebhooks,
)
from boxoffice.domain.user import Actor
from boxoffice.domain.webhooks import RETRY_AFTER, Cursor, Delivery, DeliveryStatus, Webhook
from tests.application.world import ADMIN, ANA, BEN, NOW, ORGANIZER, STRANGER, World


class ToldCourier:
    """Does what it is told, and notes what it delivered, and what it was asked to."""

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
    """A box office with what tells webhooks."""

    def __init__(self, world: World, courier: ToldCourier | None = None) -> None:
        storage, clock, ids = world.storage, world.clock, world.ids
        self.world = world
        self.courier = courier or ToldCourier()
        self.create = CreateWebhook(storage, self.courier, clock, ids)
        self.delete = DeleteWebhook(storage)
        self.list = ListWebhooks(storage)
        self.read = ReadWebhook(storage)
        self.list_deliveries = ListDeliveries(storage)
        self.resend = ResendDelivery(storage, clock)
        self.deliver = DeliverWebhooks(storage, self.courier, clock, ids, jitter=lambda: 0.5)

    async def webhook(self, actor: Actor = ORGANIZER, **fields: Any) -> Webhook:
        return await self.create(NewWebhook(actor=actor, **{"url": "https://a.example/x", **fields}))

    async def look(self) -> Told:
        """One look, and all that it begins."""
        told = await self.deliver()
        await self.deliver.finish()
        return told

    async def deliveries(self, webhook: Webhook, status: DeliveryStatus | None = None) -> list[Delivery]:
        return (await self.list_deliveries(webhook.id, Actor(webhook.organizer_id), status=status)).items

    async def told(self, webhook: Webhook, event_id: UUID) -> Cursor | None:
        async def look(unit_of_work: UnitOfWork) -> Cursor | None:
            return await unit_of_work.webhooks.cursor(webhook.id, event_id)

        return await in_transaction(self.world.storage, look)

    async def noted(self, webhook: Webhook, event_id: UUID) -> int:
        cursor = await self.told(webhook, event_id)
        return 0 if cursor is None else cursor.last_seq


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


def refuses(*seqs: int, said: str = "answered 503") -> Callable[[Webhook, Fact], Exception | None]:
    return lambda _, fact: Refused(said) if not seqs or fact.seq in seqs else None


class TestRegistering:
    async def test_a_webhook_is_its_owners(self, desk: Desk) -> None:
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

    async def test_what_can_never_be_reached_is_refused(self, desk: Desk) -> None:
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

    async def test_an_event_must_be_ones_own(self, desk: Desk) -> None:
        event_id = await desk.world.event()
        draft_id = await desk.world.event(status=EventStatus.DRAFT)
        assert (await desk.webhook(event_id=event_id)).event_id == event_id
        for actor, wanted, refusal in (
            (STRANGER, event_id, NotAllowed),
            (ADMIN, event_id, NotAllowed),
            (STRANGER, draft_id, NotFound),
            (ORGANIZER, UUID(int=1), NotFound),
        ):
            with pytest.raises(refusal):
                await desk.webhook(actor, event_id=wanted)

    async def test_there_is_an_end_to_them_also_for_many_at_once(self, desk: Desk) -> None:
        for _ in range(17):
            await desk.webhook()
        found = await asyncio.gather(*(desk.webhook() for _ in range(6)), return_exceptions=True)
        assert len(await desk.list(ORGANIZER)) == 20
        assert sum(isinstance(each, TooManyWebhooks) for each in found) == 3
        await desk.delete((await desk.list(ORGANIZER))[0].id, ORGANIZER)
        await desk.webhook()

    async def test_it_is_there_once_whatever_becomes_of_the_answer_to_commit(self, desk: Desk) -> None:
        desk.world.faults.plan(Step.COMMITTED, OutcomeUnknown())
        webhook = await desk.webhook()
        assert await desk.list(ORGANIZER) == [webhook]

    async def test_giving_up_twice_is_not_found_and_beside_each_other_is_fine(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        reached, opened = desk.world.faults.gate(Step.BEGIN)
        second = asyncio.create_task(desk.delete(webhook.id, ORGANIZER))
        await reached.wait()
        desk.world.faults.plan(Step.COMMITTED, OutcomeUnknown())
        await desk.delete(webhook.id, ORGANIZER)
        opened.set()
        await second
        assert await desk.list(ORGANIZER) == []
        with pytest.raises(NotFound):
            await desk.delete(webhook.id, ORGANIZER)


def once(text: str = "key", fingerprint: bytes = b"one") -> IdempotentRequest[Webhook]:
    def render(result: Webhook | Exception) -> Response:
        if isinstance(result, Refusal):
            return Response(b"!" + result.code.encode())
        assert isinstance(result, Webhook)
        return Answer(status=201, body=result.secret.encode())

    return IdempotentRequest(key=Key(ORGANIZER.user_id, text), fingerprint=fingerprint, render=render)


class TestKeys:
    COMMAND = NewWebhook(actor=ORGANIZER, url="https://a.example/x")

    async def test_a_key_makes_one_webhook(self, desk: Desk) -> None:
        webhook = await desk.create(self.COMMAND, once())
        with pytest.raises(Replayed) as replayed:
            await desk.create(self.COMMAND, once())
        assert replayed.value.response.payload == webhook.secret.encode()
        with pytest.raises(IdempotencyKeyReused):
            await desk.create(self.COMMAND, once(fingerprint=b"two"))
        assert await desk.list(ORGANIZER) == [webhook]

    async def test_an_answer_that_was_lost_is_given_again(self, desk: Desk) -> None:
        desk.world.faults.plan(Step.COMMITTED, OutcomeUnknown())
        with pytest.raises(Replayed):
            await desk.create(self.COMMAND, once())
        assert len(await desk.list(ORGANIZER)) == 1

    async def test_of_two_at_once_one_makes_it(self, desk: Desk) -> None:
        # Accounts that are kept elsewhere have no row to lock.
        desk.world.faults.plan(Step.COMMIT, Conflict())
        found = await asyncio.gather(*(desk.create(self.COMMAND, once()) for _ in range(3)), return_exceptions=True)
        assert sum(isinstance(each, Webhook) for each in found) == 1
        assert sum(isinstance(each, Replayed) for each in found) == 2
        assert len(await desk.list(ORGANIZER)) == 1

    async def test_a_refusal_frees_the_key(self, desk: Desk) -> None:
        with pytest.raises(InvalidRequest):
            await desk.create(replace(self.COMMAND, url="nothing"), once())
        assert (await desk.create(self.COMMAND, once())).url == self.COMMAND.url


class TestTelling:
    async def test_facts_are_told_in_order_and_once(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event()
        booking = await desk.world.book(event_id, ANA)
        assert await desk.look() == Told(is_ours=True, webhooks=1)
        assert desk.courier.seqs(webhook) == [1, 2]
        await desk.world.cancel(booking)
        await desk.look()
        assert await desk.look() == Told(is_ours=True)
        assert desk.courier.seqs(webhook) == [1, 2, 3]

    async def test_without_a_webhook_nothing_is_done(self, desk: Desk) -> None:
        await desk.world.event()
        desk.world.faults.steps.clear()
        assert await desk.look() == Told(is_ours=False)
        assert desk.world.faults.steps == [Step.READ]

    async def test_what_happened_before_is_not_told(self, desk: Desk) -> None:
        event_id = await desk.world.event()
        webhook = await desk.webhook()
        await desk.look()
        assert desk.courier.asked == []
        await desk.world.book(event_id, ANA)
        await desk.look()
        assert desk.courier.seqs(webhook) == [2]

    async def test_only_what_it_wants(self, desk: Desk) -> None:
        mine = await desk.world.event()
        webhook = await desk.webhook(event_id=mine, kinds=["BookingCancelled"])
        other = await desk.world.event()
        for event_id in (mine, other):
            await desk.world.cancel(await desk.world.book(event_id, ANA))
        foreign = await desk.webhook(STRANGER)
        await desk.look()
        assert desk.courier.delivered[webhook.id] == [(mine, 3)]
        assert desk.courier.delivered[foreign.id] == []
        assert await desk.noted(webhook, mine) == 3

    async def test_many_facts_are_told_piece_by_piece(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event(3 * PIECE)
        await desk.world.crowd(event_id, 2 * PIECE + 10)
        await desk.look()
        assert desk.courier.seqs(webhook) == list(range(1, 2 * PIECE + 12))
        assert await desk.noted(webhook, event_id) == 2 * PIECE + 11

    async def test_after_a_while_others_have_their_turn(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event(3 * PIECE)
        await desk.world.crowd(event_id, 2 * PIECE)

        def takes_its_time(fact: Fact) -> None:
            desk.world.clock.time += LONGEST_RUN / PIECE
            desk.deliver._turn_ends = desk.world.clock.time + TURN

        desk.courier.before = takes_its_time
        await desk.look()
        assert desk.courier.seqs(webhook) == list(range(1, PIECE + 1))
        await desk.look()
        assert desk.courier.seqs(webhook) == list(range(1, 2 * PIECE + 1))

    async def test_events_are_looked_at_by_and_by(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        assert WINDOW >= 1_000
        assert WINDOWS >= 5
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.WINDOW", 2)
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.WINDOWS", 1)
        webhook = await desk.webhook()
        for _ in range(5):
            await desk.world.event()
        for told in (2, 4, 5):
            await desk.look()
            assert len(desk.courier.seqs(webhook)) == told
        await desk.world.event()
        for _ in range(3):
            await desk.look()
        assert len(desk.courier.seqs(webhook)) == 6

    async def test_how_far_it_was_told_is_noted_now_and_then(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event(9)
        await desk.world.crowd(event_id, 4)
        noted: list[int] = []

        def before(fact: Fact) -> None:
            cursor = desk.world.storage._tables.notifications.cursors.get((webhook.id, event_id))
            noted.append(cursor.last_seq if cursor else 0)
            desk.world.clock.time += NOTE_EVERY / 2

        desk.courier.before = before
        await desk.look()
        assert desk.courier.seqs(webhook) == [1, 2, 3, 4, 5]
        assert noted == [0, 0, 2, 2, 4]
        assert await desk.noted(webhook, event_id) == 5

    async def test_events_of_a_webhook_go_side_by_side_a_few_at_once(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        for _ in range(6):
            await desk.world.event()
        await desk.look()
        assert len(desk.courier.seqs(webhook)) == 4
        await desk.look()
        assert len(desk.courier.seqs(webhook)) == 6


class TestFailures:
    async def test_what_fails_is_tried_again_and_what_follows_waits(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event()
        for actor in (ANA, BEN):
            await desk.world.book(event_id, actor)
        desk.courier.fails = refuses(2)
        await desk.look()
        (delivery,) = await desk.deliveries(webhook)
        assert (delivery.event_id, delivery.seq, delivery.kind) == (event_id, 2, "TicketsBooked")
        assert (delivery.status, delivery.attempts, delivery.error) == (DeliveryStatus.RETRYING, 1, "answered 503")
        assert delivery.due_at == NOW + RETRY_AFTER[0]
        await desk.look()
        assert [seq for _, _, seq in desk.courier.asked] == [1, 2]
        desk.world.clock.time += RETRY_AFTER[0]
        await desk.look()
        (delivery,) = await desk.deliveries(webhook)
        assert (delivery.attempts, delivery.due_at) == (2, desk.world.clock.time + RETRY_AFTER[1])
        desk.world.clock.time += RETRY_AFTER[1]
        desk.courier.fails = refuses(3)
        await desk.look()
        assert desk.courier.seqs(webhook) == [1, 2]
        (delivery,) = await desk.deliveries(webhook)
        assert (delivery.seq, delivery.attempts) == (3, 1)
        desk.courier.fails = refuses(99)
        desk.world.clock.time += RETRY_AFTER[0]
        await desk.look()
        assert desk.courier.seqs(webhook) == [1, 2, 3]
        assert await desk.deliveries(webhook) == []

    async def test_other_events_and_webhooks_go_on(self, desk: Desk) -> None:
        webhook, other = await desk.webhook(), await desk.webhook()
        bad, good = await desk.world.event(), await desk.world.event()
        desk.courier.fails = lambda to, fact: (
            Refused("no connection") if to.id == webhook.id and fact.event_id == bad else None
        )
        await desk.look()
        assert desk.courier.delivered[webhook.id] == [(good, 1)]
        assert sorted(desk.courier.delivered[other.id]) == sorted([(bad, 1), (good, 1)])

    async def test_what_is_given_up_is_dead_and_what_follows_goes_on(
        self, desk: Desk, caplog: pytest.LogCaptureFixture
    ) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event()
        await desk.world.book(event_id, ANA)
        desk.courier.fails = refuses(1)
        for _ in range(len(RETRY_AFTER) + 1):
            await desk.look()
            desk.world.clock.time += timedelta(days=2)
        (dead,) = await desk.deliveries(webhook, DeliveryStatus.DEAD)
        assert (dead.seq, dead.attempts, dead.due_at) == (1, len(RETRY_AFTER) + 1, None)
        assert "is given up" in caplog.text
        assert "a.example" not in caplog.text
        await desk.look()
        assert desk.courier.seqs(webhook) == [2]
        assert [each.seq for each in await desk.deliveries(webhook)] == [1]

    async def dead(self, desk: Desk) -> tuple[Webhook, Delivery]:
        webhook = await desk.webhook()
        event_id = await desk.world.event()
        desk.courier.fails = refuses(1)
        for _ in range(len(RETRY_AFTER) + 1):
            await desk.look()
            desk.world.clock.time += timedelta(days=2)
        await desk.world.book(event_id, ANA)
        await desk.look()
        (dead,) = await desk.deliveries(webhook)
        assert dead.status is DeliveryStatus.DEAD
        return webhook, dead

    async def test_what_is_dead_is_sent_again_when_asked(self, desk: Desk) -> None:
        webhook, dead = await self.dead(desk)
        asked = await desk.resend(webhook.id, dead.id, ORGANIZER)
        assert (asked.status, asked.due_at) == (DeliveryStatus.RESENDING, desk.world.clock.time)
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

    async def test_what_waits_goes_at_once_when_asked(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        await desk.world.event()
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

    async def test_only_ones_own_is_sent_again(self, desk: Desk) -> None:
        webhook, dead = await self.dead(desk)
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
    async def test_what_goes_meanwhile_is_not_found(self, desk: Desk, what: str) -> None:
        webhook, dead = await self.dead(desk)
        reached, opened = desk.world.faults.gate(Step.BEGIN)
        asking = asyncio.create_task(desk.resend(webhook.id, dead.id, ORGANIZER))
        await reached.wait()

        async def go(unit_of_work: UnitOfWork) -> None:
            if what == "delivery":
                await unit_of_work.webhooks.remove_delivery(dead.id)
            else:
                await unit_of_work.webhooks.remove(webhook.id)

        await in_transaction(desk.world.storage, go)
        opened.set()
        with pytest.raises(NotFound):
            await asking

    async def test_what_is_sent_again_may_be_gone_by_then(self, desk: Desk) -> None:
        webhook, dead = await self.dead(desk)
        for goes in ("remove_delivery", "remove"):
            await desk.resend(webhook.id, dead.id, ORGANIZER)
            gate = desk.courier.gates[webhook.id] = asyncio.Event()
            desk.courier.reached.clear()
            await desk.deliver()
            await desk.courier.reached.wait()

            async def go(unit_of_work: UnitOfWork, goes: str = goes) -> None:
                await getattr(unit_of_work.webhooks, goes)(dead.id if goes == "remove_delivery" else webhook.id)

            await in_transaction(desk.world.storage, go)
            gate.set()
            await desk.deliver.finish()
            assert await desk.world.storage.notification_queries.delivery(dead.id) is None
            if goes == "remove_delivery":
                await in_transaction(desk.world.storage, lambda unit_of_work: unit_of_work.webhooks.put_delivery(dead))

    async def test_a_fact_that_is_gone_cannot_be_sent_again(self, desk: Desk) -> None:
        _, dead = await self.dead(desk)
        gone = replace(dead, id=UUID(int=5), seq=99, status=DeliveryStatus.RESENDING, due_at=NOW)
        await in_transaction(desk.world.storage, lambda unit_of_work: unit_of_work.webhooks.put_delivery(gone))
        await desk.look()
        found = await desk.world.storage.notification_queries.delivery(gone.id)
        assert found is not None
        assert (found.status, found.error) == (DeliveryStatus.DEAD, "the fact is gone")


class TestCrashes:
    async def test_what_was_sent_and_not_noted_is_sent_again(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event()
        await desk.world.book(event_id, ANA)
        # The first commit is the turn's, the next one would be the note's.
        desk.world.faults.plan(Step.COMMIT, None, *[Retryable() for _ in range(5)])
        await desk.look()
        assert desk.courier.seqs(webhook) == [1, 2]
        after = Desk(World(desk.world.storage, desk.world.ids), desk.courier)
        after.world.clock.time = NOW + TURN
        assert (await after.look()).webhooks == 1
        assert desk.courier.seqs(webhook) == [1, 2, 1, 2]
        assert (await after.look()).webhooks == 0

    @pytest.mark.parametrize("fails", [False, True])
    async def test_a_note_whose_answer_was_lost_is_noted_once(self, desk: Desk, fails: bool) -> None:
        webhook = await desk.webhook()
        await desk.world.event()
        desk.courier.fails = refuses(1 if fails else 99)
        desk.world.faults.plan(Step.COMMITTED, None, OutcomeUnknown())
        await desk.look()
        await desk.look()
        assert len(desk.courier.asked) == 1
        assert [each.attempts for each in await desk.deliveries(webhook)] == ([1] if fails else [])

    async def test_what_was_sent_again_in_vain_is_counted_once(self, desk: Desk) -> None:
        webhook, dead = await TestFailures().dead(desk)
        await desk.resend(webhook.id, dead.id, ORGANIZER)
        desk.world.faults.plan(Step.COMMITTED, None, OutcomeUnknown())
        desk.world.clock.time += timedelta(seconds=1)
        await desk.look()
        (again,) = await desk.deliveries(webhook)
        assert again.attempts == dead.attempts + 1

    async def test_what_cannot_be_noted_is_said(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        await desk.webhook()
        await desk.world.event()
        desk.world.faults.plan(Step.READ, None, None, None, Unavailable("away"))
        await desk.look()
        assert "could not be noted" in caplog.text
        desk.courier.fails = lambda _, __: ValueError("a mistake")
        await desk.look()
        assert "Telling a webhook failed" in caplog.text
        desk.courier.fails = refuses(99)
        await desk.look()
        assert len(desk.courier.asked) == 2

    async def test_one_process_at_a_time_has_the_turn(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        await desk.world.event()
        assert (await desk.look()).is_ours
        other = Desk(World(desk.world.storage, desk.world.ids), desk.courier)
        await desk.world.event()
        assert await other.look() == Told(is_ours=False)
        assert len(desk.courier.seqs(webhook)) == 1
        other.world.clock.time = NOW + TURN
        assert (await other.look()).is_ours
        assert len(desk.courier.seqs(webhook)) == 2

    async def test_whoever_stalled_beyond_the_turn_sends_nothing_more(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event()
        await desk.world.book(event_id, ANA)

        def stall(fact: Fact) -> None:
            desk.world.clock.time += TURN

        desk.courier.before = stall
        await desk.look()
        assert desk.courier.seqs(webhook) == [1]

    @pytest.mark.parametrize("told", [1, 3])
    @pytest.mark.parametrize("fails", [False, True])
    async def test_whoever_stalled_notes_nothing_over_what_another_one_noted(
        self, desk: Desk, told: int, fails: bool
    ) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event()
        for actor in (ANA, BEN):
            await desk.world.book(event_id, actor)
        gate = desk.courier.gates[webhook.id] = asyncio.Event()
        await desk.deliver()
        await desk.courier.reached.wait()
        elsewhere = Cursor(webhook_id=webhook.id, event_id=event_id, last_seq=told, tried_at=NOW)
        await in_transaction(desk.world.storage, lambda unit_of_work: unit_of_work.webhooks.put_cursor(elsewhere))
        desk.courier.fails = refuses(1 if fails else 99)
        gate.set()
        await desk.deliver.finish()
        assert await desk.told(webhook, event_id) == elsewhere
        assert await desk.deliveries(webhook) == []

    async def test_what_another_one_noted_meanwhile_ends_a_piece(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event()
        await desk.world.book(event_id, ANA)

        def before(fact: Fact) -> None:
            desk.world.clock.time += NOTE_EVERY
            desk.world.storage._tables.notifications.cursors[webhook.id, event_id] = Cursor(
                webhook_id=webhook.id, event_id=event_id, last_seq=2, tried_at=NOW
            )

        desk.courier.before = before
        await desk.look()
        assert desk.courier.seqs(webhook) == [1]

    async def test_a_webhook_that_was_given_up_is_told_nothing_more(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        await desk.world.event()
        gate = desk.courier.gates[webhook.id] = asyncio.Event()
        await desk.deliver()
        await desk.courier.reached.wait()
        await desk.delete(webhook.id, ORGANIZER)
        gate.set()
        await desk.deliver.finish()
        assert desk.world.storage._tables.notifications.cursors == {}


class TestPace:
    async def test_a_slow_webhook_holds_up_nobody_else(self, desk: Desk) -> None:
        slow, quick = await desk.webhook(), await desk.webhook()
        gate = desk.courier.gates[slow.id] = asyncio.Event()
        event_id = await desk.world.event()
        await desk.deliver()
        await desk.courier.reached.wait()
        await desk.world.book(event_id, ANA)
        while desk.courier.seqs(quick) != [1, 2]:
            await desk.deliver()
            await asyncio.sleep(0)
        assert [found[0] for found in desk.courier.asked].count(slow.id) == 1
        gate.set()
        await desk.deliver.finish()
        await desk.look()
        assert desk.courier.seqs(slow) == [1, 2]

    async def test_so_many_are_told_at_once_and_no_more(self, desk: Desk) -> None:
        owners = [Actor(UUID(int=7_000 + number)) for number in range(MOST_AT_ONCE + 1)]
        for owner in owners:
            webhook = await desk.webhook(owner)
            desk.courier.gates[webhook.id] = asyncio.Event()
            await desk.world.event(actor=owner)
        assert (await desk.deliver()).webhooks == MOST_AT_ONCE
        assert await desk.deliver() == Told(is_ours=True)
        for gate in desk.courier.gates.values():
            gate.set()
        await desk.deliver.finish()
        await desk.look()
        assert len(desk.courier.asked) == MOST_AT_ONCE + 1

    async def crowd(self, desk: Desk, owners: int, webhooks: int, events: int) -> list[Webhook]:
        """Webhooks of so many owners each whose receivers hang, with events to be told of."""
        hanging = []
        for number in range(owners):
            owner = Actor(UUID(int=8_000 + number))
            for _ in range(webhooks):
                webhook = await desk.webhook(owner)
                desk.courier.gates[webhook.id] = asyncio.Event()
                hanging.append(webhook)
            for _ in range(events):
                await desk.world.event(actor=owner)
        return hanging

    @pytest.mark.parametrize(("owners", "webhooks"), [(1, 20), (12, 20), (MOST_AT_ONCE - 1, 2)])
    async def test_hanging_receivers_of_others_take_no_last_place(self, desk: Desk, owners: int, webhooks: int) -> None:
        hanging = await self.crowd(desk, owners, webhooks, STREAMS)
        for _ in range(3):
            await desk.deliver()
        honest = await desk.webhook()
        await desk.world.event()
        assert (await desk.deliver()).webhooks == 1
        await desk.deliver._running[honest.id]
        assert desk.courier.seqs(honest) == [1]
        assert all(not desk.courier.seqs(each) for each in hanging)
        for gate in desk.courier.gates.values():
            gate.set()
        for _ in range(webhooks * STREAMS):
            await desk.look()
        assert all(len(desk.courier.seqs(each)) == STREAMS for each in hanging), "they are told in the end"

    async def test_one_owner_alone_has_half_of_the_places(self, desk: Desk) -> None:
        await self.crowd(desk, 1, 20, STREAMS)
        await desk.deliver()
        await asyncio.sleep(0)
        assert desk.deliver._free == MOST_AT_ONCE // 2
        await desk.deliver()
        assert desk.deliver._free == MOST_AT_ONCE // 2
        for gate in desk.courier.gates.values():
            gate.set()
        await desk.deliver.finish()
        assert (desk.deliver._free, desk.deliver._in_use) == (MOST_AT_ONCE, {})

    async def test_when_all_places_are_taken_owners_have_their_turns(self, desk: Desk) -> None:
        hanging = await self.crowd(desk, MOST_AT_ONCE + 20, 1, 1)
        await desk.deliver()
        told = set(desk.deliver._running)
        assert len(told) == MOST_AT_ONCE
        for webhook_id in told:
            desk.courier.gates[webhook_id].set()
        for webhook in hanging:
            await desk.world.event(actor=Actor(webhook.organizer_id))
        await desk.deliver.finish()
        desk.courier.asked.clear()
        for gate in desk.courier.gates.values():
            gate.set()
        await desk.look()
        first = [webhook for webhook, _, _ in desk.courier.asked[:20]]
        assert told.isdisjoint(first), "those come first who had no turn yet"

    async def test_a_place_is_given_up_while_others_wait_for_one(self, desk: Desk) -> None:
        owner = Actor(UUID(int=7_000))
        webhook = await desk.webhook(owner)
        event_id = await desk.world.event(9, actor=owner)
        for customer_of in (ANA, BEN):
            await desk.world.book(event_id, customer_of)

        def takes_its_time(fact: Fact) -> None:
            if fact.event_id == event_id:
                desk.world.clock.time += CROWDED_RUN

        desk.courier.before = takes_its_time
        desk.deliver._free = 1
        await desk.look()
        assert desk.courier.seqs(webhook) == [1]
        desk.deliver._free = 2
        await desk.look()
        assert desk.courier.seqs(webhook) == [1, 2, 3], "nobody waits for a place"

    async def test_few_deliveries_are_in_the_storage_at_once(self, desk: Desk) -> None:
        await self.crowd(desk, 20, 2, STREAMS)
        for gate in desk.courier.gates.values():
            gate.set()
        now = most = 0
        facts = desk.world.storage.reads.facts

        async def counted(event_id: UUID, after: int, limit: int) -> list[Fact]:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            return await facts(event_id, after, limit)

        desk.world.storage.event_queries.facts = counted  # type: ignore[method-assign]
        await desk.look()
        assert most == MOST_IN_STORAGE

    async def test_events_of_all_windows_have_their_turns(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.WINDOW", STREAMS)
        webhook = await desk.webhook()
        events = [await desk.world.event() for _ in range(2 * STREAMS)]
        told: set[UUID] = set()
        for _ in range(2):
            desk.world.clock.time += timedelta(seconds=1)
            await desk.look()
            told |= {event_id for event_id, _ in desk.courier.delivered[webhook.id]}
            for event_id in events[:STREAMS]:
                await desk.world.book(event_id, Actor(UUID(int=len(told) + 100)))
        assert told == set(events), "those of the first window are told of again and again"

    async def test_it_is_not_remembered_for_ever_who_had_a_turn(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks._MOST_OWNERS", 3)
        await self.crowd(desk, 5, 1, 1)
        await desk.deliver()
        assert len(desk.deliver._last_turns) == 3

    async def test_at_the_end_what_is_under_way_is_noted(self, desk: Desk) -> None:
        webhook = await desk.webhook()
        event_id = await desk.world.event()
        await desk.world.book(event_id, ANA)
        gate = desk.courier.gates[webhook.id] = asyncio.Event()
        await desk.deliver()
        await desk.courier.reached.wait()
        closing = asyncio.create_task(desk.deliver.close())
        await asyncio.sleep(0)
        gate.set()
        await closing
        assert desk.courier.seqs(webhook) == [1]
        assert await desk.noted(webhook, event_id) == 1
        assert desk.courier.is_closed
        assert await desk.deliver() == Told(is_ours=False)

    async def test_where_nothing_is_under_way_the_end_is_at_once(self, desk: Desk) -> None:
        await desk.deliver.close()
        assert desk.courier.is_closed

    async def test_nobody_is_waited_for_for_long(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("boxoffice.application.background.deliver_webhooks.ENDING", 0.05)
        assert ENDING <= 5
        webhook = await desk.webhook()
        desk.courier.gates[webhook.id] = asyncio.Event()
        await desk.world.event()
        await desk.deliver()
        await desk.courier.reached.wait()
        async with asyncio.timeout(5):
            await desk.deliver.close()
        assert desk.deliver._running == {}

    async def test_resending_ends_with_the_process(self, desk: Desk) -> None:
        webhook, dead = await TestFailures().dead(desk)
        other = replace(dead, id=UUID(int=5), seq=2, status=DeliveryStatus.RESENDING, due_at=NOW)
        await in_transaction(desk.world.storage, lambda unit_of_work: unit_of_work.webhooks.put_delivery(other))
        await desk.resend(webhook.id, dead.id, ORGANIZER)
        desk.courier.asked.clear()
        gate = desk.courier.gates[webhook.id] = asyncio.Event()
        desk.courier.reached.clear()
        await desk.deliver()
        await desk.courier.reached.wait()
        closing = asyncio.create_task(desk.deliver.close())
        await asyncio.sleep(0)
        gate.set()
        await closing
        assert len(desk.courier.asked) == 1


async def test_a_booking_says_nothing_to_a_webhook_and_waits_for_none(desk: Desk) -> None:
    """Steps of a booking's transaction with a webhook are those without."""
    event_id = await desk.world.event()

    async def steps(actor: Actor) -> list[Step]:
        desk.world.faults.steps.clear()
        await desk.world.book(event_id, actor)
        return list(desk.world.faults.steps)

    before = await steps(ANA)
    await desk.webhook()
    assert await steps(BEN) == before
    assert desk.courier.asked == []
