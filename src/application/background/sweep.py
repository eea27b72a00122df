"""The background work: lapsed holds, payments whose outcome is open, answers that need no longer be remembered."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from ...domain.decisions.pay import Answer, SettlePayment
from ...domain.payment import Payment, PaymentKind, PaymentMethod, refund_of
from ...domain.refusals import NotFound
from ..bookings.pay_booking import record_answer
from ..bookings.promote_from_waitlist import PromoteFromWaitlist
from ..ports.idempotency import KEPT_FOR
from ..ports.payments import GatewaySilent, PaymentGateway
from ..ports.queries import BookingQueries, EventQueries, PaymentQueries
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction
from ..turnstile.turnstile import Turnstile

AT_ONCE = 100
"""Events, or payments, that one look finds."""

TURN = timedelta(seconds=3)
"""How long a process keeps its turn. One that died gives it up by that: lapsed holds go within five."""

PATIENCE = 3.0
"""Seconds that the provider is waited for in the background; it is asked again later."""


class ExpireHolds:
    """Settle holds that were not paid in time: their tickets go to whoever waits, as holds of their own."""

    def __init__(self, promote: PromoteFromWaitlist, events: EventQueries, clock: Clock) -> None:
        self._promote = promote
        self._events = events
        self._clock = clock

    async def __call__(self) -> int:
        """How many events were looked after. Raises: Unavailable."""
        event_ids = await self._events.lapsing_events(self._clock.now(), AT_ONCE)
        for event_id in event_ids:
            # Any transaction on an event settles what is due first, so asking for promotion is enough.
            await self._promote(event_id)
        return len(event_ids)


class SettlePayments:
    """Ask the provider about charges whose outcome nobody recorded, and give back what is owed (promise 8)."""

    def __init__(
        self,
        turnstile: Turnstile,
        bookings: BookingQueries,
        payments: PaymentQueries,
        gateway: PaymentGateway,
        clock: Clock,
    ) -> None:
        self._turnstile = turnstile
        self._bookings = bookings
        self._payments = payments
        self._gateway = gateway
        self._clock = clock

    async def __call__(self) -> int:
        """How many payments were asked about. Raises: Unavailable."""
        payments = await self._payments.open_payments(self._clock.now(), AT_ONCE)
        results = await asyncio.gather(*(self._settle(payment) for payment in payments), return_exceptions=True)
        # One that cannot be settled is no reason to leave the others.
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(payments)

    async def _settle(self, payment: Payment) -> None:
        found = await self._bookings.booking(payment.booking_id)
        if found is None:
            raise NotFound
        command = SettlePayment(
            payment_id=payment.id,
            event_id=payment.event_id,
            booking_id=payment.booking_id,
            customer_id=found.booking.customer_id,
            answer=await self._ask(payment),
            seen=payment.tried_at,
        )
        await record_answer(self._turnstile, command)

    async def _ask(self, payment: Payment) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask_for_long(payment)
        except (GatewaySilent, TimeoutError):
            return Answer.SILENT

    async def _ask_for_long(self, payment: Payment) -> Answer:
        if payment.kind is PaymentKind.CHARGE:
            return _HEARD[await self._gateway.find_charge(payment.id)]
        if payment.method is PaymentMethod.CASH:
            # Cash goes back by hand; there is nobody to ask.
            return Answer.DONE
        is_done = await self._gateway.refund(payment.id, refund_of(payment.id), payment.amount)
        return Answer.DONE if is_done else Answer.SILENT


_HEARD = {True: Answer.DONE, False: Answer.DECLINED, None: Answer.UNHEARD}


class Swept(Struct, frozen=True):
    """What one round did. `is_ours` False: another process has the turn, so nothing was done."""

    is_ours: bool
    events: int = 0
    payments: int = 0
    answers: int = 0


class Sweep:
    """One round of all of it. All processes may try; one at a time does the work."""

    def __init__(
        self,
        expire_holds: ExpireHolds,
        settle_payments: SettlePayments,
        storage: Storage,
        clock: Clock,
        ids: Ids,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._expire_holds = expire_holds
        self._settle_payments = settle_payments
        self._storage = storage
        self._clock = clock
        self._jitter = jitter
        self._process_id: UUID = ids.new()

    async def __call__(self) -> Swept:
        """Raises: Unavailable."""
        if not await in_transaction(self._storage, self._take_turn, jitter=self._jitter):
            return Swept(is_ours=False)
        return Swept(
            is_ours=True,
            events=await self._expire_holds(),
            payments=await self._settle_payments(),
            answers=await in_transaction(self._storage, self._forget, jitter=self._jitter),
        )

    async def _take_turn(self, unit_of_work: UnitOfWork) -> bool:
        now = self._clock.now()
        return await unit_of_work.leases.acquire_lease("sweep", self._process_id, now, now + TURN)

    async def _forget(self, unit_of_work: UnitOfWork) -> int:
        before: datetime = self._clock.now() - KEPT_FOR
        return await unit_of_work.leases.delete_stored_responses(before, 1_000)
