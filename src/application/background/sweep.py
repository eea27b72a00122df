"""The sweep: holds, payments, accounts to review, old stored responses, tickets without numbers, erasures, keys."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from ...domain.booking import Booking
from ...domain.decisions.payments.pay import CompletePayment, is_abandoned
from ...domain.payment import Payment, PaymentKind, refund_of
from ...domain.refusals import NotFound
from ..bookings.pay_booking import SILENCE, ask_about_charge, record_answer
from ..bookings.promote_from_waitlist import PromoteFromWaitlist
from ..personal_data.finish_erasure import FinishErasure
from ..ports.idempotency import KEPT_FOR
from ..ports.payments import ChargeReply, GatewaySilent, PaymentGateway
from ..ports.queries import AccountQueries, BookingQueries, EventQueries, PaymentQueries
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction
from ..turnstile.turnstile import Turnstile
from .number_tickets import NumberTickets
from .review_accounts import ReviewAccounts
from .seal_code_keys import SealCodeKeys

AT_ONCE = 100
"""Most events, or payments, of one round."""

ERASURES_AT_ONCE = 5
"""Most erasures of one round."""

LEASE = timedelta(seconds=3)
"""The length of the lease: after a crash, lapsed holds are expired within five seconds."""

PATIENCE = 3.0
"""Seconds to wait for the provider; it is asked again in a later round."""


class ExpireHolds:
    """Expire holds that were not paid in time and promote waiting bookings."""

    def __init__(self, promote: PromoteFromWaitlist, events: EventQueries, clock: Clock) -> None:
        self._promote = promote
        self._events = events
        self._clock = clock

    async def __call__(self) -> int:
        """Return how many events had lapsed holds, `AT_ONCE` at most. Raises: Unavailable."""
        event_ids = await self._events.lapsing_events(self._clock.now(), AT_ONCE)
        for event_id in event_ids:
            # Every transaction on an event expires its lapsed holds first, so promoting is enough.
            await self._promote(event_id)
        return len(event_ids)


class CompletePayments:
    """Ask the provider for the outcome of open charges, and send due refunds (promise 8)."""

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
        """Return how many payments were open, `AT_ONCE` at most. Raises: Unavailable."""
        payments = await self._payments.open_payments(self._clock.now(), AT_ONCE)
        results = await asyncio.gather(*(self._complete(payment) for payment in payments), return_exceptions=True)
        # Raised after all are done, so one failure does not stop the others.
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(payments)

    async def _complete(self, payment: Payment) -> None:
        found = await self._bookings.booking(payment.booking_id)
        if found is None:
            raise NotFound
        reply = await self._ask_in_time(payment, found.booking)
        command = CompletePayment(
            payment_id=payment.id,
            event_id=payment.event_id,
            booking_id=payment.booking_id,
            customer_id=found.booking.customer_id,
            answer=reply.answer,
            seen=payment.tried_at,
            provider_id=reply.provider_id,
        )
        await record_answer(self._turnstile, command)

    async def _ask_in_time(self, payment: Payment, booking: Booking) -> ChargeReply:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask(payment, booking)
        except (GatewaySilent, TimeoutError):
            return SILENCE

    async def _ask(self, payment: Payment, booking: Booking) -> ChargeReply:
        if payment.kind is PaymentKind.CHARGE:
            is_in_vain = is_abandoned(payment, booking, self._clock.now())
            return await ask_about_charge(self._gateway, payment.id, is_abandoned=is_in_vain)
        # Refunds that wait for a person or for the end of a dispute are not open.
        charge_id = payment.charge_id or refund_of(payment.id)
        return ChargeReply(answer=await self._gateway.refund(payment.id, charge_id, payment.amount))


class ContinueErasures:
    """Continue the erasures of accounts that are not finished."""

    def __init__(self, finish: FinishErasure, accounts: AccountQueries, clock: Clock) -> None:
        self._finish = finish
        self._accounts = accounts
        self._clock = clock

    async def __call__(self) -> int:
        """Return how many were due; one bounded step of each is done. Raises: Unavailable."""
        due = await self._accounts.due_erasures(self._clock.now(), ERASURES_AT_ONCE)
        for erasure in due:
            await self._finish(erasure)
        return len(due)


class Swept(Struct, frozen=True):
    """The result of one round. `is_ours` False: another process has the lease, so nothing was done."""

    is_ours: bool
    events: int = 0
    payments: int = 0
    accounts: int = 0
    stored_responses: int = 0
    numbering_steps: int = 0
    erasures: int = 0
    code_keys: int = 0

    @property
    def was_due(self) -> bool:
        """Whether anything was due, so another round may find more."""
        tidied = (self.stored_responses, self.numbering_steps, self.erasures, self.code_keys)
        return any((self.events, self.payments, self.accounts, *tidied))


class Sweep:
    """Run one round of the sweep, if this process gets the lease."""

    def __init__(  # noqa: PLR0913 - each kind of work
        self,
        expire_holds: ExpireHolds,
        complete_payments: CompletePayments,
        number_tickets: NumberTickets,
        review_accounts: ReviewAccounts,
        continue_erasures: ContinueErasures,
        storage: Storage,
        clock: Clock,
        ids: Ids,
        *,
        seal_code_keys: SealCodeKeys | None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Without `seal_code_keys` there are no older secrets, and nothing has to be sealed anew."""
        self._expire_holds = expire_holds
        self._complete_payments = complete_payments
        self._number_tickets = number_tickets
        self._review_accounts = review_accounts
        self._continue_erasures = continue_erasures
        self._seal_code_keys = seal_code_keys
        self._storage = storage
        self._clock = clock
        self._jitter = jitter
        self._process_id: UUID = ids.new()

    async def __call__(self) -> Swept:
        """Return the result of the round. Raises: Unavailable."""
        if not await in_transaction(self._storage, self._acquire_lease, jitter=self._jitter):
            return Swept(is_ours=False)
        return Swept(
            is_ours=True,
            events=await self._expire_holds(),
            payments=await self._complete_payments(),
            accounts=await self._review_accounts(),
            stored_responses=await in_transaction(self._storage, self._delete_responses, jitter=self._jitter),
            numbering_steps=await self._number_tickets(),
            erasures=await self._continue_erasures(),
            code_keys=0 if self._seal_code_keys is None else await self._seal_code_keys(),
        )

    async def _acquire_lease(self, unit_of_work: UnitOfWork) -> bool:
        now = self._clock.now()
        return await unit_of_work.leases.acquire_lease("sweep", self._process_id, now, now + LEASE)

    async def _delete_responses(self, unit_of_work: UnitOfWork) -> int:
        before: datetime = self._clock.now() - KEPT_FOR
        return await unit_of_work.leases.delete_stored_responses(before, 1_000)
