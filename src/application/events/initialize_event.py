"""Initialize an event with its tickets."""

from datetime import datetime

from ...domain.decisions.organize import Initialize, initialize
from ...domain.event import MOST_LIVE_EVENTS, EventState
from ...domain.inventory import Decision
from ...domain.user import Organizers
from ..limits.allowances import Allowance
from ..ports.idempotency import IdempotentRequest
from ..turnstile.pending_command import outcome
from ..turnstile.turnstile import Turnstile


class InitializeEvent:
    """Initialize an event with its tickets; `organizers` says who may.

    An organizer has so many live events at a time. Of those initialized at once in several processes, each counts its
    own: the bound is exceeded by what one transaction takes for each other process, and by nothing with SQLite.
    """

    def __init__(
        self,
        turnstile: Turnstile,
        organizers: Organizers = Organizers.EVERYONE,
        *,
        most_live_events: int = MOST_LIVE_EVENTS,
        allowance: Allowance | None = None,
    ) -> None:
        self._turnstile = turnstile
        self._organizers = organizers
        self._most_live_events = most_live_events
        self._allowance = allowance

    async def __call__(self, command: Initialize, once: IdempotentRequest[EventState] | None = None) -> EventState:
        """The event as it is now.

        Raises: what `initialize` refuses, TooManyRequests beyond the allowance, Unavailable; with `once` also Replayed,
        IdempotencyKeyReused.
        """
        keyed = once.bind(outcome) if once else None
        return outcome(await self._turnstile.admit_new(command, command.actor.user_id, self._decide, keyed))

    def _decide(self, command: Initialize, live_events: int, now: datetime) -> Decision[EventState]:
        if self._allowance is not None:
            self._allowance.check(command.actor.user_id, now)
        decision = initialize(command, self._organizers, now, live_events, self._most_live_events)
        if self._allowance is not None:
            self._allowance.use(command.actor.user_id, 1, now)
        return decision
