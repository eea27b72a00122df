"""Initialize an event with its tickets."""

from datetime import datetime

from ...domain.decisions.organize import Initialize, initialize
from ...domain.decisions.payments.prices import Objection, any_price
from ...domain.event import MOST_LIVE_EVENTS
from ...domain.inventory import Decision
from ...domain.tickets.ticket_type import EventState
from ...domain.user import Organizers
from ..limits.allowances import Allowance
from ..ports.idempotency import IdempotentRequest
from ..turnstile.pending_command import outcome
from ..turnstile.turnstile import Turnstile
from .commit_to_draw import CommitToDraw


class InitializeEvent:
    """Initialize an event with its tickets; `organizers` says who may, `objection` which prices can be charged.

    An organizer has at most `most_live_events` live events. Concurrent processes do not see each other's new events, so
    each other process may exceed the limit by one transaction; with SQLite none does.
    """

    def __init__(
        self,
        turnstile: Turnstile,
        commit_to_draw: CommitToDraw,
        organizers: Organizers = Organizers.EVERYONE,
        *,
        most_live_events: int = MOST_LIVE_EVENTS,
        allowance: Allowance | None = None,
        objection: Objection = any_price,
    ) -> None:
        self._turnstile = turnstile
        self._commit_to_draw = commit_to_draw
        self._organizers = organizers
        self._most_live_events = most_live_events
        self._allowance = allowance
        self._objection = objection

    async def __call__(
        self, command: Initialize, idempotent: IdempotentRequest[EventState] | None = None
    ) -> EventState:
        """Return the new event.

        Raises: what `initialize` refuses, TooManyRequests beyond the allowance, Unavailable; with `idempotent` also
        Replayed, IdempotencyKeyReused.
        """
        request = idempotent.bind(outcome) if idempotent else None
        command, record_also = self._commit_to_draw(command)
        actor_id = command.actor.user_id
        return outcome(await self._turnstile.admit_new(command, actor_id, self._decide, request, record_also))

    def _decide(self, command: Initialize, live_events: int, now: datetime) -> Decision[EventState]:
        if self._allowance is not None:
            self._allowance.check(command.actor.user_id, now)
        decision = initialize(command, self._organizers, now, live_events, self._most_live_events, self._objection)
        if self._allowance is not None:
            self._allowance.use(command.actor.user_id, 1, now)
        return decision
