"""What scanners need without a network, and the tickets that were let in more than once."""

import asyncio
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from ...domain.event import Event
from ...domain.policy import Right
from ...domain.tickets.check_in import CheckIn
from ...domain.tickets.ticket import ticket_id
from ...domain.user import Actor
from ..duties import Duties, event_for
from ..pages import Page
from ..ports.check_ins import CheckInQueries
from ..ports.queries import EventQueries
from ..ports.system import Clock
from ..ports.tickets import TicketQueries
from ..tickets.ticket_codes import TicketCodes

AT_ONCE: Final = 500
"""Rows that are read together. No connection is held between two reads."""

MOST_ENTRIES: Final = 1_000
"""Entries of one page of conflicts, unless a single ticket has more."""


class UsedTicket(Struct, frozen=True, gc=False):
    """A ticket that was let in, and when."""

    ticket_id: UUID
    at: datetime


class ReissuedTicket(Struct, frozen=True, gc=False):
    """A ticket whose older codes are void."""

    ticket_id: UUID
    serial: int


class DoorList(Struct, frozen=True, gc=False, kw_only=True):
    """The state of an event's tickets by their numbers, as of a time; what happened since may be missing in parts.

    A ticket is in at most one of `void` and `used`, and only one that is not void is in `reissued`.
    """

    event: Event
    public_key: bytes
    void: list[UUID]
    used: list[UsedTicket]
    reissued: list[ReissuedTicket]
    as_of: datetime


class ReadDoorList:
    """Read what a scanner needs to judge codes by itself."""

    def __init__(
        self,
        events: EventQueries,
        check_ins: CheckInQueries,
        tickets: TicketQueries,
        duties: Duties,
        codes: TicketCodes,
        clock: Clock,
    ) -> None:
        self._events = events
        self._check_ins = check_ins
        self._tickets = tickets
        self._duties = duties
        self._codes = codes
        self._clock = clock

    async def __call__(self, event_id: UUID, actor: Actor) -> DoorList:
        """Return the list. Raises: NotFound, NotAllowed, Unavailable."""
        state = await event_for(self._events, self._duties, event_id, actor, Right.SEE_DOOR)
        as_of = self._clock.now()
        public_key = await self._codes.public_key(event_id)
        void = await self._void(event_id)
        used, reissued, last = [], [], 0
        while rows := await self._tickets.of_event(event_id, last, AT_ONCE):
            for ticket in rows:
                id_ = ticket_id(ticket.booking_id, ticket.number)
                if ticket.is_returned:
                    void[ticket.number] = id_
                elif ticket.number not in void:
                    if ticket.checked_in_at is not None:
                        used.append(UsedTicket(id_, ticket.checked_in_at))
                    if ticket.serial > 1:
                        reissued.append(ReissuedTicket(id_, ticket.serial))
            last = rows[-1].number
        return DoorList(
            event=state.event,
            public_key=public_key,
            void=[id_ for _, id_ in sorted(void.items())],
            used=used,
            reissued=reissued,
            as_of=as_of,
        )

    async def _void(self, event_id: UUID) -> dict[int, UUID]:
        """Return the tickets of cancelled bookings by their numbers."""
        void: dict[int, UUID] = {}
        last: UUID | None = None
        while found := await self._check_ins.void_tickets(event_id, last, AT_ONCE):
            for each in found:
                void.update({number: ticket_id(each.booking_id, number) for number in each.numbers})
            last = found[-1].booking_id
            # Other requests get their turn, also where nothing is waited for.
            await asyncio.sleep(0)
        return void


class ConflictSeen(Struct, frozen=True, gc=False, kw_only=True):
    """A ticket that was let in more than once, as the door sees it, with its entries by time."""

    ticket_id: UUID
    number: int
    holder_name: str | None
    entries: tuple[CheckIn, ...]


class ListConflicts:
    """List the tickets of an event that were let in more than once, by number."""

    def __init__(self, events: EventQueries, check_ins: CheckInQueries, duties: Duties) -> None:
        self._events = events
        self._check_ins = check_ins
        self._duties = duties

    async def __call__(
        self, event_id: UUID, actor: Actor, *, after: int = 0, limit: int = 50
    ) -> Page[ConflictSeen, int]:
        """Return a page. Raises: NotFound, NotAllowed, Unavailable."""
        await event_for(self._events, self._duties, event_id, actor, Right.SEE_DOOR)
        page = await self._check_ins.conflicts(event_id, after, limit, MOST_ENTRIES)
        holders = await self._check_ins.holders(event_id, [each.number for each in page.conflicts])
        seen = [
            ConflictSeen(
                ticket_id=ticket_id(each.booking_id, each.number),
                number=each.number,
                holder_name=holders[each.number].name,
                entries=each.entries,
            )
            for each in page.conflicts
        ]
        return Page(seen, page.next)
