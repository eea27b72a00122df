"""End what is left of an erased account: its bookings, its unfinished events, its webhooks."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final
from uuid import UUID

from ...domain.booking import LIVE, Booking, BookingStatus
from ...domain.decisions.cancel import Withdraw, withdraw
from ...domain.decisions.change_ticket import ForgetHolders, forget_holders
from ...domain.decisions.erase import UNFINISHED_EVENTS, Erasure, ends_with_account
from ...domain.decisions.organize import Edit, EventChanges
from ...domain.event import EventStatus
from ...domain.refusals import StateRefusal
from ...domain.user import Actor
from ..events.change_event import ChangeEvent
from ..ports.errors import StorageFailure
from ..ports.loading import LoadSpec
from ..ports.queries import BookingOfEvent, BookingQueries, EventFilter
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock
from ..retrying_transaction import in_transaction
from ..turnstile.turnstile import Turnstile
from ..webhooks.delete_webhook import DeleteWebhook

AT_ONCE: Final = 100
"""Most bookings and events of one step, and rows of one page."""

RESPONSES_AT_ONCE: Final = 1_000

_log = logging.getLogger(__name__)


class FinishErasure:
    """End what is left of an erased account, step by step. Each step may be repeated, by any process."""

    def __init__(
        self,
        storage: Storage,
        turnstile: Turnstile,
        change_event: ChangeEvent,
        delete_webhook: DeleteWebhook,
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._turnstile = turnstile
        self._change_event = change_event
        self._delete_webhook = delete_webhook
        self._clock = clock

    async def __call__(self, erasure: Erasure) -> None:
        """Do one bounded step. Raises: Unavailable."""
        is_done = await self._cancel_bookings(erasure)
        is_done = await self._forget_holders(erasure) and is_done
        is_done = await self._cancel_events(erasure) and is_done
        for webhook in await self._storage.notification_queries.webhooks(erasure.user_id):
            await self._delete_webhook(webhook.id, Actor(erasure.user_id))
        is_done = await in_transaction(self._storage, lambda unit: self._delete_rows(unit, erasure)) and is_done
        if erasure.is_last_look(self._clock.now()):
            await self._forget_payment_keys(erasure)
        await in_transaction(self._storage, lambda unit: self._record(unit, erasure, is_done=is_done))
        await self._storage.purge()

    async def as_far_as_possible(self, erasure: Erasure) -> None:
        """Do one step; what a failure prevents is done later."""
        try:
            await self(erasure)
        except StorageFailure as failure:
            _log.warning("The erasure of account %s is continued in the background: %s", erasure.user_id, failure)

    async def _cancel_bookings(self, erasure: Erasure) -> bool:
        """Return whether none is left."""
        ending: list[Booking] = []
        async for found in bookings_of(self._storage.booking_queries, erasure.user_id, sorted(LIVE)):
            if ends_with_account(found.event, found.booking, erasure.erased_at):
                ending.append(found.booking)
            if len(ending) > AT_ONCE:
                break
        await asyncio.gather(*(self._withdraw(booking, erasure) for booking in ending[:AT_ONCE]))
        return len(ending) <= AT_ONCE

    async def _withdraw(self, booking: Booking, erasure: Erasure) -> None:
        command = Withdraw(event_id=booking.event_id, booking_id=booking.id, erased_at=erasure.erased_at)
        needs = LoadSpec(event_id=booking.event_id, booking_id=booking.id, settles=True)
        # It may have ended meanwhile, or become binding.
        with suppress(StateRefusal):
            await self._turnstile.admit(command, needs, withdraw)

    async def _forget_holders(self, erasure: Erasure) -> bool:
        """Erase the names of the holders of the account's tickets. Return whether none is left."""
        named: dict[UUID, UUID] = {}
        for status in BookingStatus:
            async for page in _pages(self._storage.booking_queries, erasure.user_id, status):
                rows = await self._storage.ticket_queries.of_bookings([each.booking.id for each in page])
                named |= {each.booking_id: each.event_id for each in rows if each.holder_name is not None}
        some = list(islice(named.items(), AT_ONCE))
        await asyncio.gather(*(self._forget_holders_of(event_id, booking_id) for booking_id, event_id in some))
        return len(some) == len(named)

    async def _forget_holders_of(self, event_id: UUID, booking_id: UUID) -> None:
        command = ForgetHolders(event_id=event_id, booking_id=booking_id)
        needs = LoadSpec(event_id=event_id, booking_id=booking_id, tickets=True)
        await self._turnstile.admit(command, needs, forget_holders)

    async def _cancel_events(self, erasure: Erasure) -> bool:
        """Return whether none is left."""
        wanted = EventFilter(statuses=UNFINISHED_EVENTS, now=self._clock.now(), organizer_id=erasure.user_id)
        cancelled = EventChanges(status=EventStatus.CANCELLED)
        events = (await self._storage.event_queries.events(wanted, None, AT_ONCE)).events
        for state in events:
            # An admin may have closed it meanwhile.
            with suppress(StateRefusal):
                edit = Edit(event_id=state.event.id, actor=Actor(erasure.user_id), changes=cancelled)
                await self._change_event(edit)
        return len(events) < AT_ONCE

    async def _delete_rows(self, unit_of_work: UnitOfWork, erasure: Erasure) -> bool:
        """Delete keys and responses of the account. Return whether none is left."""
        await unit_of_work.api_keys.remove_of(erasure.user_id)
        deleted = await unit_of_work.erasures.delete_stored_responses(erasure.user_id, RESPONSES_AT_ONCE)
        return deleted < RESPONSES_AT_ONCE

    async def _forget_payment_keys(self, erasure: Erasure) -> None:
        """Forget the keys that the account chose for its payments."""
        for status in BookingStatus:
            async for page in _pages(self._storage.booking_queries, erasure.user_id, status):
                ids = [each.booking.id for each in page]
                await in_transaction(self._storage, partial(_forget_keys, ids))

    async def _record(self, unit_of_work: UnitOfWork, erasure: Erasure, *, is_done: bool) -> None:
        after = erasure.after_step(self._clock.now(), is_done=is_done)
        if after is None:
            await unit_of_work.erasures.remove(erasure.user_id)
        else:
            await unit_of_work.erasures.save(after)


async def bookings_of(
    bookings: BookingQueries, customer_id: UUID, statuses: Sequence[BookingStatus]
) -> AsyncIterator[BookingOfEvent]:
    """Yield a customer's bookings of these statuses with their events, read in pages."""
    for status in statuses:
        async for page in _pages(bookings, customer_id, status):
            for each in page:
                yield each


async def _pages(
    bookings: BookingQueries, customer_id: UUID, status: BookingStatus
) -> AsyncIterator[list[BookingOfEvent]]:
    last: UUID | None = None
    while found := await bookings.bookings_with_events(customer_id, status, last, AT_ONCE):
        yield found
        last = found[-1].booking.id


async def _forget_keys(booking_ids: Sequence[UUID], unit_of_work: UnitOfWork) -> None:
    await unit_of_work.erasures.forget_payment_keys(booking_ids)
