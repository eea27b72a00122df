"""An application in this process, whose use cases are called directly."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from dependency_injector.providers import Object
from msgspec.structs import replace

from ....application.api_keys.create_api_key import NewApiKey
from ....application.bookings.attendees import Attendee
from ....application.bookings.book_for_other import BookingForOther
from ....application.bookings.cancel_booking import Cancellation
from ....application.bookings.give_back_tickets import TicketsToReturn
from ....application.bookings.pay_booking import Bill, PaymentUnknown
from ....application.door.record_check_ins import CodeScan
from ....application.pages import Page
from ....application.payments.grant_refund import Grant
from ....application.payments.settle_refund import Settlement
from ....application.ports.accounts.staff import Colleague
from ....application.ports.idempotency import IdempotentRequest, Key, Replayed, Response
from ....application.ports.security import AccountKey
from ....application.ports.system import Clock
from ....application.staff.appoint_member import NewMember
from ....application.tickets.list_tickets import ShownTicket
from ....application.tickets.name_ticket import TicketChanges
from ....domain.booking import Booking
from ....domain.decisions.book import Book
from ....domain.decisions.cancel import Cancel
from ....domain.decisions.organize import AddTicketType, Initialize
from ....domain.facts import Fact
from ....domain.refusals import Refusal
from ....domain.tickets.ticket import number_of, ticket_id
from ....domain.user import Actor, Role, User
from ...container import Container
from .box_office import (
    DISMISSED,
    HOLDERS,
    BookingLook,
    BookingSeen,
    DoorLook,
    EventLook,
    Order,
    Outcome,
    Replay,
    ScanSeen,
    ScanSent,
    TicketSeen,
    UndoneSeen,
    address_of,
    has_account,
    user_of,
)
from .commands import Appoint, ChangeDuty, Dismiss, GiveBack
from .container.container_box_office import ContainerBoxOffice
from .rendering import seen_of
from .strategies import ADMIN

PAGE: Final = 2
"""Items of a page: few, so that paging is tested too."""

ATTENDEES: Final = 5
"""Attendees of a page, so that some pages end within a booking."""

_REFUSED: Final = b"!"
"""Precedes the code of a refusal in a payload."""


class HarnessIds:
    """Sequential ids, so that a run can be repeated."""

    def __init__(self, first: int) -> None:
        self._next = first

    def new(self) -> UUID:
        """Return the next number as a UUID of version 7."""
        number = self._next
        self._next += 1
        return UUID(int=(number << 80) | (0x7 << 76) | (0x2 << 62) | number)


class InProcess(ContainerBoxOffice):
    """A `BoxOffice` that calls the use cases and queries of a container, whose ids are overridden here."""

    def __init__(self, container: Container, clock: Clock) -> None:
        # Beyond the ids in the machine's commands.
        container.ids.override(Object(HarnessIds(1_000_000)))
        super().__init__(container, clock)
        container.prove_password.override(Object(self._prove))
        self._accounts: set[UUID] = set()

    async def erase(self, user_id: UUID) -> str | None:
        """See `BoxOffice`."""
        await self.add_account(user_id)
        try:
            await self._container.erase_account()(Actor(user_id), "any password")
        except Refusal as refusal:
            return refusal.code
        return None

    async def _prove(self, user_id: UUID, _: str, __: object) -> User:
        """Return the account: its user is known here without a password."""
        key = AccountKey(user_id)
        return (await self._storage.account_queries.accounts([key]))[key].user

    async def give(self, orders: Sequence[Order]) -> list[Outcome]:
        """See `BoxOffice`. The turnstile decides the commands in their order."""
        # Beforehand, because reads that overtake each other would change the order.
        known = [await self._on_duty(order) for order in orders]
        return list(await asyncio.gather(*(self._outcome(order) for order in known)))

    async def _on_duty(self, order: Order) -> Order:
        """Return the order with the duties of its actor, where the use case does not read them itself."""
        command = order.command
        if not isinstance(command, Cancel) or command.booking_id is None:
            return order
        owner = await self._container.booking_queries().owner_of(command.booking_id)
        assert owner is not None
        actor = await self._container.duties().for_booking(command.actor, owner)
        return replace(order, command=replace(command, actor=actor))

    async def _outcome(self, order: Order) -> Outcome:
        try:
            result = await self._do(order)
            self._meet(order, result)
            answer: Outcome = self._result(result)
        except Refusal as refusal:
            return refusal.code
        except PaymentUnknown:
            return "payment-unknown"
        except Replayed as replayed:
            payload = replayed.response.payload
            is_refusal = payload.startswith(_REFUSED)
            return Replay(payload.removeprefix(_REFUSED).decode() if is_refusal else order.read(payload))
        return answer

    async def _do(self, order: Order) -> Any:
        command: Any = order.command
        idempotent: IdempotentRequest[Any] | None = None
        if order.key is not None:
            # A key is used for one command only, so the fingerprint may be empty.
            idempotent = IdempotentRequest(
                key=Key(command.actor.user_id, order.key),
                fingerprint=b"",
                render=lambda result: self._render(order, result),
            )
        self._add_ids(command.actor.user_id)
        command = replace(command, actor=await self._acting(command.actor, order.api_key))
        match command:
            case Initialize():
                self._add_ids(command.event_id, *(id_ for id_, _ in command.ticket_types))
            case Book():
                self._add_ids(command.booking_id)
            case BookingForOther():
                self._add_ids(command.booking_id)
                await self.add_account(user_of(command.person.email))
            case AddTicketType():
                self._add_ids(command.ticket_type_id)
            case Settlement():
                command = replace(command, payment_id=self._names.id_of(command.payment_id))
            case Appoint() | Dismiss():
                return await self._change_staff(command)
            case GiveBack():
                return await self._give_back(command, idempotent)
        return await self._use_case(command)(command, idempotent)

    async def _give_back(self, command: GiveBack, idempotent: IdempotentRequest[Any] | None) -> Cancellation:
        numbers = command.numbers
        tickets = None if numbers is None else [ticket_id(command.booking_id, number) for number in numbers]
        part = TicketsToReturn(command.booking_id, command.quantity, tickets)
        return await self._container.give_back_tickets()(part, command.actor, idempotent)

    async def _change_staff(self, command: Appoint | Dismiss) -> Colleague | str:
        container, ids = self._container, (command.event_id, command.user_id)
        self._add_ids(command.user_id)
        match command:
            case ChangeDuty():
                return await container.change_member()(*ids, command.role, command.actor)
            case Appoint():
                await self.add_account(command.user_id)
                email, role = address_of(command.user_id), command.role
                return await container.appoint_member()(
                    NewMember(event_id=command.event_id, actor=command.actor, email=email, role=role)
                )
            case _:
                await container.dismiss_member()(*ids, command.actor)
                return DISMISSED

    async def _acting(self, actor: Actor, api_key: UUID | None) -> Actor:
        """Return the actor, within the bounds of an API key if there is one. Raises: InvalidToken."""
        if api_key is None:
            return actor
        caller = await self._container.authenticate()(self._key_texts[api_key])
        return replace(caller.actor, duties=actor.duties)

    async def make_api_key(self, key_id: UUID, command: NewApiKey) -> str | None:
        """See `BoxOffice`."""
        await self.add_account(command.actor.user_id)
        try:
            created = await self._container.create_api_key()(command)
        except Refusal as refusal:
            return refusal.code
        self._names.give(key_id, created.key.id)
        self._key_texts[key_id] = self._container.api_key_texts().opened(created.sealed) or ""
        return None

    async def revoke_api_key(self, key_id: UUID, actor: Actor) -> str | None:
        """See `BoxOffice`."""
        try:
            await self._container.revoke_api_key()(self._names.id_of(key_id), actor)
        except Refusal as refusal:
            return refusal.code
        return None

    def _use_case(self, command: Any) -> Callable[..., Awaitable[Any]]:
        container = self._container
        use_cases: dict[type[Any], Callable[[], Callable[..., Awaitable[Any]]]] = {
            Initialize: container.initialize_event,
            Book: container.book_ticket,
            BookingForOther: container.book_for_other,
            Cancel: container.cancel_booking,
            Bill: container.pay_booking,
            Grant: container.grant_refund,
            Settlement: container.settle_refund,
        }
        return use_cases.get(type(command), container.change_event)()

    def _add_ids(self, *ids: UUID) -> None:
        """Map the machine's ids to themselves, because the application uses them."""
        for id_ in ids:
            self._names.give(id_, id_)

    async def add_account(self, user_id: UUID) -> None:
        """See the base. Only of a user who has one from the beginning."""
        if user_id in self._accounts or not has_account(user_id):
            return
        self._accounts.add(user_id)
        self._add_ids(user_id)
        user = User(
            id=user_id,
            name="A user",
            email=address_of(user_id),
            password_hash=None,
            role=Role.ADMIN if user_id == ADMIN else Role.CUSTOMER,
            created_at=self._clock.now(),
        )
        # Not through the storage that fails on demand, because trouble is for the machine's commands.
        async with self._storage.untroubled() as unit_of_work:
            await unit_of_work.users.add(user)
            await unit_of_work.commit()

    def _meet(self, order: Order, result: Any) -> None:
        """Learn the id of an account that a booking may have made."""
        if isinstance(order.command, BookingForOther) and isinstance(result, Booking):
            self._names.meet(user_of(order.command.person.email), result.customer_id)

    def _render(self, order: Order, result: Any) -> Response:
        if isinstance(result, Refusal):
            return Response(_REFUSED + result.code.encode())
        self._meet(order, result)
        booking = result.booking if isinstance(result, Cancellation) else result
        return Response(msgspec.json.encode(self._result(result)), booking.id)

    async def event(self, event_id: UUID, actor: Actor, *, api_key: UUID | None = None) -> EventLook | str:
        """See `BoxOffice`."""
        container = self._container
        after = self._last_seqs.get(event_id, 0)
        changes: list[Fact] = []
        try:
            actor = await self._acting(actor, api_key)
            state = await container.read_event()(event_id, actor)
            bookings = await _all(
                lambda before: container.list_event_bookings()(event_id, actor, before=before, limit=PAGE)
            )
            waiting_list = await _all(
                lambda place: container.read_waiting_list()(event_id, actor, after=place, limit=PAGE)
            )
            attendees = await self._attendees(event_id, actor)
            while facts := await container.read_changes()(event_id, actor, after=after, limit=PAGE):
                changes += facts
                after = facts[-1].seq
        except Refusal as refusal:
            return refusal.code
        self._last_seqs[event_id] = after
        return EventLook(
            event=self._result(state),
            bookings=[self._result(each) for each in bookings],
            waiting_list=[self._result(each) for each in waiting_list],
            attendees=[self._result(each) for each in attendees],
            changes=[self._result(each) for each in changes],
        )

    async def _attendees(self, event_id: UUID, actor: Actor) -> list[Attendee]:
        found: list[Attendee] = []
        after: int | None = 0
        while after is not None:
            page = await self._container.list_attendees()(event_id, actor, after=after, limit=ATTENDEES)
            found += page.attendees
            after = page.next
        return found

    async def booking(self, booking_id: UUID, actor: Actor, *, api_key: UUID | None = None) -> BookingLook | str:
        """See `BoxOffice`."""
        try:
            actor = await self._acting(actor, api_key)
            booking = await self._container.read_booking()(booking_id, actor)
            payments = await self._container.list_payments()(booking_id, actor)
            explanation = await self._container.explain_booking()(booking_id, actor)
        except Refusal as refusal:
            return refusal.code
        seen = [self._result(each) for each in payments]
        return BookingLook(booking=self._result(booking), payments=seen, explanation=self._result(explanation))

    async def lists(self, event_id: UUID, actor: Actor) -> list[BookingSeen] | str:
        """See `BoxOffice`."""
        bookings, waiting_list = self._container.list_event_bookings(), self._container.read_waiting_list()
        try:
            found = await _all(lambda before: bookings(event_id, actor, before=before, limit=PAGE))
            found += await _all(lambda place: waiting_list(event_id, actor, after=place, limit=PAGE))
        except Refusal as refusal:
            return refusal.code
        return [self._result(each) for each in found]

    async def tickets(self, booking_id: UUID, actor: Actor) -> list[TicketSeen] | str:
        """See `BoxOffice`."""
        try:
            with self.without_trouble():
                shown = await self._container.list_tickets()(booking_id, actor)
        except Refusal as refusal:
            return refusal.code
        return [self._ticket(each) for each in shown]

    async def change_ticket(
        self, booking_id: UUID, number: int, actor: Actor, holder: str | None, *, reissue: bool
    ) -> TicketSeen | str:
        """See `BoxOffice`."""
        with self.without_trouble():
            # The event's key may have to be made.
            await self.tickets(booking_id, actor)
        changes = TicketChanges(
            booking_id=booking_id,
            ticket_id=ticket_id(booking_id, number),
            actor=actor,
            holder_name=holder,
            reissue=reissue,
        )
        try:
            return self._ticket(await self._container.name_ticket()(changes))
        except Refusal as refusal:
            return refusal.code

    def _ticket(self, shown: ShownTicket) -> TicketSeen:
        # Whether an account has a name depends on how it was made.
        holder = shown.holder_name if shown.holder_name in HOLDERS else None
        return TicketSeen(
            number=shown.number, serial=self.serial_of(shown.code), holder=holder, status=shown.status.value
        )

    async def scan(self, event_id: UUID, actor: Actor, scans: Sequence[ScanSent]) -> list[ScanSeen] | str:
        """See `BoxOffice`."""
        self._add_ids(event_id)
        sent = [
            CodeScan(id=each.id, code=await self.code_of(each), at=each.at, device="Gate", is_offline=each.is_offline)
            for each in scans
        ]
        try:
            answers = await self._container.record_check_ins()(event_id, sent, actor)
        except Refusal as refusal:
            return refusal.code
        return [
            ScanSeen(
                id=each.id,
                result=each.result.value,
                number=None if each.ticket_id is None else number_of(each.ticket_id),
                admitted_at=each.admitted_at,
            )
            for each in answers
        ]

    async def undo_check_in(self, event_id: UUID, check_in_id: UUID, actor: Actor) -> UndoneSeen | str:
        """See `BoxOffice`."""
        try:
            undone = await self._container.undo_check_in()(event_id, check_in_id, actor)
        except Refusal as refusal:
            return refusal.code
        return UndoneSeen(number=undone.check_in.number, checked_in_at=undone.checked_in_at)

    async def door(self, event_id: UUID, actor: Actor) -> DoorLook | str:
        """See `BoxOffice`."""
        conflicts = self._container.list_conflicts()
        try:
            with self.without_trouble():
                seen = await self._container.read_door_list()(event_id, actor)
            found = await _all(lambda after: conflicts(event_id, actor, after=after or 0, limit=PAGE))
        except Refusal as refusal:
            return refusal.code
        return DoorLook(
            void=list(map(number_of, seen.void)),
            used=[(number_of(each.ticket_id), each.at) for each in seen.used],
            reissued=[(number_of(each.ticket_id), each.serial) for each in seen.reissued],
            conflicts=[(each.number, [entry.id for entry in each.entries]) for each in found],
        )

    async def bookings_of(self, actor: Actor) -> list[BookingSeen]:
        """See `BoxOffice`."""
        found = await _all(lambda before: self._container.list_bookings()(actor, before=before, limit=PAGE))
        return [self._result(each) for each in found]

    def _result(self, result: Any) -> Any:
        """Convert a result of the application, and map its ids to the machine's."""
        return self._names.translated(seen_of(result, self._clock.now()))


async def _all(read: Callable[[Any], Awaitable[Page[Any, Any]]]) -> list[Any]:
    """Read all pages of a list."""
    items, page = [], await read(None)
    while True:
        items += page.items
        if page.next is None:
            return items
        page = await read(page.next)
