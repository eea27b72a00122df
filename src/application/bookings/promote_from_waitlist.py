"""Promote from an event's waiting lists, in bounded steps."""

from uuid import UUID

from ...domain.decisions.settle import Settle, settle
from ..ports.loading import LoadSpec
from ..ports.queries import EventQueries
from ..turnstile.turnstile import Turnstile


class PromoteFromWaitlist:
    """Serve an event's waiting lists until no more bookings can be served; for a closed event, cancel its bookings.

    Each bounded step is a transaction, so a crash loses none of them.
    """

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile = turnstile

    async def __call__(self, event_id: UUID) -> int:
        """Return how many bookings these steps promoted; concurrent steps may have promoted others.

        Raises: NotFound, Unavailable.
        """
        needs = LoadSpec(event_id=event_id, settles=True)
        promoted = 0
        while True:
            result = await self._turnstile.admit(Settle(event_id), needs, settle)
            promoted += result.promoted
            if not result.inventory.event.is_unsettled or not result.moved:
                return promoted


class ResumeUnsettled:
    """Resume settling every unsettled event, after a crash or where another process stopped."""

    def __init__(self, turnstile: Turnstile, events: EventQueries) -> None:
        self._turnstile = turnstile
        self._events = events

    async def __call__(self) -> int:
        """Return how many events were found; their steps run after the waiting commands. Raises: Unavailable."""
        found = 0
        last: UUID | None = None
        while event_ids := await self._events.unsettled_events(last, 100):
            for event_id in event_ids:
                self._turnstile.settle_soon(event_id)
            found += len(event_ids)
            last = event_ids[-1]
        return found
