"""A process of its own that works on a database as the service does, told what to do line by line.

It reads orders from its input and writes reports to its output, each a line of JSON. Every outcome is reported at the
moment at which a client would have its answer, so that whoever kills the process knows what it had acknowledged.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec
from dependency_injector.providers import Object, Singleton
from msgspec import Struct
from uuid_utils.compat import uuid7

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.application.accounts.create_user import Registration
from boxoffice.application.bookings.pay_booking import Bill, PaymentUnknown
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from boxoffice.application.ports.notifications import NotificationQueries
from boxoffice.application.ports.observability import Statistics
from boxoffice.application.ports.payments import PaymentGateway
from boxoffice.application.ports.queries import Reads, Snapshot
from boxoffice.application.ports.storage import Storage, UnitOfWork
from boxoffice.application.turnstile.command_queue import MOST_TOGETHER, Bounds
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.booking import Booking, BookingStatus
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Edit
from boxoffice.domain.event import EventChanges, EventState
from boxoffice.domain.payment import PaymentMethod
from boxoffice.domain.refusals import Refusal
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.settings import Settings


class Command(Struct, frozen=True, kw_only=True, tag=True):
    """Something that somebody wants done."""


class BookIt(Command, frozen=True, kw_only=True):
    """A customer books."""

    booking: UUID
    event: UUID
    customer: UUID
    quantity: int = 1
    ticket_type: UUID | None = None
    key: str | None = None


class CancelIt(Command, frozen=True, kw_only=True):
    """Somebody cancels a booking."""

    booking: UUID
    actor: UUID
    key: str | None = None


class PayIt(Command, frozen=True, kw_only=True):
    """A customer pays by card."""

    booking: UUID
    actor: UUID
    token: str = "tok_ok"
    key: str | None = None


class SweepIt(Command, frozen=True, kw_only=True):
    """One round after the other of the background work, until nothing is left to do now."""


class Habit(StrEnum):
    """What a customer of a crowd does."""

    KEEP = "keep"
    LAPSE = "lapse"
    LEAVE = "leave"
    CANCEL = "cancel"
    RETURN = "return"
    DECLINED = "declined"
    SILENT = "silent"


class Attend(Command, frozen=True, kw_only=True):
    """The customers of these bookings act by their habits when it is their turn; the answer comes when all are through.

    Meanwhile the process sweeps, as a server does.
    """

    event: UUID
    habits: dict[UUID, Habit]


class EditIt(Command, frozen=True, kw_only=True):
    """The organizer changes the event."""

    event: UUID
    actor: UUID
    changes: dict[str, Any]


class SignUp(Command, frozen=True, kw_only=True):
    """Somebody wants an account."""

    email: str


class ServeLine(Command, frozen=True, kw_only=True):
    """An operator has the waiting list served."""

    event: UUID


class Resume(Command, frozen=True, kw_only=True):
    """Take up whatever was left undone; the answer comes when nothing of it is left."""


AnyCommand = BookIt | CancelIt | PayIt | SweepIt | Attend | EditIt | SignUp | ServeLine | Resume


class Moment(StrEnum):
    """Where in a transaction a process may freeze."""

    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"


class Freeze(Struct, frozen=True):
    """Freeze the process, for ever, at this moment of its nth transaction that comes to a commit."""

    moment: Moment
    transaction: int


class Pace(Struct, frozen=True, kw_only=True):
    """How the process's clock goes: so many seconds ahead, and so many times as fast since then."""

    since: datetime
    ahead: float = 0
    speed: float = 1

    def now(self) -> datetime:
        """See the port."""
        return self.since + timedelta(seconds=self.ahead) + self.speed * (datetime.now(UTC) - self.since)


class Provider(Struct, frozen=True):
    """A payment provider that takes up to so many seconds; with `freezes` the process freezes as soon as it charged."""

    seconds: float = 0
    freezes: bool = False


class Open(Struct, frozen=True, kw_only=True, tag=True):
    """Work on this database from now on. Answered with `Done`."""

    url: str
    together: int = MOST_TOGETHER
    freeze: Freeze | None = None
    pace: Pace | None = None
    provider: Provider = Provider()


class Prepare(Struct, frozen=True, tag=True):
    """Be ready to perform these. Answered with `Done`."""

    commands: list[AnyCommand]


class Go(Struct, frozen=True, tag=True):
    """Perform what was prepared, all at once. Answered with an `Outcome` for each, then `Done`."""


class Close(Struct, frozen=True, tag=True):
    """Let go of the database. Answered with `Done`."""


class Done(Struct, frozen=True, tag=True):
    """An order was carried out."""


class Frozen(Struct, frozen=True, tag=True):
    """The moment has come; nothing more will be heard of this process."""


class Outcome(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """What came of a command: what its caller is told.

    `code` is a booking's status, `changed`, `created`, `served`, `resumed`, `swept`, `attended`, `replayed`, a
    refusal's code, `try-again`, or `broken` for whatever must never happen. `answer` is what the key remembers, and
    `counts` how often a crowd was told what.
    """

    number: int
    code: str
    booking: UUID | None = None
    queue_number: int | None = None
    promoted: int | None = None
    version: int | None = None
    taken: int | None = None
    waiting: int | None = None
    user: UUID | None = None
    answer: str | None = None
    counts: dict[str, int] | None = None
    detail: str | None = None


Order = Open | Prepare | Go | Close
Report = Done | Frozen | Outcome

_orders: Final[msgspec.json.Decoder[Order]] = msgspec.json.Decoder(Order)
_encode: Final = msgspec.json.Encoder().encode


def freeze() -> None:
    """Stand still, for ever."""
    report(Frozen())
    os.kill(os.getpid(), signal.SIGSTOP)


def report(what: Report) -> None:
    """Out of this process at once, whatever becomes of it."""
    line = _encode(what) + b"\n"
    while line:
        line = line[os.write(sys.stdout.fileno(), line) :]


class WatchedStorage:
    """A storage that tells of its commits, and freezes the whole process where it was told to."""

    def __init__(self, storage: Storage, freeze: Freeze | None) -> None:
        self._storage = storage
        self._freeze = freeze
        self._commits = 0
        self.committed = asyncio.Event()

    @property
    def reads(self) -> Reads:
        return self._storage

    @property
    def statistics(self) -> Statistics:
        return self._storage.statistics

    @property
    def notification_queries(self) -> NotificationQueries:
        return self._storage.notification_queries

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        async with self._storage.begin() as unit_of_work:
            yield _WatchedUnitOfWork(unit_of_work, self)

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        return self._storage.snapshot()

    async def check_ready(self) -> None:
        await self._storage.check_ready()

    async def close(self) -> None:
        await self._storage.close()

    async def commit(self, unit_of_work: UnitOfWork) -> None:
        self._commits += 1
        self._freeze_at(Moment.BEFORE_COMMIT)
        await unit_of_work.commit()
        self._freeze_at(Moment.AFTER_COMMIT)
        self.committed.set()

    def _freeze_at(self, moment: Moment) -> None:
        if self._freeze == Freeze(moment, self._commits):
            freeze()


class _WatchedUnitOfWork:
    def __init__(self, unit_of_work: UnitOfWork, storage: WatchedStorage) -> None:
        self._unit_of_work = unit_of_work
        self._storage = storage
        self.inventories = unit_of_work.inventories
        self.users = unit_of_work.users
        self.leases = unit_of_work.leases
        self.webhooks = unit_of_work.webhooks
        self.mails = unit_of_work.mails
        self.limits = unit_of_work.limits

    async def commit(self) -> None:
        await self._storage.commit(self._unit_of_work)


class SlowGateway:
    """A payment provider on the far side of a network."""

    def __init__(self, gateway: PaymentGateway, provider: Provider) -> None:
        self._gateway = gateway
        self._provider = provider
        self._random = Random(1)

    async def charge(self, reference: UUID, amount: Money, token: str) -> bool:
        await self._take_time()
        try:
            return await self._gateway.charge(reference, amount, token)
        finally:
            if self._provider.freezes:
                freeze()
            await self._take_time()

    async def find_charge(self, reference: UUID) -> bool | None:
        return await self._gateway.find_charge(reference)

    async def refund(self, reference: UUID, charge_reference: UUID, amount: Money) -> bool:
        return await self._gateway.refund(reference, charge_reference, amount)

    async def close(self) -> None:
        await self._gateway.close()

    async def _take_time(self) -> None:
        if self._provider.seconds:
            await asyncio.sleep(self._provider.seconds / 2 * self._random.random())


class Worker:
    """The application on one database."""

    def __init__(self, container: Container, storage: WatchedStorage) -> None:
        self._container = container
        self._storage = storage
        self._gateway = container.payment_gateway()
        self.prepared: list[AnyCommand] = []

    @classmethod
    async def open(cls, order: Open) -> "Worker":
        container = make_container(Settings(database_url=order.url))
        storage = WatchedStorage(container.storage(), order.freeze)
        container.storage.override(Object(storage))
        container.payment_gateway.override(Object(SlowGateway(container.payment_gateway(), order.provider)))
        if order.pace:
            container.clock.override(Object(order.pace))
        container.turnstile.override(
            Singleton(
                Turnstile,
                container.storage,
                container.clock,
                container.ids,
                bounds=Bounds(most_together=order.together),
            )
        )
        container.password_hasher.override(Singleton(Argon2PasswordHasher, memory=8, passes=1))
        # Connections are opened before the signal: the race shall be among the commands.
        await storage.check_ready()
        async with storage.begin():
            pass
        return cls(container, storage)

    async def close(self) -> None:
        await self._container.turnstile().close()
        await self._storage.close()
        await self._gateway.close()

    async def go(self) -> None:
        await asyncio.gather(*(self._answer(number, command) for number, command in enumerate(self.prepared)))

    async def _answer(self, number: int, command: AnyCommand) -> None:
        try:
            outcome = await self._perform(number, command)
        except Refusal as refusal:
            named = refusal.members.get("bookingId")
            outcome = Outcome(number=number, code=refusal.code, booking=UUID(str(named)) if named else None)
        except Replayed as replayed:
            outcome = Outcome(number=number, code="replayed", answer=replayed.response.payload.decode())
        except Unavailable as failure:
            outcome = Outcome(number=number, code="try-again", detail=str(failure))
        except Exception as error:  # noqa: BLE001 - told to the test, which fails with it
            outcome = Outcome(number=number, code="broken", detail=f"{error!r} {error.__cause__!r}")
        report(outcome)

    async def _perform(self, number: int, command: AnyCommand) -> Outcome:
        match command:
            case BookIt() | CancelIt() | PayIt():
                return await self._serve(number, command)
            case SweepIt():
                await self._sweep_all()
                return Outcome(number=number, code="swept")
            case Attend():
                return Outcome(number=number, code="attended", counts=dict(await self._attend(command)))
            case _:
                return await self._look_after(number, command)

    async def _serve(self, number: int, command: BookIt | CancelIt | PayIt) -> Outcome:
        container = self._container
        match command:
            case BookIt():
                told = _Told()
                booking = await container.book_ticket()(
                    Book(
                        booking_id=command.booking,
                        event_id=command.event,
                        actor=Actor(command.customer),
                        quantity=command.quantity,
                        ticket_type_id=command.ticket_type,
                    ),
                    told.once(command.customer, command.key),
                )
                return Outcome(
                    number=number,
                    code=booking.status,
                    booking=booking.id,
                    queue_number=booking.queue_number,
                    answer=told.answer,
                )
            case CancelIt():
                told = _Told()
                once = told.once(command.actor, command.key)
                cancelled = await container.cancel_booking().by_id(command.booking, Actor(command.actor), once)
                return Outcome(
                    number=number,
                    code=cancelled.booking.status,
                    booking=cancelled.booking.id,
                    promoted=cancelled.promoted_count,
                    answer=told.answer,
                )
            case PayIt():
                told = _Told()
                paid = await self._pay(command, told.once(command.actor, command.key))
                return Outcome(number=number, code=paid.status, booking=paid.id, answer=told.answer)

    async def _look_after(self, number: int, command: EditIt | SignUp | ServeLine | Resume) -> Outcome:
        container = self._container
        match command:
            case EditIt():
                changes = msgspec.convert(command.changes, EventChanges)
                edit = Edit(event_id=command.event, actor=Actor(command.actor), changes=changes)
                return _changed(number, await container.change_event()(edit))
            case SignUp():
                user = await container.create_user()(
                    Registration(name="Ada", email=command.email, password="correct horse battery")
                )
                return Outcome(number=number, code="created", user=user.id)
            case ServeLine():
                promoted = await container.promote_from_waitlist()(command.event)
                return Outcome(number=number, code="served", promoted=promoted)
            case Resume():
                await container.resume_unsettled()()
                while await self._storage.event_queries.unsettled_events(None, 1):
                    await self._storage.committed.wait()
                    self._storage.committed.clear()
                return Outcome(number=number, code="resumed")

    async def _pay(self, command: PayIt, once: IdempotentRequest[Booking] | None = None) -> Booking:
        bill = Bill(
            booking_id=command.booking,
            actor=Actor(command.actor),
            method=PaymentMethod.CARD,
            token=command.token,
        )
        return await self._container.pay_booking()(bill, once)

    async def _sweep_all(self) -> None:
        reads, now = self._storage, self._container.clock().now
        async with asyncio.timeout(10):
            while await reads.event_queries.lapsing_events(now(), 1) or await reads.payment_queries.open_payments(
                now(), 1
            ):
                await self._container.sweep()()
                await asyncio.sleep(0.02)

    async def _attend(self, command: Attend) -> Counter[str]:
        told: Counter[str] = Counter()
        async with asyncio.timeout(30), asyncio.TaskGroup() as customers:
            for booking_id, habit in command.habits.items():
                if habit is Habit.LEAVE:
                    customers.create_task(self._act(booking_id, habit, told))
            seen: set[UUID] = set()
            reads = self._container.reads()
            while await reads.booking_queries.bookings_of_event(command.event, BookingStatus.WAITLISTED, None, 1) or (
                await reads.booking_queries.bookings_of_event(command.event, BookingStatus.HELD, None, 1)
            ):
                for held in await reads.booking_queries.bookings_of_event(
                    command.event, BookingStatus.HELD, None, 1_000
                ):
                    habit = command.habits.get(held.id, Habit.LAPSE)
                    if held.id not in seen and habit is not Habit.LAPSE:
                        customers.create_task(self._act(held.id, habit, told))
                    seen.add(held.id)
                await self._container.sweep()()
                await asyncio.sleep(0.03)
        return told

    async def _act(self, booking_id: UUID, habit: Habit, told: Counter[str]) -> None:
        found = await self._storage.booking_queries.booking(booking_id)
        assert found
        customer = found.booking.customer_id
        token = {Habit.DECLINED: "tok_decline", Habit.SILENT: "tok_timeout"}.get(habit, "tok_ok")

        async def tell(what: Awaitable[Any], word: str) -> None:
            try:
                await what
            except Refusal as refusal:
                word = f"{word}: {refusal.code}"
            except PaymentUnknown:
                word = f"{word}: unknown"
            told[word] += 1

        if habit not in (Habit.LEAVE, Habit.CANCEL):
            await tell(self._pay(PayIt(booking=booking_id, actor=customer, token=token)), "pay")
        if habit in (Habit.LEAVE, Habit.CANCEL, Habit.RETURN, Habit.SILENT):
            await tell(self._container.cancel_booking().by_id(booking_id, Actor(customer)), "cancel")


class _Told:
    """What a keyed request is answered, different each time it is put into words."""

    def __init__(self) -> None:
        self.answer: str | None = None

    def once(self, user_id: UUID, key: str | None) -> IdempotentRequest[Any] | None:
        return IdempotentRequest(key=Key(user_id, key), fingerprint=key.encode(), render=self._render) if key else None

    def _render(self, outcome: Any) -> Response:
        self.answer = f"{uuid7()} {outcome!r}"
        return Answer(status=409 if isinstance(outcome, Exception) else 200, body=self.answer.encode())


def _changed(number: int, state: EventState) -> Outcome:
    return Outcome(
        number=number,
        code="changed",
        version=state.event.version,
        taken=sum(each.taken for each in state.ticket_types),
        waiting=sum(each.waiting for each in state.ticket_types),
    )


async def work(next_line: Callable[[], bytes]) -> None:
    """Carry out orders until there are no more."""
    worker: Worker | None = None
    while line := await asyncio.to_thread(next_line):
        match _orders.decode(line):
            case Open() as order:
                worker = await Worker.open(order)
            case Prepare(commands) if worker:
                worker.prepared = commands
            case Go() if worker:
                await worker.go()
            case Close() if worker:
                await worker.close()
                worker = None
            case order:
                raise RuntimeError(f"nothing is open for {order}")
        report(Done())


if __name__ == "__main__":
    asyncio.run(work(sys.stdin.buffer.readline))
