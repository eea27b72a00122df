"""A process of its own that works on a database as the service does, told what to do line by line.

It reads orders from its input and writes reports to its output, each a line of JSON. Every outcome is reported at the
moment at which a client would have its answer, so that whoever kills the process knows what it had acknowledged.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec
from dependency_injector.providers import Object, Singleton
from msgspec import Struct

from boxoffice.adapters.security import Argon2PasswordHasher
from boxoffice.application.create_user import Registration
from boxoffice.application.failures import Unavailable
from boxoffice.application.ports import Reads, Snapshot, Storage, UnitOfWork
from boxoffice.application.turnstile import MOST_TOGETHER, Turnstile
from boxoffice.domain.book import Book
from boxoffice.domain.event import EventChanges, EventState
from boxoffice.domain.organize import Edit
from boxoffice.domain.refusals import Refusal
from boxoffice.domain.user import Actor
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


class CancelIt(Command, frozen=True, kw_only=True):
    """Somebody cancels a booking."""

    booking: UUID
    actor: UUID


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


AnyCommand = BookIt | CancelIt | EditIt | SignUp | ServeLine | Resume


class Moment(StrEnum):
    """Where in a transaction a process may freeze."""

    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"


class Freeze(Struct, frozen=True):
    """Freeze the process, for ever, at this moment of its nth transaction that comes to a commit."""

    moment: Moment
    transaction: int


class Open(Struct, frozen=True, kw_only=True, tag=True):
    """Work on this database from now on. Answered with `Done`."""

    url: str
    together: int = MOST_TOGETHER
    freeze: Freeze | None = None


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

    `code` is a booking's status, `changed`, `created`, `served`, `resumed`, a refusal's code, `try-again`, or `broken`
    for whatever must never happen.
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
    detail: str | None = None


Order = Open | Prepare | Go | Close
Report = Done | Frozen | Outcome

_orders: Final[msgspec.json.Decoder[Order]] = msgspec.json.Decoder(Order)
_encode: Final = msgspec.json.Encoder().encode


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
        return self._storage.reads

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
            report(Frozen())
            os.kill(os.getpid(), signal.SIGSTOP)


class _WatchedUnitOfWork:
    def __init__(self, unit_of_work: UnitOfWork, storage: WatchedStorage) -> None:
        self._unit_of_work = unit_of_work
        self._storage = storage
        self.inventories = unit_of_work.inventories
        self.users = unit_of_work.users

    async def commit(self) -> None:
        await self._storage.commit(self._unit_of_work)


class Worker:
    """The application on one database."""

    def __init__(self, container: Container, storage: WatchedStorage) -> None:
        self._container = container
        self._storage = storage
        self.prepared: list[AnyCommand] = []

    @classmethod
    async def open(cls, order: Open) -> "Worker":
        container = make_container(Settings(database_url=order.url))
        storage = WatchedStorage(container.storage(), order.freeze)
        container.storage.override(Object(storage))
        container.turnstile.override(
            Singleton(Turnstile, container.storage, container.clock, container.ids, most_together=order.together)
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

    async def go(self) -> None:
        await asyncio.gather(*(self._answer(number, command) for number, command in enumerate(self.prepared)))

    async def _answer(self, number: int, command: AnyCommand) -> None:
        try:
            outcome = await self._perform(number, command)
        except Refusal as refusal:
            named = refusal.members.get("bookingId")
            outcome = Outcome(number=number, code=refusal.code, booking=UUID(str(named)) if named else None)
        except Unavailable as failure:
            outcome = Outcome(number=number, code="try-again", detail=str(failure))
        except Exception as error:  # noqa: BLE001 - told to the test, which fails with it
            outcome = Outcome(number=number, code="broken", detail=f"{error!r} {error.__cause__!r}")
        report(outcome)

    async def _perform(self, number: int, command: AnyCommand) -> Outcome:
        container = self._container
        match command:
            case BookIt():
                booking = await container.book_ticket()(
                    Book(
                        booking_id=command.booking,
                        event_id=command.event,
                        actor=Actor(command.customer),
                        quantity=command.quantity,
                        ticket_type_id=command.ticket_type,
                    )
                )
                return Outcome(
                    number=number, code=booking.status, booking=booking.id, queue_number=booking.queue_number
                )
            case CancelIt():
                cancelled = await container.cancel_booking().by_id(command.booking, Actor(command.actor))
                return Outcome(
                    number=number,
                    code=cancelled.booking.status,
                    booking=cancelled.booking.id,
                    promoted=cancelled.promoted_count,
                )
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
                while await self._storage.reads.unsettled_events(None, 1):
                    await self._storage.committed.wait()
                    self._storage.committed.clear()
                return Outcome(number=number, code="resumed")


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
