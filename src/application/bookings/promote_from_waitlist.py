"""Serve an event's waiting list on its own, in bounded steps, until nobody more can be served."""

from uuid import UUID

from ...domain.decisions.settle import Settle, settle
from ..ports.loading import LoadSpec
from ..ports.queries import EventQueries
from ..turnstile.turnstile import Turnstile


class PromoteFromWaitlist:
    """Serve an event's waiting list on its own, in bounded steps, until nobody more can be served.

    A closed event has its bookings let go instead. Each step is a transaction, so a crash loses none of them.
    """

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile

    async def __call__(self, event_id: UUID) -> int:
        """How many bookings its own steps promoted; steps behind an answer may have served others meanwhile.

        Raises: NotFound, Unavailable.
        """
        needs = LoadSpec(event_id=event_id, settles=True)
        promoted = 0
        while True:
            admitted = await self._turnstile.admit(Settle(event_id), needs, settle)
            promoted += admitted.promoted
            if not admitted.inventory.event.is_unsettled or not admitted.moved:
                return promoted


class ResumeUnsettled:
    """Go on with every event for which a step is still to be done: after a crash, or where another process left it."""

    def __init__(self, turnstile: Turnstile, events: EventQueries) -> None:
        self._turnstile = turnstile
        self._events = events

    async def __call__(self) -> int:
        """How many events were found; their steps run behind the commands that wait. Raises: Unavailable."""
        found = 0
        last: UUID | None = None
        while event_ids := await self._events.unsettled_events(last, 100):
            for event_id in event_ids:
                self._turnstile.settle_soon(event_id)
            found += len(event_ids)
            last = event_ids[-1]
        return found
