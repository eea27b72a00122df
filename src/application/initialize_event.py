"""Initialize an event with its tickets."""

from datetime import datetime

from ..domain.event import EventState
from ..domain.inventory import Decision
from ..domain.organize import Initialize, initialize
from ..domain.user import Organizers
from .idempotency import Once
from .turnstile import Turnstile, outcome


class InitializeEvent:
    """Initialize an event with its tickets; `organizers` says who may."""

    def __init__(self, turnstile: Turnstile, organizers: Organizers = Organizers.EVERYONE) -> None:
        self._turnstile = turnstile
        self._organizers = organizers

    async def __call__(self, command: Initialize, once: Once[EventState] | None = None) -> EventState:
        """The event as it is now.

        Raises: what `initialize` refuses, Unavailable; with `once` also Replayed, IdempotencyKeyReused.
        """
        keyed = once.of(outcome) if once else None
        return outcome(await self._turnstile.admit_new(command, self._decide, keyed))

    def _decide(self, command: Initialize, now: datetime) -> Decision[EventState]:
        return initialize(command, self._organizers, now)
