"""Several applications that get the same commands and must give the same answers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from ....application.api_keys.create_api_key import NewApiKey
from ....domain.decisions.payments.notices import PaymentNotice
from ....domain.user import Actor
from .box_office import (
    BookingLook,
    BookingSeen,
    BoxOffice,
    DoorLook,
    EventLook,
    Order,
    Outcome,
    ScanSeen,
    ScanSent,
    TicketSeen,
    UndoneSeen,
    difference,
)
from .container.troubled import Trouble

Answer = TypeVar("Answer")


class Lockstep:
    """Pass every call to each of several applications, whose results must be equal.

    Raises: AssertionError, with the application's name and the first difference.
    """

    def __init__(self, box_offices: Mapping[str, BoxOffice]) -> None:
        self._box_offices = dict(box_offices)

    async def give(self, orders: Sequence[Order]) -> list[Outcome]:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.give(orders))

    async def event(self, event_id: UUID, actor: Actor, *, api_key: UUID | None = None) -> EventLook | str:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.event(event_id, actor, api_key=api_key))

    async def booking(self, booking_id: UUID, actor: Actor, *, api_key: UUID | None = None) -> BookingLook | str:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.booking(booking_id, actor, api_key=api_key))

    async def lists(self, event_id: UUID, actor: Actor) -> list[BookingSeen] | str:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.lists(event_id, actor))

    async def tickets(self, booking_id: UUID, actor: Actor) -> list[TicketSeen] | str:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.tickets(booking_id, actor))

    async def change_ticket(
        self, booking_id: UUID, number: int, actor: Actor, holder: str | None, *, reissue: bool
    ) -> TicketSeen | str:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.change_ticket(booking_id, number, actor, holder, reissue=reissue))

    async def scan(self, event_id: UUID, actor: Actor, scans: Sequence[ScanSent]) -> list[ScanSeen] | str:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.scan(event_id, actor, scans))

    async def undo_check_in(self, event_id: UUID, check_in_id: UUID, actor: Actor) -> UndoneSeen | str:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.undo_check_in(event_id, check_in_id, actor))

    async def door(self, event_id: UUID, actor: Actor) -> DoorLook | str:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.door(event_id, actor))

    async def bookings_of(self, actor: Actor) -> list[BookingSeen]:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.bookings_of(actor))

    async def make_api_key(self, key_id: UUID, command: NewApiKey) -> str | None:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.make_api_key(key_id, command))

    async def revoke_api_key(self, key_id: UUID, actor: Actor) -> str | None:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.revoke_api_key(key_id, actor))

    async def set_disabled(self, user_id: UUID, disabled: bool) -> None:
        """See `BoxOffice`."""
        await self._each(lambda each: each.set_disabled(user_id, disabled))

    async def erase(self, user_id: UUID) -> str | None:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.erase(user_id))

    async def promote(self, event_id: UUID) -> int:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.promote(event_id))

    async def sweep(self) -> int:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.sweep())

    async def act(self) -> None:
        """See `BoxOffice`."""
        await self._each(lambda each: each.act())

    async def refuse_refunds(self, refuses: bool) -> None:
        """See `BoxOffice`."""
        await self._each(lambda each: each.refuse_refunds(refuses))

    async def notice(self, notice: PaymentNotice) -> None:
        """See `BoxOffice`."""
        await self._each(lambda each: each.notice(notice))

    async def trouble(self, trouble: Trouble) -> None:
        """See `BoxOffice`."""
        await self._each(lambda each: each.trouble(trouble))

    async def money_kept(self) -> int:
        """See `BoxOffice`."""
        return await self._each(lambda each: each.money_kept())

    async def breaches(self) -> list[str]:
        """See `BoxOffice`. Return those of all applications."""
        return [f"{name}: {breach}" for name, each in self._box_offices.items() for breach in await each.breaches()]

    async def close(self) -> None:
        """See `BoxOffice`."""
        for each in self._box_offices.values():
            await each.close()

    async def _each(self, call: Callable[[BoxOffice], Awaitable[Answer]]) -> Answer:
        answers: dict[str, Answer] = {}
        for name, each in self._box_offices.items():
            try:
                answers[name] = await call(each)
            except Exception as error:
                error.add_note(f"raised by {name}")
                raise
        first = next(iter(answers))
        for name, answer in answers.items():
            differs = difference(answer, answers[first])
            if differs:
                raise AssertionError(f"{name} differs from {first}: {differs}")
        return answers[first]
