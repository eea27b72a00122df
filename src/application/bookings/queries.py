"""Queries about bookings: committed state for users who may see it (promise 9)."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from ...domain.booking import Booking, BookingStatus
from ...domain.payment import Payment
from ...domain.policy import PersonalRight, Right
from ...domain.refusals import NotFound
from ...domain.user import Actor
from ..duties import Duties, check_shows_booking, event_for
from ..pages import Page
from ..ports.queries import AccountQueries, BookingQueries, Customer, EventQueries, PaymentQueries, WaitingKey


class CustomersBooking(Struct, frozen=True):
    """A booking with its customer; None: the account is erased. UNSET: it is their own."""

    booking: Booking
    customer: Customer | UnsetType | None = UNSET


class ReadBooking:
    """Read one booking with its current place."""

    def __init__(self, bookings: BookingQueries, accounts: AccountQueries, duties: Duties) -> None:
        self._bookings = bookings
        self._accounts = accounts
        self._duties = duties

    async def __call__(self, booking_id: UUID, actor: Actor) -> CustomersBooking:
        """Return the booking, with its customer unless that is the actor. Raises: NotFound, NotAllowed, Unavailable."""
        found = await readable_booking(self._bookings, self._duties, booking_id, actor)
        if found.customer_id == actor.user_id:
            return CustomersBooking(found)
        (shown,) = await _with_customers(self._accounts, [found])
        return shown


class ListPayments:
    """List every charge and refund of a booking, oldest first."""

    def __init__(self, bookings: BookingQueries, payments: PaymentQueries, duties: Duties) -> None:
        self._bookings = bookings
        self._payments = payments
        self._duties = duties

    async def __call__(self, booking_id: UUID, actor: Actor) -> list[Payment]:
        """Return the payments. Raises: NotFound, NotAllowed, Unavailable."""
        await readable_booking(self._bookings, self._duties, booking_id, actor)
        return await self._payments.payments(booking_id)


class ListBookings:
    """List the actor's own bookings, newest first."""

    def __init__(self, bookings: BookingQueries) -> None:
        self._bookings = bookings

    async def __call__(
        self, actor: Actor, *, status: BookingStatus | None = None, before: UUID | None = None, limit: int = 50
    ) -> Page[Booking, UUID]:
        """Return a page. Raises: NotAllowed, Unavailable."""
        actor.check_may_personally(PersonalRight.LIST_OWN_BOOKINGS)
        found = await self._bookings.bookings_of_customer(actor.user_id, status, before, limit + 1)
        items = found[:limit]
        return Page(items, items[-1].id if len(found) > limit else None)


class ListEventBookings:
    """List every booking of an event with its customer, newest first, for those who may see them."""

    def __init__(
        self, events: EventQueries, bookings: BookingQueries, accounts: AccountQueries, duties: Duties
    ) -> None:
        self._events = events
        self._bookings = bookings
        self._accounts = accounts
        self._duties = duties

    async def __call__(
        self,
        event_id: UUID,
        actor: Actor,
        *,
        status: BookingStatus | None = None,
        q: str | None = None,
        before: UUID | None = None,
        limit: int = 50,
    ) -> Page[CustomersBooking, UUID]:
        """Return a page; with `q` of the bookings whose customer's name or address contains that text, without case.

        A search may give fewer than `limit` before the list ends. Raises: NotFound, NotAllowed, Unavailable.
        """
        await event_for(self._events, self._duties, event_id, actor, Right.SEE_BOOKINGS)
        if q is None:
            found = await self._bookings.bookings_of_event(event_id, status, before, limit + 1)
            items = found[:limit]
            last = items[-1].id if len(found) > limit else None
        else:
            page = await self._bookings.search_bookings(event_id, q, status, before, limit)
            items, last = page.bookings, page.next
        return Page(await _with_customers(self._accounts, items), last)


class ReadWaitingList:
    """List an event's waiting bookings by ticket type and position, with customers, for those who may see it."""

    def __init__(
        self, events: EventQueries, bookings: BookingQueries, accounts: AccountQueries, duties: Duties
    ) -> None:
        self._events = events
        self._bookings = bookings
        self._accounts = accounts
        self._duties = duties

    async def __call__(
        self,
        event_id: UUID,
        actor: Actor,
        *,
        ticket_type_id: UUID | None = None,
        after: WaitingKey | None = None,
        limit: int = 50,
    ) -> Page[CustomersBooking, WaitingKey]:
        """Return a page. Raises: NotFound, NotAllowed, Unavailable."""
        state = await event_for(self._events, self._duties, event_id, actor, Right.SEE_BOOKINGS)
        ordinals = {ticket_type.id: ticket_type.ordinal for ticket_type in state.ticket_types}
        if ticket_type_id is not None and ticket_type_id not in ordinals:
            raise NotFound
        read = await self._bookings.waiting_list(event_id, ticket_type_id, after, limit + 1)
        # Leave out a ticket type that was added between the two reads.
        found = [booking for booking in read if booking.ticket_type_id in ordinals]
        items = found[:limit]
        last = items[-1] if len(found) > limit else None
        key = WaitingKey(ordinals[last.ticket_type_id], last.queue_number or 0) if last else None
        return Page(await _with_customers(self._accounts, items), key)


async def readable_booking(bookings: BookingQueries, duties: Duties, booking_id: UUID, actor: Actor) -> Booking:
    """Return a booking that the actor may see. Raises: NotFound, Unavailable."""
    found = await bookings.booking(booking_id)
    if found is None:
        raise NotFound
    await check_shows_booking(found, duties, actor)
    return found.booking


async def _with_customers(accounts: AccountQueries, bookings: Sequence[Booking]) -> list[CustomersBooking]:
    """Return the bookings with their customers, which are read together."""
    customers = await accounts.customers({each.customer_id for each in bookings})
    return [CustomersBooking(each, customers.get(each.customer_id)) for each in bookings]
