"""Export everything that is kept of the caller."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking
from ...domain.event import EventStatus
from ...domain.payment import Payment
from ...domain.policy import PersonalRight
from ...domain.tickets.ticket import Ticket, TicketStatus, ticket_id, ticket_status
from ...domain.tickets.ticket_type import EventState
from ...domain.user import Actor, User
from ..accounts.change_profile import ReadProfile
from ..ports.queries import EventFilter, EventKey
from ..ports.storage import Storage
from ..ports.system import Clock

AT_ONCE: Final = 100
"""Rows that are read together. An export holds no connection between two reads."""

TICKETS_AT_ONCE: Final = 1_000
"""Most tickets of a page: a hundred bookings have up to a hundred thousand."""

Pages = AsyncIterator[Sequence[Any]]


class ExportedTicket(Struct, frozen=True, gc=False, kw_only=True):
    """A ticket of a booking. A void one keeps its number. `holder_name` None: it was given none."""

    id: UUID
    number: int
    event_id: UUID
    booking_id: UUID
    ticket_type_id: UUID
    holder_name: str | None
    status: TicketStatus
    checked_in_at: datetime | None


class AccountExport(Struct, frozen=True):
    """The account, and by name everything else that is kept of it, in pages that are read when they are needed."""

    user: User
    sections: dict[str, Pages]


class ExportAccount:
    """Export everything that is kept of the caller. Memory is bounded by a page."""

    def __init__(self, storage: Storage, read_profile: ReadProfile, clock: Clock) -> None:
        self._storage = storage
        self._read_profile = read_profile
        self._clock = clock

    async def __call__(self, actor: Actor) -> AccountExport:
        """Return the export. Each page tells what there is when it is read.

        Raises: NotAllowed for an API key, InvalidToken, Unavailable, also while its pages are read.
        """
        actor.check_may_personally(PersonalRight.MANAGE_ACCOUNT)
        user = await self._read_profile(actor.user_id)
        storage = self._storage
        return AccountExport(
            user,
            {
                "sessions": _once(lambda: storage.account_queries.sessions_of(user.id)),
                "bookings": self._bookings(user.id),
                "tickets": self._tickets(user.id),
                "payments": self._payments(user.id),
                "events": self._events(user.id),
                "staff": self._staff(user.id),
                "api_keys": _once(lambda: storage.api_key_queries.keys_of(user.id)),
                "webhooks": _once(lambda: storage.notification_queries.webhooks(user.id)),
                "links": _once(lambda: storage.notification_queries.links_of(user.id)),
            },
        )

    async def _bookings(self, user_id: UUID) -> AsyncIterator[list[Booking]]:
        last: UUID | None = None
        while page := await self._storage.booking_queries.bookings_of_customer(user_id, None, last, AT_ONCE):
            yield page
            last = page[-1].id

    async def _tickets(self, user_id: UUID) -> AsyncIterator[list[ExportedTicket]]:
        async for page in self._bookings(user_id):
            found = await self._storage.ticket_queries.of_bookings([each.id for each in page])
            rows = {(each.booking_id, each.number): each for each in found}
            tickets = (ticket for booking in page for ticket in _tickets_of(booking, rows))
            while some := list(islice(tickets, TICKETS_AT_ONCE)):
                yield some

    async def _payments(self, user_id: UUID) -> AsyncIterator[list[Payment]]:
        async for page in self._bookings(user_id):
            yield await self._storage.payment_queries.payments_of_bookings([each.id for each in page])

    async def _events(self, user_id: UUID) -> AsyncIterator[list[EventState]]:
        wanted = EventFilter(statuses=frozenset(EventStatus), now=self._clock.now(), organizer_id=user_id)
        after: EventKey | None = None
        while True:
            page = await self._storage.event_queries.events(wanted, after, AT_ONCE)
            yield page.events
            if page.next is None:
                return
            after = page.next

    async def _staff(self, user_id: UUID) -> AsyncIterator[Sequence[Any]]:
        yield list((await self._storage.staff_queries.events_of(user_id)).items())


async def _once(read: Callable[[], Any]) -> Pages:
    """Yield what is bounded as one page, once it is needed."""
    yield await read()


def _tickets_of(booking: Booking, rows: Mapping[tuple[UUID, int], Ticket]) -> Iterator[ExportedTicket]:
    for number in booking.ticket_numbers:
        row = rows.get((booking.id, number))
        yield ExportedTicket(
            id=ticket_id(booking.id, number),
            number=number,
            event_id=booking.event_id,
            booking_id=booking.id,
            ticket_type_id=booking.ticket_type_id,
            holder_name=row.holder_name if row else None,
            status=ticket_status(booking.status, row),
            checked_in_at=row.checked_in_at if row else None,
        )
