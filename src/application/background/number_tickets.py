"""Number the tickets of bookings that were confirmed before tickets had numbers."""

import random
from collections.abc import Callable
from functools import partial
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from ...domain.decisions.number_tickets import number_tickets
from ...domain.facts import tickets_confirmed
from ..ports.loading import LoadSpec
from ..ports.queries import EventQueries
from ..ports.storage import Storage, UnitOfWork
from ..ports.system import Clock, Ids
from ..retrying_transaction import in_transaction

STEP: Final = 500
"""Most facts that one transaction reads, to bound how long it locks the event."""

STEPS: Final = 20
"""Most transactions of one round."""


class NumberTickets:
    """Number the tickets of bookings that were confirmed before tickets had numbers, in bounded steps.

    Each step is a transaction under the event's lock that notes how far it came, so any process may continue after a
    crash, and a step that is repeated changes nothing.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        ids: Ids,
        *,
        step: int = STEP,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._storage = storage
        self._events: EventQueries = storage.event_queries
        self._clock = clock
        self._ids = ids
        self._step = step
        self._jitter = jitter

    async def __call__(self) -> int:
        """Return how many steps were done, `STEPS` at most. Raises: Unavailable, NotFound."""
        done = 0
        for event_id in await self._events.unnumbered_events(STEPS):
            is_done = False
            while not is_done and done < STEPS:
                is_done = await in_transaction(self._storage, partial(self._number, event_id), jitter=self._jitter)
                done += 1
        return done

    async def _number(self, event_id: UUID, unit_of_work: UnitOfWork) -> bool:
        """Do the next step and return whether it was the event's last one."""
        events = unit_of_work.events
        inventory = (await events.lock([LoadSpec(event_id=event_id)]))[event_id]
        numbered_to = inventory.event.numbered_to
        if numbered_to is None:
            return True
        facts = await events.facts(event_id, numbered_to, self._step)
        confirmed = {each.booking_id for each in facts if each.booking_id is not None and tickets_confirmed(each.what)}
        bookings = await events.bookings(confirmed) if confirmed else ()
        decision = number_tickets(replace(inventory, bookings=bookings), facts, self._clock.now())
        await events.save([decision], self._ids.new())
        return decision.inventory.event.numbered_to is None
