"""Drive a storage with the domain's own decisions, each in a unit of work of its own."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from typing import Any, TypeVar
from uuid import UUID

from msgspec.structs import replace
from uuid_utils.compat import uuid7

from boxoffice.application.bookings.review_account import ReviewAccount
from boxoffice.application.operators.disable_user import DisableUser
from boxoffice.application.ports.loading import LoadSpec
from boxoffice.application.ports.queries import Account
from boxoffice.application.ports.security import AccountKey, RefreshDigests
from boxoffice.application.ports.storage import Storage, UnitOfWork
from boxoffice.application.ports.system import Clock
from boxoffice.application.retrying_transaction import in_transaction
from boxoffice.application.turnstile.load_plan import load_plan, step_load_plan
from boxoffice.application.turnstile.turnstile import Turnstile
from boxoffice.domain.booking import Booking
from boxoffice.domain.decisions.book import Book, book
from boxoffice.domain.decisions.cancel import Cancel, cancel
from boxoffice.domain.decisions.organize import Edit, EventChanges, Initialize, edit, general_admission, initialize
from boxoffice.domain.decisions.payments.pay import (
    Answer,
    Attempt,
    CompletePayment,
    Pay,
    complete_payment,
    start_payment,
)
from boxoffice.domain.decisions.settle import Settle, settle
from boxoffice.domain.event import EventDetails
from boxoffice.domain.inventory import Decision, Inventory
from boxoffice.domain.payment import Payment, PaymentMethod
from boxoffice.domain.tickets.ticket_type import EventState, TicketTypeSpec
from boxoffice.domain.user import Actor, Organizers, Role, Session, User
from boxoffice.domain.values.money import Money

NOW = datetime(2030, 5, 1, 19, 30, 15, 123_456, tzinfo=UTC)
STARTS_AT = NOW + timedelta(days=30, microseconds=1)
ORGANIZER = Actor(uuid7())
Outcome = TypeVar("Outcome")


def new_id() -> UUID:
    """A new id, greater than those before it."""
    return uuid7()


EMAIL = "ada@example.org"
"""The address of the accounts here, unless they have another one."""


def new_user(email: str = EMAIL) -> User:
    """An account that is not stored yet."""
    return User(
        id=new_id(),
        name="Ada 🎟 Lovelace",
        email=email,
        password_hash="$argon2id$é",
        role=Role.ORGANIZER,
        created_at=NOW,
    )


def new_session(user: User, *, lasts: timedelta = timedelta(minutes=15)) -> Session:
    """A session that is not stored yet."""
    return Session(id=new_id(), user_id=user.id, created_at=NOW, expires_at=NOW + lasts)


def new_digests() -> RefreshDigests:
    """The stored digests of a refresh token that was never issued."""
    return RefreshDigests(family=token_bytes(32), token=token_bytes(32))


class StorageDriver:
    """Run commands on a storage."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    async def initialize(self, *totals: int, event_id: UUID | None = None, **details: Any) -> EventState:
        """An event on sale; with several totals it has several ticket types."""
        status = {"status": details.pop("status")} if "status" in details else {}
        price: Money | None = details.pop("price", None)
        specs = [
            TicketTypeSpec(name=f"Kind {number}", total_tickets=total, price=price)
            for number, total in enumerate(totals)
        ]
        if len(specs) == 1:
            specs = [general_admission(totals[0], price)]
        commitment = details.pop("draw_commitment", None)
        command = Initialize(
            event_id=event_id or new_id(),
            actor=details.pop("actor", ORGANIZER),
            details=EventDetails(**{"name": "Jazz night", **details}),
            ticket_types=tuple((new_id(), spec) for spec in specs),
            currency="EUR",
            draw_commitment=commitment,
            **status,
        )
        return await self.record(initialize(command, Organizers.EVERYONE, NOW))

    async def initialize_priced(self, *totals: int, **details: Any) -> EventState:
        """Initialize an event whose tickets cost 25 euros and are held for 15 minutes."""
        return await self.initialize(*totals, **{"price": Money(2_500, "EUR"), "payment_window_minutes": 15, **details})

    async def do(self, work: Callable[[UnitOfWork], Awaitable[Outcome]]) -> Outcome:
        """Run this in a transaction of its own and commit it; again where the database undid it."""
        return await in_transaction(self.storage, work)

    async def record(self, decision: Decision[Outcome]) -> Outcome:
        """Save a decision that needs no lock."""
        async with self.storage.begin() as unit_of_work:
            await unit_of_work.events.save([decision], new_id())
            await unit_of_work.commit()
        return decision.outcome

    async def decide(
        self,
        needs: LoadSpec,
        decide: Callable[[Inventory], Decision[Outcome]],
        *,
        batch_id: UUID | None = None,
        commits: bool = True,
        now: datetime = NOW,
    ) -> Outcome:
        """Decide under the lock."""
        async with self.storage.begin() as unit_of_work:
            outcome = await take(unit_of_work, needs, decide, batch_id=batch_id, now=now)
            if commits:
                await unit_of_work.commit()
        return outcome

    async def book(
        self,
        state: EventState,
        *,
        customer_id: UUID | None = None,
        quantity: int = 1,
        kind: int = 0,
        now: datetime = NOW,
        batch_id: UUID | None = None,
        commits: bool = True,
    ) -> Booking:
        """Book for a new customer, or for this one."""
        command = booking_command(state, customer_id=customer_id, quantity=quantity, kind=kind)
        needs = LoadSpec(event_id=state.event.id, customer_id=command.actor.user_id)
        return await self.decide(
            needs, lambda inventory: book(inventory, command, now), batch_id=batch_id, commits=commits
        )

    async def book_many(self, state: EventState, quantities: Iterable[int], *, kind: int = 0) -> list[Booking]:
        """Bookings by new customers, in one transaction."""
        async with self.storage.begin() as unit_of_work:
            inventory = (await unit_of_work.events.lock([LoadSpec(event_id=state.event.id)]))[state.event.id]
            decisions = []
            for quantity in quantities:
                decision = book(inventory, booking_command(state, quantity=quantity, kind=kind), NOW)
                decisions.append(decision)
                inventory = decision.inventory
            await unit_of_work.events.save(decisions, new_id())
            await unit_of_work.commit()
        return [decision.outcome for decision in decisions]

    async def cancel(self, booking: Booking, *, now: datetime = NOW, batch_id: UUID | None = None) -> Booking:
        """Cancel a booking for its customer, and promote into the freed tickets."""
        needs = LoadSpec(event_id=booking.event_id, booking_id=booking.id, settles=True)
        command = Cancel(event_id=booking.event_id, actor=Actor(booking.customer_id), booking_id=booking.id)
        decision = await self.decide(
            needs, lambda inventory: cancel(inventory, command, now), batch_id=batch_id, now=now
        )
        return decision.booking

    async def start_payment(
        self,
        booking: Booking,
        *,
        method: PaymentMethod = PaymentMethod.CARD,
        key: str | None = None,
        now: datetime = NOW,
        commits: bool = True,
    ) -> Attempt:
        """Begin a charge, or take cash as the organizer."""
        command = payment_command(booking, method=method, key=key)
        needs = LoadSpec(event_id=booking.event_id, booking_id=booking.id, payments=True)
        return await self.decide(
            needs, lambda inventory: start_payment(inventory, command, now), now=now, commits=commits
        )

    async def complete_payment(
        self, payment: Payment, answer: Answer = Answer.DONE, *, now: datetime = NOW, provider_id: str | None = None
    ) -> Attempt:
        """Record the provider's answer."""
        command = replace(settling_command(payment, answer), provider_id=provider_id)
        needs = LoadSpec(event_id=payment.event_id, booking_id=payment.booking_id, payments=True)
        return await self.decide(needs, lambda inventory: complete_payment(inventory, command, now), now=now)

    async def pay(self, booking: Booking, *, now: datetime = NOW) -> Booking:
        """Pay a booking by card."""
        started = await self.start_payment(booking, now=now)
        return (await self.complete_payment(started.payment, now=now)).booking

    async def settle(self, state: EventState, *, now: datetime) -> None:
        """End lapsed holds and serve the waiting list."""
        needs = LoadSpec(event_id=state.event.id, settles=True)
        await self.decide(needs, lambda inventory: settle(inventory, Settle(state.event.id), now), now=now)

    async def edit(self, state: EventState, **changes: Any) -> EventState:
        """Change an event as its organizer."""
        command = Edit(event_id=state.event.id, actor=ORGANIZER, changes=EventChanges(**changes))
        needs = LoadSpec(event_id=state.event.id, settles=True, sizes=True)
        return await self.decide(needs, lambda inventory: edit(inventory, command, NOW))

    async def read(self, state: EventState) -> EventState:
        """Return the event as it is committed."""
        return (await self.storage.event_queries.events_by_id([state.event.id]))[state.event.id]

    async def stored(self, booking: Booking) -> Booking:
        """Return the booking as it is committed."""
        found = await self.storage.booking_queries.booking(booking.id)
        assert found is not None
        return found.booking

    async def account(self, user_id: UUID, session_id: UUID | None) -> Account | None:
        """Return a user with that session."""
        key = AccountKey(user_id, session_id)
        return (await self.storage.account_queries.accounts([key])).get(key)


class NewIds:
    """Ids as everywhere."""

    new = staticmethod(new_id)


def disable_user(storage: Storage, clock: Clock) -> DisableUser:
    """Return the use case on a turnstile of its own."""
    review = ReviewAccount(Turnstile(storage, clock, NewIds()), storage.account_queries, storage.booking_queries)
    return DisableUser(storage, clock, review)


async def take(
    unit_of_work: UnitOfWork,
    needs: LoadSpec,
    decide: Callable[[Inventory], Decision[Outcome]],
    *,
    batch_id: UUID | None = None,
    now: datetime = NOW,
) -> Outcome:
    """Lock, load what is needed, decide and save."""
    inventories = unit_of_work.events
    inventory = (await inventories.lock([needs]))[needs.event_id]
    if needs.settles:
        freed = {each.id: each.taken + each.waiting_tickets for each in inventory.ticket_types}
        wanted = replace(load_plan(inventory, freed, now), overlong=step_load_plan(inventory, now).overlong)
        inventory = replace(inventory, waiting_lists=await inventories.waiting_lists(wanted.waiting_lists))
        if wanted.holds:
            inventory = replace(inventory, due=(await inventories.expired_holds([wanted.holds]))[needs.event_id])
        if wanted.overlong:
            overlong = await inventories.overlong_holds([wanted.overlong])
            inventory = replace(inventory, overlong=overlong[needs.event_id])
    if needs.sizes:
        sizes = await inventories.waiting_sizes([needs.event_id])
        inventory = replace(inventory, waiting_sizes=sizes.get(needs.event_id, {}))
    decision = decide(inventory)
    await inventories.save([decision], batch_id or new_id())
    return decision.outcome


def booking_command(state: EventState, *, customer_id: UUID | None = None, quantity: int = 1, kind: int = 0) -> Book:
    """A command by a new customer, or by this one."""
    return Book(
        booking_id=new_id(),
        event_id=state.event.id,
        actor=Actor(customer_id or new_id()),
        quantity=quantity,
        ticket_type_id=state.ticket_types[kind].id,
    )


def payment_command(booking: Booking, *, method: PaymentMethod = PaymentMethod.CARD, key: str | None = None) -> Pay:
    """A charge by the customer, or cash into the organizer's hand."""
    return Pay(
        payment_id=new_id(),
        booking_id=booking.id,
        event_id=booking.event_id,
        actor=ORGANIZER if method is PaymentMethod.CASH else Actor(booking.customer_id),
        method=method,
        key=key,
    )


def settling_command(payment: Payment, answer: Answer = Answer.DONE) -> CompletePayment:
    """The provider's answer."""
    return CompletePayment(
        payment_id=payment.id,
        event_id=payment.event_id,
        booking_id=payment.booking_id,
        customer_id=new_id(),
        answer=answer,
        seen=payment.tried_at,
    )
