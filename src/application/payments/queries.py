"""Queries about payments: of an event, for those who may see them, and those that need a person, for operators."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from ...domain.payment import ChargeStatus, Need, Payment, needed_since
from ...domain.policy import Right
from ...domain.user import Actor
from ..duties import Duties, event_for
from ..pages import Page
from ..ports.queries import EventQueries, PaymentQueries
from ..ports.system import Clock

_AT_ONCE = 100


class ListEventPayments:
    """List every charge and refund of an event, the newest charge first, for those who may see them."""

    def __init__(self, events: EventQueries, payments: PaymentQueries, duties: Duties) -> None:
        self._events = events
        self._duties = duties
        self._payments = payments

    async def __call__(
        self,
        event_id: UUID,
        actor: Actor,
        *,
        status: ChargeStatus | None = None,
        before: UUID | None = None,
        limit: int = 50,
    ) -> Page[Payment, UUID]:
        """Return a page. Raises: NotFound, NotAllowed, Unavailable."""
        await event_for(self._events, self._duties, event_id, actor, Right.SEE_PAYMENTS)
        found = await self._payments.payments_of_event(event_id, status, before, limit + 1)
        items = found[:limit]
        return Page(items, items[-1].id if len(found) > limit else None)


class DuePayment(Struct, frozen=True):
    """A payment that needs a person, why, and since when."""

    need: Need
    since: datetime
    payment: Payment


class ListDuePayments:
    """List the payments that need a person: cash to hand over, failed refunds, disputes, what takes too long."""

    def __init__(self, payments: PaymentQueries, clock: Clock) -> None:
        self._payments = payments
        self._clock = clock

    async def __call__(self) -> AsyncIterator[DuePayment]:
        """Yield them by need, then by id. Raises: Unavailable."""
        now = self._clock.now()
        for need in Need:
            last: UUID | None = None
            while found := await self._payments.needing_payments(need, now, last, _AT_ONCE):
                for payment in found:
                    yield DuePayment(need, needed_since(payment), payment)
                last = found[-1].id
