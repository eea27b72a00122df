"""A process of its own that works on a database as the service does, ordered about line by line.

It reads orders from its input and writes reports to its output, each a line of JSON. Every outcome is reported at the
moment at which a client would have its answer, so a test that kills the process knows what it had acknowledged.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec
from dependency_injector.providers import Object, Singleton
from msgspec import Struct
from uuid_utils.compat import uuid7

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.application.bookings.give_back_tickets import TicketsToReturn
from boxoffice.application.bookings.pay_booking import Bill
from boxoffice.application.ports.errors import Unavailable
from boxoffice.application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from boxoffice.application.ports.payments import ChargeReply, PaymentGateway
from boxoffice.application.ports.storage import Storage, UnitOfWork
from boxoffice.application.turnstile.command_queue import MOST_TOGETHER, Bounds
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book
from boxoffice.domain.decisions.organize import Edit, EventChanges
from boxoffice.domain.payment import PaymentMethod
from boxoffice.domain.refusals import Refusal
from boxoffice.domain.tickets.ticket_type import EventState
from boxoffice.domain.user import Actor
from boxoffice.domain.values.money import Money
from boxoffice.entrypoints.container import Container, make_container
from boxoffice.entrypoints.harness.machine.container.troubled import InterceptedStorage
from boxoffice.entrypoints.settings import Settings


class Command(Struct, frozen=True, kw_only=True, tag=True):
    """Something to be done."""


class BookIt(Command, frozen=True, kw_only=True):
    """A customer books."""

    booking: UUID
    event: UUID
    customer: UUID
    quantity: int = 1
    ticket_type: UUID | None = None
    key: str | None = None


class CancelIt(Command, frozen=True, kw_only=True):
    """A booking is cancelled."""

    booking: UUID
    actor: UUID
    key: str | None = None


class GiveBackIt(Command, frozen=True, kw_only=True):
    """A part of a booking is given back: these tickets of it, or those with the highest numbers."""

    booking: UUID
    actor: UUID
    quantity: int = 1
    tickets: list[UUID] | None = None
    key: str | None = None


class PayIt(Command, frozen=True, kw_only=True):
    """A customer pays by card."""

    booking: UUID
    actor: UUID
    token: str = "tok_ok"
    key: str | None = None


class SweepIt(Command, frozen=True, kw_only=True):
    """The background work runs round by round, until nothing is due."""


class EditIt(Command, frozen=True, kw_only=True):
    """The organizer changes the event."""

    event: UUID
    actor: UUID
    changes: dict[str, Any]


AnyCommand = BookIt | CancelIt | GiveBackIt | PayIt | SweepIt | EditIt


class Moment(StrEnum):
    """Where in a transaction a process may freeze."""

    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"


class Freeze(Struct, frozen=True):
    """Freeze the process, for ever, at this moment of its nth transaction that comes to a commit."""

    moment: Moment
    transaction: int


class ClockAhead(Struct, frozen=True):
    """A clock that is so many seconds ahead."""

    seconds: float

    def now(self) -> datetime:
        """See the port."""
        return datetime.now(UTC) + timedelta(seconds=self.seconds)


class Open(Struct, frozen=True, kw_only=True, tag=True):
    """Work on this database from now on. Answered with `Done`."""

    url: str
    together: int = MOST_TOGETHER
    freeze: Freeze | None = None
    freezes_at_charge: bool = False
    seconds_ahead: float = 0


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
    """What a command's caller is answered.

    `code` is a booking's status, `changed`, `swept`, `replayed`, a refusal's code, `try-again`, or `broken` for what
    must never happen. `answer` is what the key remembers.
    """

    number: int
    code: str
    booking: UUID | None = None
    queue_number: int | None = None
    promoted: int | None = None
    quantity: int | None = None
    version: int | None = None
    taken: int | None = None
    waiting: int | None = None
    answer: str | None = None
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


class WatchedStorage(InterceptedStorage):
    """A storage that freezes the whole process at a commit."""

    def __init__(self, storage: Storage, freeze: Freeze | None) -> None:
        super().__init__(storage)
        self._freeze = freeze
        self._commits = 0

    async def commit(self, unit_of_work: UnitOfWork) -> None:
        self._commits += 1
        self._freeze_at(Moment.BEFORE_COMMIT)
        await super().commit(unit_of_work)
        self._freeze_at(Moment.AFTER_COMMIT)

    def _freeze_at(self, moment: Moment) -> None:
        if self._freeze == Freeze(moment, self._commits):
            freeze()


class FreezingGateway:
    """A payment provider that freezes the process as soon as it charged."""

    def __init__(self, gateway: PaymentGateway) -> None:
        self._gateway = gateway
        self.objection = gateway.objection
        self.find_charge = gateway.find_charge
        self.cancel_charge = gateway.cancel_charge
        self.reference_of = gateway.reference_of
        self.refund = gateway.refund
        self.close = gateway.close

    async def charge(self, reference: UUID, amount: Money, token: str) -> ChargeReply:
        reply = await self._gateway.charge(reference, amount, token)
        freeze()
        return reply


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
        if order.freezes_at_charge:
            container.payment_gateway.override(Object(FreezingGateway(container.payment_gateway())))
        if order.seconds_ahead:
            container.clock.override(Object(ClockAhead(order.seconds_ahead)))
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
        # Connections are opened before the signal, so that the race is among the commands.
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
            named = refusal.members.get("booking_id")
            outcome = Outcome(number=number, code=refusal.code, booking=UUID(str(named)) if named else None)
        except Replayed as replayed:
            outcome = Outcome(number=number, code="replayed", answer=replayed.response.payload.decode())
        except Unavailable as failure:
            outcome = Outcome(number=number, code="try-again", detail=str(failure))
        except Exception as error:  # noqa: BLE001 - reported to the test, which fails with it
            outcome = Outcome(number=number, code="broken", detail=f"{error!r} {error.__cause__!r}")
        report(outcome)

    async def _perform(self, number: int, command: AnyCommand) -> Outcome:
        match command:
            case BookIt() | CancelIt() | GiveBackIt() | PayIt():
                return await self._serve(number, command)
            case EditIt():
                edit = Edit(
                    event_id=command.event,
                    actor=Actor(command.actor),
                    changes=msgspec.convert(command.changes, EventChanges),
                )
                return _changed(number, await self._container.change_event()(edit))
            case SweepIt():
                await self._sweep_all()
                return Outcome(number=number, code="swept")

    async def _serve(self, number: int, command: BookIt | CancelIt | GiveBackIt | PayIt) -> Outcome:
        remembered = _Remembered()
        promoted: int | None = None
        match command:
            case BookIt():
                booking = await self._container.book_ticket()(
                    Book(
                        booking_id=command.booking,
                        event_id=command.event,
                        actor=Actor(command.customer),
                        quantity=command.quantity,
                        ticket_type_id=command.ticket_type,
                    ),
                    remembered.once(command.customer, command.key),
                )
            case CancelIt():
                once = remembered.once(command.actor, command.key)
                cancel = self._container.cancel_booking()
                cancelled = await cancel.by_id(command.booking, Actor(command.actor), once)
                booking, promoted = cancelled.booking, cancelled.promoted_count
            case GiveBackIt():
                part = TicketsToReturn(command.booking, command.quantity, command.tickets)
                once = remembered.once(command.actor, command.key)
                smaller = await self._container.give_back_tickets()(part, Actor(command.actor), once)
                booking, promoted = smaller.booking, smaller.promoted_count
            case _:
                booking = await self._pay(command, remembered.once(command.actor, command.key))
        return Outcome(
            number=number,
            code=booking.status,
            booking=booking.id,
            queue_number=booking.queue_number,
            promoted=promoted,
            quantity=booking.quantity,
            answer=remembered.answer,
        )

    async def _pay(self, command: PayIt, once: IdempotentRequest[Booking] | None = None) -> Booking:
        actor = Actor(command.actor)
        bill = Bill(booking_id=command.booking, actor=actor, method=PaymentMethod.CARD, token=command.token)
        return await self._container.pay_booking()(bill, once)

    async def _sweep_all(self) -> None:
        storage, now = self._storage, self._container.clock().now
        async with asyncio.timeout(10):
            while await storage.event_queries.lapsing_events(now(), 1) or (
                await storage.payment_queries.open_payments(now(), 1)
            ):
                await self._container.sweep()()
                await asyncio.sleep(0.02)


class _Remembered:
    """What a keyed request is answered, different each time it is put into words."""

    def __init__(self) -> None:
        self.answer: str | None = None

    def once(self, user_id: UUID, key: str | None) -> IdempotentRequest[Any] | None:
        return IdempotentRequest(key=Key(user_id, key), fingerprint=key.encode(), render=self._render) if key else None

    def _render(self, outcome: Any) -> Response:
        self.answer = f"{uuid7()} {outcome!r}"
        return Response(self.answer.encode())


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
