"""Initialize an event with its tickets."""

from datetime import datetime

from ..domain.event import EventState
from ..domain.inventory import Decision
from ..domain.organize import Initialize, initialize
from ..domain.user import Organizers
from .turnstile import Turnstile


class InitializeEvent:
    """Initialize an event with its tickets; `organizers` says who may."""

    def __init__(self, turnstile: Turnstile, organizers: Organizers = Organizers.EVERYONE) -> None:
        self._turnstile = turnstile
        self._organizers = organizers

    async def __call__(self, command: Initialize) -> EventState:
        """The event as it is now. Raises: what `initialize` refuses, Unavailable."""
        return (await self._turnstile.admit_new(command, self._decide)).outcome

    def _decide(self, command: Initialize, now: datetime) -> Decision[EventState]:
        return initialize(command, self._organizers, now)
